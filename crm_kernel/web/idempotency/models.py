"""The table of idempotency keys: what was asked under a key, and what was answered."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, utcnow


class IdempotencyKey(Model):
    """One request that was done; its answer may hold personal data, so it expires and can be erased before."""

    __tablename__ = "idempotency_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: ``token:<key>`` or ``user:<key>``: what one client sent says nothing to another.
    client: Mapped[str] = mapped_column(sa.String(40))
    #: SHA-256 of the key as it was sent, hexadecimal.
    key_digest: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    #: SHA-256 of method, address, precondition and body: another request under the key is refused.
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    #: HTTP status of the answer; null while the request is being done, which only its own transaction sees.
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    headers: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: The answer's text; null when it is not kept: it held a secret, or was erased.
    body: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (sa.UniqueConstraint("client", "key_digest"),)
