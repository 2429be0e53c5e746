"""The tables of identity providers and of the accounts there that users log in with."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.access.models import SECRET
from crm_kernel.database import Model, RecordMixin, utcnow


class IdentityProvider(RecordMixin, Model):
    """A system that says who somebody is."""

    __tablename__ = "identity_provider"

    #: As the button on the log-in page calls it.
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    #: Its address, exactly as its tokens name it.
    issuer: Mapped[str] = mapped_column(sa.String(500))
    client_id: Mapped[str] = mapped_column(sa.String(255))
    #: Sealed with the instance's key; None for a public client, which PKCE alone protects.
    client_secret: Mapped[str | None] = mapped_column(sa.Text, info=SECRET)
    scopes: Mapped[str] = mapped_column(
        sa.String(255), default="openid email profile", server_default="openid email profile"
    )
    enabled: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: Whether a user with the verified address is taken for the person at his first log-in.
    link_by_email: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whether somebody who is nobody here becomes a user, if he gets a role.
    create_users: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Claim that says what somebody is there, ``groups`` or ``realm_access.roles``; empty for none.
    role_claim: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")
    #: Lines ``value of the claim = role``.
    role_map: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    #: Role of those whom no line fits; empty: they do not become users.
    default_role: Mapped[str] = mapped_column(sa.String(80), default="", server_default="")
    #: Values of ``amr`` or ``acr`` that count as a second factor, separated by spaces; empty: none does.
    factor_values: Mapped[str] = mapped_column(sa.String(255), default="", server_default="")


class UserIdentity(Model):
    """An account at a provider that a user logs in with."""

    __tablename__ = "user_identity"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    provider_id: Mapped[int] = mapped_column(sa.ForeignKey("identity_provider.id", ondelete="CASCADE"), index=True)
    #: The provider's issuer when it was linked: a provider that is pointed elsewhere vouches for nobody it knew before.
    issuer: Mapped[str] = mapped_column(sa.String(500))
    #: What the provider calls the person, for good; at most 255 ASCII characters by its standard.
    subject: Mapped[str] = mapped_column(sa.String(255))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[dt.datetime | None]

    __table_args__ = (sa.UniqueConstraint("issuer", "subject"),)
