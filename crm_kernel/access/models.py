"""The tables of access: users, teams, roles with their grants, API tokens, log-ins, passkeys, the audit log.

Columns say in ``info`` how the audit treats them: ``{"audit": "secret"}`` is noted as changed, never with its value;
``{"audit": "omit"}`` leaves no trace (marks that change by themselves). Any model may use the two.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, column_property, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.access.actor import Scope
from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model, NullableJson, RecordMixin, utcnow

if TYPE_CHECKING:
    # Flask-Security annotates plain attributes, which mapped ones cannot redefine for a type checker.
    class UserMixin: ...

else:
    from flask_security import UserMixin

#: ``info`` of a column whose value must never appear in the audit log.
SECRET = {"audit": "secret"}
#: ``info`` of a column whose changes are not worth an audit row.
OMITTED = {"audit": "omit"}


class Team(RecordMixin, Model):
    """A team; whoever belongs to a team also reaches the records of the teams below it."""

    __tablename__ = "team"

    name: Mapped[str] = mapped_column(sa.String(120), unique=True)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id"), index=True)


class AppUser(UserMixin, RecordMixin, Model):
    """Somebody who logs in. Never deleted, because records and audit rows speak of them: deactivated instead."""

    __tablename__ = "app_user"

    #: Normalised and lower-case.
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    #: argon2id hash; None until a first password is set.
    password: Mapped[str | None] = mapped_column("password_hash", sa.String(255), info=SECRET)
    active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id"), index=True)
    language: Mapped[str] = mapped_column(sa.String(10), default="en", server_default="en")
    timezone: Mapped[str] = mapped_column(sa.String(60), default="UTC", server_default="UTC")
    #: In which order pages show him the names of people, a key of ``records.names.ORDERS``; null for the instance's.
    name_order: Mapped[str | None] = mapped_column(sa.String(20))
    #: Identifies the user in session cookies; a new one ends every session and reset link.
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True, info=OMITTED)
    #: Raised to end every session of the user.
    session_epoch: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0", info=OMITTED)
    last_login_at: Mapped[dt.datetime | None] = mapped_column(info=OMITTED)
    #: Log-ins tried with a wrong password since the last good one; at the limit the account is locked for a while.
    failed_logins: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0", info=OMITTED)
    locked_until: Mapped[dt.datetime | None] = mapped_column(info=OMITTED)
    #: What authenticators know the user by; random.
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(sa.String(64), unique=True, info=OMITTED)
    #: The second factor he has: ``totp``, ``passkey`` where that is the only one, None for none.
    tf_primary_method: Mapped[str | None] = mapped_column(sa.String(64), info=OMITTED)
    #: Sealed with the instance's key.
    tf_totp_secret: Mapped[str | None] = mapped_column(sa.String(255), info=SECRET)
    #: Number of the last time step whose code was taken: no code is good twice.
    totp_counter: Mapped[int | None] = mapped_column(sa.BigInteger, info=OMITTED)
    #: SHA-256 of the recovery codes that are left, hexadecimal.
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(NullableJson, info=SECRET)

    @property
    def roles(self) -> tuple[()]:
        """What Flask-Security sees of roles: nothing, because the one policy reads grants itself."""
        return ()

    def get_id(self) -> str:
        """Return what the session cookie holds."""
        return f"{self.fs_uniquifier}.{self.session_epoch}"


class Role(RecordMixin, Model):
    """A named set of grants."""

    __tablename__ = "role"

    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    description: Mapped[str] = mapped_column(sa.String(255), default="", server_default="")
    #: Made by the kernel: cannot be deleted.
    builtin: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whether its holders reach nothing by password alone.
    second_factor: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class UserRole(RecordMixin, Model):
    """A role that a user holds."""

    __tablename__ = "user_role"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"))
    role_id: Mapped[int] = mapped_column(sa.ForeignKey("role.id", ondelete="CASCADE"), index=True)

    __table_args__ = (sa.UniqueConstraint("user_id", "role_id"),)


class RolePermission(RecordMixin, Model):
    """A grant: a permission or pattern (``sfa.opportunity.read``, ``sfa.*``, ``*.read``, ``*``) and how far it reaches."""

    __tablename__ = "role_permission"

    role_id: Mapped[int] = mapped_column(sa.ForeignKey("role.id", ondelete="CASCADE"))
    permission: Mapped[str] = mapped_column(sa.String(120))
    #: A ``Scope``: 1 own, 2 team, 3 all.
    scope: Mapped[int] = mapped_column(sa.SmallInteger)
    #: The scope as a word, for whoever reads grants.
    reach: Mapped[str] = column_property(sa.case({s.value: s.name.lower() for s in Scope}, value=scope))

    __table_args__ = (sa.UniqueConstraint("role_id", "permission"),)


class FieldRule(RecordMixin, Model):
    """What a role's holders may not do with one field of a record type; no rule leaves the field to the grants."""

    __tablename__ = "field_rule"

    role_id: Mapped[int] = mapped_column(sa.ForeignKey("role.id", ondelete="CASCADE"))
    record_type: Mapped[str] = mapped_column(sa.String(80))
    #: As a filter names it: ``amount``, ``cf_tier``, ``bank.risk`` for an extension's.
    field: Mapped[str] = mapped_column(sa.String(120))
    #: ``hidden``, or ``read``: seen and never written.
    access: Mapped[str] = mapped_column(sa.String(10))

    __table_args__ = (sa.UniqueConstraint("role_id", "record_type", "field"),)


class ApiToken(RecordMixin, Model):
    """A bearer token ``crm_<prefix>_<secret>`` of one user; only the secret's hash is kept."""

    __tablename__ = "api_token"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    #: Finds the row; shown in lists so that people recognise their tokens.
    prefix: Mapped[str] = mapped_column(sa.String(16), unique=True)
    #: SHA-256 of the whole token, hexadecimal; enough because the secret is 256 random bits.
    digest: Mapped[str] = mapped_column(sa.String(64), info=SECRET)
    #: Permission patterns the token is limited to; None: all that its user may do.
    scopes: Mapped[list[str] | None] = mapped_column(NullableJson)
    expires_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
    #: Exact to a minute.
    last_used_at: Mapped[dt.datetime | None] = mapped_column(info=OMITTED)


class UserSession(Model):
    """A log-in in one browser; the cookie holds what its digest is of, and is worth nothing once it has ended."""

    __tablename__ = "user_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    #: SHA-256 of the cookie's random part, hexadecimal.
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    #: ``AppUser.get_id()`` when it began: a new epoch or identifier of the user ends it too.
    identity: Mapped[str] = mapped_column(sa.String(80))
    #: How he proved who he is: ``password``, ``password+totp``, ``password+recovery``, ``passkey``,
    #: ``oidc``, ``oidc+mfa`` where the provider asked for a second factor.
    method: Mapped[str] = mapped_column(sa.String(30))
    #: The browser's own name for itself, cut; says what people recognise, proves nothing.
    device: Mapped[str] = mapped_column(sa.String(255), default="")
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: Exact to five minutes.
    seen_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[dt.datetime | None]


class WebAuthnCredential(Model):
    """A passkey or security key of a user; only its public key is here."""

    __tablename__ = "webauthn"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[bytes] = mapped_column(sa.LargeBinary(1024), unique=True)
    public_key: Mapped[bytes] = mapped_column(sa.LargeBinary)
    #: Raised by the authenticator with every use, where it counts; a lower one means a copy.
    sign_count: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    transports: Mapped[list[str] | None] = mapped_column(NullableJson)
    #: Whether it may be copied to the user's other devices.
    synced: Mapped[bool]
    name: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[dt.datetime | None]


class AuditLog(Model):
    """Who did what to which record, when and through which channel; the values are in ``AuditPayload``."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    at: Mapped[dt.datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(sa.String(120))
    actor_uid: Mapped[uuid.UUID | None]
    channel: Mapped[str] = mapped_column(sa.String(20))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    #: ``created``, ``updated``, ``deleted``, ``exported``, ``refused``, or a name of the caller's.
    action: Mapped[str] = mapped_column(sa.String(60))
    record_type: Mapped[str] = mapped_column(sa.String(80))
    record_uid: Mapped[uuid.UUID | None] = mapped_column(
        info={"reference": CustomerReference(type_column="record_type", merge="stay")}
    )
    #: SHA-256 over salt and values, hexadecimal: still proves the row once the payload is erased.
    digest: Mapped[str] = mapped_column(sa.String(64))

    __table_args__ = (
        sa.Index(None, "record_type", "record_uid", "id"),
        sa.Index(None, "actor_uid", "id"),
        sa.Index(None, "request_id", "record_type"),
    )


class AuditPayload(Model):
    """The values of an audit row; deleted when a person is erased, without breaking the proof of the row."""

    __tablename__ = "audit_payload"

    audit_uid: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("audit_log.uid", ondelete="CASCADE"), primary_key=True)
    salt: Mapped[bytes] = mapped_column(sa.LargeBinary(16))
    before: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    after: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
