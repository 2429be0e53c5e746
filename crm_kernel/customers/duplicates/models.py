"""The tables of duplicates: what customers are found and compared by, and pairs that wait for a decision or have one."""

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


class DuplicateProfile(Model):
    """What of a customer is compared, folded once: the scan reads it for every pair, in one row instead of four tables.

    Texts of several are separated by spaces (words, street, numbers) or by line ends.
    """

    __tablename__ = "duplicate_profile"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        info={"merge": "keep_target"},
    )
    kind: Mapped[str] = mapped_column(sa.String(20))
    given: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    family: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    words: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    birth: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    street: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    numbers: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    postcode: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    city: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    region: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    country: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    emails: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    phones: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    identifiers: Mapped[str] = mapped_column(sa.Text, info={"personal": True})


class DuplicateBlock(Model):
    """A key that too many customers share: it makes no pairs."""

    __tablename__ = "duplicate_block"

    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: How many share it; of one found since the last count, how many are too many.
    customers: Mapped[int] = mapped_column(sa.Integer)


class DuplicateTerm(Model):
    """How many customers share a name, a street or a place; one that fewer than three share is not written down."""

    __tablename__ = "duplicate_term"

    #: Place of the comparison that the term belongs to.
    comparison: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    #: The folded text; empty for all customers that have any.
    term: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    customers: Mapped[int] = mapped_column(sa.Integer)


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
    #: Open pairs with one number are reviewed together: customers that all of them tie into one.
    cluster: Mapped[int | None]
    #: One of the two was created because nobody could be asked whether he is the other: judged as a form judges.
    captured: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    found_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.UniqueConstraint("first_id", "second_id"),
        sa.CheckConstraint("first_id < second_id", name="ordered"),
        sa.Index(None, "state", "score", "id"),
        # The strongest open pair of a cluster is its last entry.
        sa.Index(None, "cluster", "state", "score", "id"),
    )
