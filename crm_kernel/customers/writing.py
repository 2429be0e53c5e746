"""Loads one stored customer with its parts and writes what a draft changes of it, through the session."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.customers import rules
from crm_kernel.customers.consent.suppression import match_points_of
from crm_kernel.customers.contact_points import new_values
from crm_kernel.customers.drafting import PART_MODELS, Draft, Stored
from crm_kernel.customers.effects import Effects, PartEffects
from crm_kernel.customers.models import ContactPointEvent, Customer

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def load_stored(uow: UnitOfWork, customer: Customer, parts: Collection[str]) -> Stored:
    """Return a customer with its side row and the named collections; one query each."""
    side = rules.SIDE_MODELS.get(customer.kind)
    return Stored(
        customer,
        uow.session.get(side, customer.id) if side else None,
        {name: _parts_of(uow, customer, PART_MODELS[name]) for name in parts},
    )


def needs_history(draft: Draft) -> bool:
    """Say whether a draft brings contact values whose evidence must be looked up."""
    return "contact_points" in draft.parts and new_values(draft.parts["contact_points"])


def write(uow: UnitOfWork, stored: Stored, effects: Effects) -> None:
    """Write the changes of one customer, flushed; any of them raises the customer's version."""
    customer = stored.customer
    _release(uow, effects)
    _set(customer, {**effects.customer, "updated_at": uow.now})
    model = rules.SIDE_MODELS.get(customer.kind)
    if model is not None and stored.side is None:
        stored.side = model(customer_id=customer.id)
        uow.session.add(stored.side)
    _set(stored.side, effects.side)
    for name, parts in effects.parts.items():
        _write_parts(uow, customer, PART_MODELS[name], parts)
    uow.session.flush()
    if effects.parts.get("contact_points"):
        match_points_of(uow, [customer.id])


def _parts_of(uow: UnitOfWork, customer: Customer, model: type[Any]) -> list[Any]:
    query = sa.select(model).where(model.customer_id == customer.id).order_by(model.id)
    return list(uow.session.execute(query).scalars())


def _release(uow: UnitOfWork, effects: Effects) -> None:
    """Delete what goes and demote what is no longer primary before anything takes its place."""
    for parts in effects.parts.values():
        for part in parts.removed:
            uow.session.delete(part)
        for part in parts.demoted:
            part.is_primary = False
    uow.session.flush()


def _write_parts(uow: UnitOfWork, customer: Customer, model: type[Any], effects: PartEffects) -> None:
    for part, changed in effects.updates:
        _set(part, {**changed, "updated_at": uow.now})
    uow.session.add_all(model(customer_id=customer.id, **row) for row in effects.inserts)
    uow.session.add_all(ContactPointEvent(**row) for row in effects.evidence)
    for event in effects.events:
        uow.record(event)


def _set(target: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(target, name, value)
