"""The tables of consent: purposes, the append-only ledger, and values that must not be used.

A suppression holds no value, only a keyed digest of it, so that it outlives the person's data; which stored contact
points it concerns is kept beside it and goes with them.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.customers.models import customer_key
from crm_kernel.database import Model, RecordMixin, utcnow
from crm_kernel.errors import UnitOfWorkError


class Purpose(RecordMixin, Model):
    """What customers are contacted for; never deleted while a consent names it, because that is its proof."""

    __tablename__ = "purpose"

    #: What consents, plugins and the API call it; never changes.
    code: Mapped[str] = mapped_column(sa.String(60), unique=True)
    label: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str | None] = mapped_column(sa.Text)
    #: ``opt_in``, ``opt_out`` or ``always``.
    rule: Mapped[str] = mapped_column(sa.String(20), default="opt_in", server_default="opt_in")
    #: Whether only a consent confirmed by a link counts.
    double_opt_in: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whether customers see and change it on their preference page.
    public: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: The words a customer agrees to, and their version; both are copied into each consent.
    statement: Mapped[str | None] = mapped_column(sa.Text)
    statement_version: Mapped[str | None] = mapped_column(sa.String(60))


class Consent(RecordMixin, Model):
    """One fact about what a customer agreed to or withdrew, append-only: a newer row decides, none is changed."""

    __tablename__ = "consent"

    customer_id: Mapped[int] = customer_key(merge="move")
    #: A key of ``choices.CONTACT_CHANNELS``.
    channel: Mapped[str] = mapped_column(sa.String(20))
    purpose: Mapped[str] = mapped_column(sa.ForeignKey("purpose.code", ondelete="RESTRICT"))
    #: ``given``, ``withdrawn``, ``denied`` or ``pending``; a pending one decides nothing.
    status: Mapped[str] = mapped_column(sa.String(20))
    #: A key of ``choices.BASES``.
    basis: Mapped[str] = mapped_column(sa.String(30))
    #: Who tells it (``user:web``, a plugin, a foreign system), and the key there: told twice, it is stored once.
    source: Mapped[str] = mapped_column(sa.String(60))
    external_ref: Mapped[str | None] = mapped_column(sa.String(255))
    #: When the customer said so; of several facts the last captured one decides.
    captured_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    valid_from: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: The first moment at which it no longer holds; none for ever.
    valid_to: Mapped[dt.datetime | None]
    double_opt_in_at: Mapped[dt.datetime | None]
    #: The request that this row answers; one answer each.
    confirms_id: Mapped[int | None] = mapped_column(sa.ForeignKey("consent.id", ondelete="SET NULL"), unique=True)
    #: The address that was confirmed, while it is stored.
    contact_point_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("contact_point.id", ondelete="SET NULL"), index=True
    )
    #: The proof: the words shown, where, in which version, from which address and browser, and a remark.
    statement: Mapped[str | None] = mapped_column(sa.Text)
    #: SHA-256 of the words, hexadecimal: shows that two consents were given for the same ones.
    statement_digest: Mapped[str | None] = mapped_column(sa.String(64))
    form: Mapped[str | None] = mapped_column(sa.String(120))
    form_version: Mapped[str | None] = mapped_column(sa.String(60))
    ip: Mapped[str | None] = mapped_column(sa.String(45), info={"personal": True})
    user_agent: Mapped[str | None] = mapped_column(sa.String(300), info={"personal": True})
    note: Mapped[str | None] = mapped_column(sa.Text, info={"personal": True})
    #: The name of the user or the part of the system that recorded it.
    recorded_by: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.UniqueConstraint("source", "external_ref"),
        sa.Index(None, "customer_id", "captured_at", "id"),
        sa.Index(None, "purpose", "channel", "customer_id", "captured_at", "id"),
    )


@sa.event.listens_for(Consent, "before_update")
def _refuse_change(_mapper: Any, _connection: Any, row: Consent) -> None:
    """Keep whoever holds a row from changing it: a fact that forms or imports overwrite proves nothing."""
    raise UnitOfWorkError(f"consent {row.uid} would be changed: the ledger is added to only, record another fact")


class Suppression(RecordMixin, Model):
    """A contact value that must not be used, known by its digest alone: it outlives the customer."""

    __tablename__ = "suppression"

    #: A key of ``choices.SUPPRESSED_CHANNELS``.
    channel: Mapped[str] = mapped_column(sa.String(20))
    #: ``hashing.value_digest`` of the normalised value.
    value_digest: Mapped[uuid.UUID]
    #: A key of ``choices.SUPPRESSION_REASONS``.
    reason: Mapped[str] = mapped_column(sa.String(20))
    since: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: The first moment at which it no longer holds; none for ever.
    until: Mapped[dt.datetime | None]
    source: Mapped[str] = mapped_column(sa.String(60))
    note: Mapped[str | None] = mapped_column(sa.Text)
    recorded_by: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (sa.Index(None, "value_digest", "channel"), sa.Index(None, "created_at", "id"))


class SuppressionMatch(Model):
    """A stored contact point whose value a suppression names."""

    __tablename__ = "suppression_match"

    contact_point_id: Mapped[int] = mapped_column(
        sa.ForeignKey("contact_point.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    suppression_id: Mapped[int] = mapped_column(
        sa.ForeignKey("suppression.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
