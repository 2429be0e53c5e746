"""The table of invitations."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Model, utcnow

#: Expired ones wait too: they are sent again.
_WAITING = sa.text("accepted_at IS NULL AND withdrawn_at IS NULL")


class Invitation(Model):
    """Somebody who was asked to become a user; the row stays when that is over, and says how it ended."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    #: Normalised and lower-case.
    email: Mapped[str] = mapped_column(sa.String(254), index=True)
    #: What whoever invites calls him; he may say something else.
    name: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")
    role_id: Mapped[int] = mapped_column(sa.ForeignKey("role.id", ondelete="CASCADE"), index=True)
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id", ondelete="SET NULL"), index=True)
    language: Mapped[str] = mapped_column(sa.String(10))
    invited_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)
    #: How often it was sent; a link names the sending it belongs to.
    sending: Mapped[int] = mapped_column(sa.Integer, default=1, server_default="1")
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[dt.datetime]
    accepted_at: Mapped[dt.datetime | None]
    withdrawn_at: Mapped[dt.datetime | None]

    __table_args__ = (
        # Two who invite the same address at once make one invitation.
        sa.Index("uq_invitation_waiting", "email", unique=True, sqlite_where=_WAITING, postgresql_where=_WAITING),
    )
