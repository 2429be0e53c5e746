"""The tables of privacy: who must not be erased, who was erased or anonymised, and the rules by which it happens by itself.

A receipt and the list of erased ids hold no personal data: counts, names of tables, digests.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.customers.models import customer_key
from crm_kernel.database import Json, Model, RecordMixin, utcnow


class LegalHold(RecordMixin, Model):
    """A reason not to erase a customer: a lawsuit, an investigation; it ends by being released."""

    __tablename__ = "legal_hold"

    customer_id: Mapped[int] = customer_key(merge="move")
    reason: Mapped[str] = mapped_column(sa.String(300), info={"personal": True})
    since: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: The first moment at which it no longer holds; none until it is released.
    until: Mapped[dt.datetime | None]
    recorded_by: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (sa.Index(None, "customer_id", "until"), sa.Index(None, "created_at", "id"))


class Erasure(RecordMixin, Model):
    """The receipt of an erasure or an anonymising: which tables, how many rows, what was kept and why."""

    __tablename__ = "erasure"

    #: A key of ``choices.ERASURE_REASONS``.
    reason: Mapped[str] = mapped_column(sa.String(20))
    #: A key of ``choices.ACTIONS``.
    action: Mapped[str] = mapped_column(sa.String(20), default="erase", server_default="erase")
    #: How many customers, those merged into them included.
    customers: Mapped[int] = mapped_column(sa.Integer)
    #: One entry per table and fate: ``table``, ``module``, ``fate``, ``rows``, ``why``.
    entries: Mapped[list[Any]] = mapped_column(Json)
    #: The rule that did it, if one did.
    rule: Mapped[str | None] = mapped_column(sa.String(120))
    recorded_by: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (sa.Index(None, "created_at", "id"),)


class ErasedSubject(Model):
    """The digest of an erased customer's public id: recognises it in a backup that is restored later."""

    __tablename__ = "erased_subject"

    digest: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    erasure_id: Mapped[int] = mapped_column(sa.ForeignKey("erasure.id", ondelete="CASCADE"), index=True)
    erased_at: Mapped[dt.datetime] = mapped_column(default=utcnow, index=True)


class AnonymisedCustomer(Model):
    """Says of a customer that what named it is gone, and since when; one row per customer, the last time counts."""

    __tablename__ = "anonymised_customer"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, info={"merge": "stay"}
    )
    erasure_id: Mapped[int] = mapped_column(sa.ForeignKey("erasure.id", ondelete="CASCADE"), index=True)
    anonymised_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


class RetentionRule(RecordMixin, Model):
    """Which customers are erased or anonymised when nothing happened with them for so long."""

    __tablename__ = "retention_rule"

    name: Mapped[str] = mapped_column(sa.String(120), unique=True)
    #: A filter tree over customers, as JSON text; None for all of them.
    condition: Mapped[str | None] = mapped_column(sa.Text)
    #: A key of ``choices.ACTIONS``.
    action: Mapped[str] = mapped_column(sa.String(20), default="erase", server_default="erase")
    #: Months without touch point, sale, consent or change.
    months: Mapped[int] = mapped_column(sa.Integer)
    #: Whether the nightly job carries it out; a new rule is only planned with.
    active: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    last_run_at: Mapped[dt.datetime | None]
    last_erased: Mapped[int | None] = mapped_column(sa.Integer)
