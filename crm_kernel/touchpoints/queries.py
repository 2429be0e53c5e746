"""The timeline of a customer: every touch point the actor may see, newest first, in one query however long it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.policy import sees_all, visible
from crm_kernel.customers.models import Customer
from crm_kernel.records.plan import record_type
from crm_kernel.records.subjects import possible_subjects, seen_subjects
from crm_kernel.touchpoints.models import Interaction

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a timeline page ended: the next one holds what is older."""

    occurred_at: dt.datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Timeline:
    """One page of touch points, newest first."""

    items: Sequence[Interaction]
    #: Give it as ``before`` for the next page; None at the end.
    earlier: Moment | None


def timeline_of(uow: UnitOfWork, customer: Customer, *, before: Moment | None = None, limit: int = 30) -> Timeline:
    """Return one page of a customer's timeline; one query, page k costs what page 1 costs.

    An entry about a record is shown to those who may see the customer and that record; one about a record that is gone,
    or whose module is not loaded, to nobody.
    """
    table = Interaction
    query = sa.select(table).where(table.customer_id == customer.id, visible(uow.actor, record_type("interaction")))
    if before is not None:
        same_time = sa.and_(table.occurred_at == before.occurred_at, table.uid < before.id)
        query = query.where(
            table.occurred_at <= before.occurred_at, sa.or_(table.occurred_at < before.occurred_at, same_time)
        )
    ordered = query.order_by(table.occurred_at.desc(), table.uid.desc()).limit(limit + 1)
    found = uow.session.execute(ordered).scalars().all()
    shown = found[:limit]
    earlier = Moment(shown[-1].occurred_at, shown[-1].uid) if len(found) > limit else None
    return Timeline(shown, earlier)


def visible_interactions(actor: Actor) -> sa.ColumnElement[bool]:
    """Return the predicate over ``Interaction``: its customer is visible, and its subject if it has one.

    One EXISTS per record type the actor may read at all. The visibility of the record type ``interaction``, so that
    every list, search, export and timeline asks it.
    """
    subjects = seen_subjects(actor, Interaction, [t for t in possible_subjects() if t.name != "interaction"])
    customers = record_type("customer")
    own = sa.exists().where(Customer.id == Interaction.customer_id, visible(actor, customers)).correlate(Interaction)
    return sa.and_(
        sa.true() if sees_all(actor, customers) else own, sa.or_(Interaction.subject_type.is_(None), subjects)
    )
