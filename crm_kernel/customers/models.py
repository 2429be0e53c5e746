"""The tables of a customer: who it is, how to reach it, under which numbers others know it, whom it belongs with.

Owns the columns, keys and indexes only; what may be written is decided by the services. Columns with
``info={"personal": True}`` hold personal data; ``info={"merge": …}`` on a reference to a customer says what merging
two customers does with it (``move`` to the kept one, or ``fill_gaps`` of its 1:1 row). Whoever moves contact points
or addresses must clear ``is_primary`` first: there is one primary per customer and channel.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, column_property, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.customers.values.states import ContactState
from crm_kernel.database import Amount, Model, OwnedMixin, RecordMixin, utcnow

#: Folded text: compared byte by byte on both databases, whatever the server's collation.
FoldedName = sa.String(300).with_variant(sa.String(300, collation="C"), "postgresql")
#: A normalised contact value; web addresses are the longest.
FoldedValue = sa.String(2048).with_variant(sa.String(2048, collation="C"), "postgresql")

_MERGED = sa.text("merged_into_id IS NOT NULL")
_PRIMARY_SQLITE = sa.text("is_primary = 1")
_PRIMARY_POSTGRESQL = sa.text("is_primary")


def customer_key(*, merge: str) -> Any:
    """Return a column that references a customer and goes with it, index not included."""
    return mapped_column(sa.ForeignKey("customer.id", ondelete="CASCADE"), info={"merge": merge})


class Customer(RecordMixin, OwnedMixin, Model):
    """A person, an organization or a household; what only one of them has is in the 1:1 side tables."""

    __tablename__ = "customer"

    #: ``person``, ``organization`` or ``household``; never changes.
    kind: Mapped[str] = mapped_column(sa.String(20))
    display_name: Mapped[str] = mapped_column(sa.String(300), info={"personal": True})
    #: Folded ``family given`` or name: what lists are ordered by.
    sort_name: Mapped[str] = mapped_column(FoldedName, info={"personal": True})
    #: ``active``, ``inactive`` or ``archived``.
    status: Mapped[str] = mapped_column(sa.String(20), default="active", server_default="active")
    #: ``lead``, ``prospect``, ``customer`` or ``former``.
    stage: Mapped[str] = mapped_column(sa.String(20), default="prospect", server_default="prospect")
    language: Mapped[str | None] = mapped_column(sa.String(20))
    timezone: Mapped[str | None] = mapped_column(sa.String(60))
    #: The customer this one was merged into; its old id then leads there.
    merged_into_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="SET NULL"), info={"merge": "move"}
    )
    #: The foreign system the record came from, and its key there.
    source: Mapped[str | None] = mapped_column(sa.String(60))
    external_ref: Mapped[str | None] = mapped_column(sa.String(255))
    notes: Mapped[str | None] = mapped_column(sa.Text, info={"personal": True})
    custom: Mapped[dict[str, Any]] = mapped_column(default=dict, info={"personal": True})

    if TYPE_CHECKING:
        #: Computed and deferred, set below: the primary e-mail, phone (else mobile) number and city.
        primary_email: Mapped[str | None]
        primary_phone: Mapped[str | None]
        city: Mapped[str | None]

    __table_args__ = (
        sa.UniqueConstraint("source", "external_ref"),
        sa.Index(None, "sort_name", "id"),
        sa.Index(None, "created_at", "id"),
        sa.Index(None, "updated_at", "id"),
        sa.Index(None, "status", "sort_name", "id"),
        # Of the few that were merged: every list asks for the others, and PostgreSQL would walk this index for them.
        sa.Index(None, "merged_into_id", sqlite_where=_MERGED, postgresql_where=_MERGED),
    )


class Person(Model):
    """What only a person has."""

    __tablename__ = "person"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        info={"merge": "fill_gaps"},
    )
    given_name: Mapped[str | None] = mapped_column(sa.String(120), info={"personal": True})
    family_name: Mapped[str | None] = mapped_column(sa.String(120), info={"personal": True})
    prefix: Mapped[str | None] = mapped_column(sa.String(40), info={"personal": True})
    suffix: Mapped[str | None] = mapped_column(sa.String(40), info={"personal": True})
    birth_date: Mapped[dt.date | None] = mapped_column(info={"personal": True})
    job_title: Mapped[str | None] = mapped_column(sa.String(120), info={"personal": True})


class Organization(Model):
    """What only an organization has."""

    __tablename__ = "organization"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        info={"merge": "fill_gaps"},
    )
    legal_name: Mapped[str | None] = mapped_column(sa.String(300))
    industry: Mapped[str | None] = mapped_column(sa.String(120), index=True)
    employees: Mapped[int | None] = mapped_column(sa.Integer)
    annual_revenue: Mapped[Decimal | None] = mapped_column(Amount)
    revenue_currency: Mapped[str | None] = mapped_column(sa.String(3))
    website: Mapped[str | None] = mapped_column(sa.String(2048))
    region: Mapped[str | None] = mapped_column(sa.String(120), index=True)


class ContactPoint(RecordMixin, Model):
    """One way to reach a customer; ``state`` follows from evidence and is never typed in."""

    __tablename__ = "contact_point"

    customer_id: Mapped[int] = customer_key(merge="move")
    #: ``email``, ``phone``, ``mobile``, ``fax``, ``web`` or ``social``.
    channel: Mapped[str] = mapped_column(sa.String(20))
    #: As people write it.
    value: Mapped[str] = mapped_column(sa.String(2048), info={"personal": True})
    #: What is compared: E.164, lower-case address, canonical URL.
    value_normalized: Mapped[str] = mapped_column(FoldedValue, info={"personal": True})
    label: Mapped[str | None] = mapped_column(sa.String(60))
    purpose: Mapped[str | None] = mapped_column(sa.String(20))
    is_primary: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    state: Mapped[str] = mapped_column(
        sa.String(20), default=ContactState.UNVERIFIED.value, server_default=ContactState.UNVERIFIED.value
    )
    state_since: Mapped[dt.datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        sa.Index(None, "channel", "value_normalized"),
        sa.Index(None, "customer_id", "channel", "is_primary"),
        sa.Index(
            "uq_contact_point_primary",
            "customer_id",
            "channel",
            unique=True,
            sqlite_where=_PRIMARY_SQLITE,
            postgresql_where=_PRIMARY_POSTGRESQL,
        ),
    )


class ContactPointEvent(Model):
    """One piece of evidence about a value, append-only.

    It belongs to the customer and the value, not to the contact point: removing a bounced address and typing it in
    again does not launder it.
    """

    __tablename__ = "contact_point_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = customer_key(merge="move")
    contact_point_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("contact_point.id", ondelete="SET NULL"), index=True
    )
    channel: Mapped[str] = mapped_column(sa.String(20))
    value_normalized: Mapped[str] = mapped_column(FoldedValue, info={"personal": True})
    #: A value of ``values.states.Evidence``.
    kind: Mapped[str] = mapped_column(sa.String(30))
    #: When it happened, and when we learnt it.
    occurred_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    recorded_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: Who says so (a plugin, a user's channel), and the key of the proof there: told twice, it counts once.
    source: Mapped[str] = mapped_column(sa.String(60))
    external_ref: Mapped[str | None] = mapped_column(sa.String(255))
    #: The proof in words: an SMTP answer, a remark.
    detail: Mapped[str] = mapped_column(sa.Text, default="", info={"personal": True})
    actor: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.UniqueConstraint("contact_point_id", "source", "external_ref"),
        sa.Index(None, "customer_id", "channel", "value_normalized", "id"),
    )


class Address(RecordMixin, Model):
    """A postal address."""

    __tablename__ = "address"

    customer_id: Mapped[int] = customer_key(merge="move")
    #: ``postal``, ``billing``, ``shipping``, ``visit`` or ``home``.
    purpose: Mapped[str] = mapped_column(sa.String(20), default="postal", server_default="postal")
    #: One or more lines.
    street: Mapped[str | None] = mapped_column(sa.String(300), info={"personal": True})
    postal_code: Mapped[str | None] = mapped_column(sa.String(20), info={"personal": True})
    city: Mapped[str | None] = mapped_column(sa.String(120), index=True, info={"personal": True})
    region: Mapped[str | None] = mapped_column(sa.String(120))
    country_code: Mapped[str | None] = mapped_column(sa.String(2))
    is_primary: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: ``unverified``, ``valid`` or ``undeliverable``.
    state: Mapped[str] = mapped_column(sa.String(20), default="unverified", server_default="unverified")
    valid_from: Mapped[dt.date | None]
    valid_to: Mapped[dt.date | None]

    __table_args__ = (
        sa.Index(None, "customer_id", "id"),
        sa.Index(
            "uq_address_primary",
            "customer_id",
            unique=True,
            sqlite_where=_PRIMARY_SQLITE,
            postgresql_where=_PRIMARY_POSTGRESQL,
        ),
    )


class CustomerIdentifier(RecordMixin, Model):
    """A number somebody else knows the customer by: SIREN, VAT, an id in another system; unique among all customers."""

    __tablename__ = "customer_identifier"

    customer_id: Mapped[int] = customer_key(merge="move")
    #: A name of ``values.identifiers.IDENTIFIER_TYPES``.
    type: Mapped[str] = mapped_column(sa.String(60))
    value: Mapped[str] = mapped_column(sa.String(255), info={"personal": True})
    #: The foreign system or authority; empty where the type says it all.
    issuer: Mapped[str] = mapped_column(sa.String(60), default="", server_default="")

    __table_args__ = (
        sa.UniqueConstraint("type", "value", "issuer"),
        sa.Index(None, "value"),
        sa.Index(None, "customer_id", "id"),
    )


class Relationship(RecordMixin, Model):
    """A dated tie between two customers, read "from is … of to": employee of, member of, subsidiary of."""

    __tablename__ = "relationship"

    from_customer_id: Mapped[int] = customer_key(merge="move")
    to_customer_id: Mapped[int] = customer_key(merge="move")
    #: A name of ``relationships.RELATIONSHIP_TYPES``.
    type: Mapped[str] = mapped_column(sa.String(40))
    role: Mapped[str | None] = mapped_column(sa.String(120))
    #: First and last day; open when missing.
    valid_from: Mapped[dt.date | None]
    valid_to: Mapped[dt.date | None]
    notes: Mapped[str | None] = mapped_column(sa.Text, info={"personal": True})

    __table_args__ = (
        sa.CheckConstraint("from_customer_id <> to_customer_id", name="two_customers"),
        sa.Index(None, "from_customer_id", "type"),
        sa.Index(None, "to_customer_id", "type"),
    )


def new_uid() -> uuid.UUID:
    """Return a new public id; rows written by Core do not get the mapped default."""
    return uuid7()


def _primary(*channels: str) -> Any:
    point = aliased(ContactPoint)
    found = [
        sa.select(point.value)
        .where(point.customer_id == Customer.id, point.channel == channel, point.is_primary == sa.true())
        .correlate_except(point)
        .scalar_subquery()
        for channel in channels
    ]
    return found[0] if len(found) == 1 else sa.func.coalesce(*found)


def _primary_city() -> Any:
    place = aliased(Address)
    query = sa.select(place.city).where(place.customer_id == Customer.id, place.is_primary == sa.true())
    return query.correlate_except(place).scalar_subquery()


Customer.primary_email = column_property(_primary("email"), deferred=True)
Customer.primary_phone = column_property(_primary("phone", "mobile"), deferred=True)
Customer.city = column_property(_primary_city(), deferred=True)
