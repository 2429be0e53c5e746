"""The tables of duplicates: the keys customers are found by, and pairs that wait for a decision or have one."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Json, Model, utcnow


class DuplicateKey(Model):
    """One blocking key of a customer, as a digest; customers that share some are compared."""

    __tablename__ = "duplicate_key"

    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
        info={"merge": "keep_target"},
    )

    __table_args__ = ({"sqlite_with_rowid": False},)


class DuplicateCandidate(Model):
    """Two customers that may be one, and what was decided about them."""

    __tablename__ = "duplicate_candidate"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    #: The customer with the lower key, and the other.
    first_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"), info={"merge": "keep_target"}
    )
    second_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"), index=True, info={"merge": "keep_target"}
    )
    #: The probability that they are one.
    score: Mapped[float] = mapped_column(sa.Double)
    #: The level of every comparison, in their order.
    levels: Mapped[list[int]] = mapped_column(Json)
    #: ``open``, ``merged`` or ``dismissed``; a dismissed pair is never proposed again.
    state: Mapped[str] = mapped_column(sa.String(20), default="open", server_default="open")
    found_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.UniqueConstraint("first_id", "second_id"),
        sa.CheckConstraint("first_id < second_id", name="ordered"),
        sa.Index(None, "state", "score", "id"),
    )
