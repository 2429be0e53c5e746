"""Reads about customers beyond their list and page: by contact value, their parts, their ties. All as the actor may see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import sees_all, visible
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.models import (
    Address,
    ContactPoint,
    ContactPointEvent,
    Customer,
    CustomerIdentifier,
    Relationship,
)
from crm_kernel.customers.normalising import contact_values
from crm_kernel.customers.relationships import RELATIONSHIP_TYPES
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.states import ContactState
from crm_kernel.records.plan import record_type, said_title

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """A relationship as one of its two customers sees it."""

    id: UUID
    type: str
    #: Lazy text from this side: "employer of".
    label: Any
    other_id: UUID
    other_name: str
    other_kind: str
    role: str | None
    valid_from: dt.date | None
    valid_to: dt.date | None

    def current(self, day: dt.date) -> bool:
        """Say whether the tie holds on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


def customers_by_contact_point(uow: UnitOfWork, channel: str, value: str) -> Sequence[Customer]:
    """Return the visible customers with this contact value however it is written, by name; one query.

    A caller's number is looked for in all telephone channels. Text that is no such value belongs to nobody; nor is anybody known
    by a value that is marked as somebody else's, or that was given up.
    """
    try:
        _shown, compared = contact_values().normalise(channel, value)
    except ValueProblem:
        return []
    channels = PHONE_CHANNELS if channel in PHONE_CHANNELS else (channel,)
    owners = sa.select(ContactPoint.customer_id).where(
        ContactPoint.channel.in_(channels),
        ContactPoint.value_normalized == compared,
        ContactPoint.state.not_in((ContactState.WRONG_PERSON, ContactState.RETIRED)),
    )
    query = sa.select(Customer).where(Customer.id.in_(owners), visible(uow.actor, record_type("customer")))
    return uow.session.execute(query.order_by(Customer.sort_name, Customer.id)).scalars().all()


def contact_points_of(uow: UnitOfWork, customer: Customer) -> Sequence[ContactPoint]:
    """Return a customer's contact points: by channel, the primary one first, then as they came; one query."""
    query = sa.select(ContactPoint).where(ContactPoint.customer_id == customer.id)
    order = (ContactPoint.channel, ContactPoint.is_primary.desc(), ContactPoint.id)
    return uow.session.execute(query.order_by(*order)).scalars().all()


def evidence_of(uow: UnitOfWork, contact_point: ContactPoint) -> Sequence[ContactPointEvent]:
    """Return what is known about a contact point's present value, newest first; one query."""
    table = ContactPointEvent
    query = sa.select(table).where(
        table.customer_id == contact_point.customer_id,
        table.channel == contact_point.channel,
        table.value_normalized == contact_point.value_normalized,
    )
    return uow.session.execute(query.order_by(table.id.desc())).scalars().all()


def addresses_of(uow: UnitOfWork, customer: Customer) -> Sequence[Address]:
    """Return a customer's addresses, the primary one first; one query."""
    query = sa.select(Address).where(Address.customer_id == customer.id)
    return uow.session.execute(query.order_by(Address.is_primary.desc(), Address.id)).scalars().all()


def identifiers_of(uow: UnitOfWork, customer: Customer) -> Sequence[CustomerIdentifier]:
    """Return a customer's identifiers by type; one query."""
    table = CustomerIdentifier
    query = sa.select(table).where(table.customer_id == customer.id)
    return uow.session.execute(query.order_by(table.type, table.id)).scalars().all()


def visible_relationships(actor: Actor) -> sa.ColumnElement[bool]:
    """Return the predicate over ``Relationship``: both customers are visible; the visibility of its record type."""
    customers = record_type("customer")
    if sees_all(actor, customers):
        return sa.true()
    seen = sa.select(Customer.id).where(visible(actor, customers))
    return sa.and_(Relationship.from_customer_id.in_(seen), Relationship.to_customer_id.in_(seen))


def relationships_of(uow: UnitOfWork, customer: Customer) -> list[Tie]:
    """Return a customer's ties to customers the actor may see, current ones and past ones, by the other's name.

    One query. Ties of a type that is not known any more are left out.
    """
    table, outgoing = Relationship, Relationship.from_customer_id == customer.id
    other = sa.case((outgoing, table.to_customer_id), else_=table.from_customer_id)
    query = (
        sa.select(table, Customer.uid, said_title(record_type("customer")), Customer.kind)
        .join(Customer, Customer.id == other)
        .where(sa.or_(outgoing, table.to_customer_id == customer.id), visible(uow.actor, record_type("customer")))
        .order_by(Customer.sort_name, table.id)
    )
    rows = uow.session.execute(query)
    ties = [_tie(customer, *row) for row in rows if row[0].type in RELATIONSHIP_TYPES]
    unseen: dict[str, Any] = dict.fromkeys(
        hidden_fields(uow.actor, "relationship") & {"role", "valid_from", "valid_to"}
    )
    return [replace(tie, **unseen) for tie in ties] if unseen else ties


def _tie(customer: Customer, row: Relationship, uid: UUID, name: str, kind: str) -> Tie:
    type_ = RELATIONSHIP_TYPES[row.type]
    return Tie(
        id=row.uid,
        type=row.type,
        label=type_.label if row.from_customer_id == customer.id else type_.reverse,
        other_id=uid,
        other_name=name,
        other_kind=kind,
        role=row.role,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )
