"""Creates, changes and deletes customers one at a time, with all their parts.

``data`` is what ``CustomerSchema`` loaded: attribute → value, references resolved to keys, collections as lists of
plain mappings. A refused input names every wrong field by its path (``contact_points.0.value``). Writing flushes and
never commits. For many customers see ``bulk``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel.customers import rules
from crm_kernel.customers.claims import (
    identifier_claims,
    reference_claim,
    refuse_known_references,
    refuse_taken_identifiers,
)
from crm_kernel.customers.drafting import Draft, Stored, draft_changes, draft_new
from crm_kernel.customers.effects import effects_of
from crm_kernel.customers.events import CustomerCreated, CustomerDeleted, customer_updated
from crm_kernel.customers.evidence import history_of
from crm_kernel.customers.models import ContactPoint, Customer, new_uid
from crm_kernel.customers.normalising import contact_values
from crm_kernel.customers.problems import Problems
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.writing import load_stored, needs_history, write
from crm_kernel.records.ownership import with_team

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_customer(uow: UnitOfWork, data: Mapping[str, Any]) -> Customer:
    """Create a customer with its side row, contact points, addresses and identifiers, and return it, flushed.

    Raises:
        InvalidInput: a rule is broken, or an identifier or external reference belongs to another customer.
    """
    problems = Problems()
    draft = draft_new(with_team(uow, data), contact_values(), problems)
    _refuse_taken(uow, draft, None, problems)
    problems.refuse()
    customer = Customer(uid=new_uid(), created_at=uow.now, updated_at=uow.now, **draft.customer)
    uow.session.add(customer)
    uow.session.flush()
    stored = Stored(customer, None, {})
    write(uow, stored, effects_of(uow, stored, draft, {}))
    uow.record(CustomerCreated(customer_id=customer.uid, kind=customer.kind))
    return customer


def update_customer(uow: UnitOfWork, customer: Customer, changes: Mapping[str, Any]) -> None:
    """Change the given fields of a customer; a collection that is given replaces the stored one, part by part.

    Nothing is written, and no event told, when everything is as it was. A changed part raises the customer's version.

    Raises:
        InvalidInput: as for ``create_customer``.
    """
    problems = Problems()
    collections = [name for name in rules.PARTS if name in changes]
    stored = load_stored(uow, customer, collections)
    draft = draft_changes(stored, _with_new_team(uow, customer, changes), contact_values(), problems)
    _refuse_taken(uow, draft, customer.id, problems)
    problems.refuse()
    history = history_of(uow, [customer.id]) if needs_history(draft) else {}
    effects = effects_of(uow, stored, draft, history)
    changed = effects.names()
    if not changed:
        return
    write(uow, stored, effects)
    uow.record(customer_updated(customer, changed))


def delete_customer(uow: UnitOfWork, customer: Customer) -> None:
    """Delete a customer with everything that belongs to it; its sales stay in the ledger without a name.

    Raises:
        IntegrityError: a plugin's records still need it.
    """
    uow.session.delete(customer)
    uow.session.flush()
    uow.record(CustomerDeleted(customer_id=customer.uid))


def add_contact_point(uow: UnitOfWork, customer: Customer, data: Mapping[str, Any]) -> ContactPoint:
    """Add one contact point and return it, flushed; one that says the same already is changed instead.

    Raises:
        InvalidInput: under ``contact_points.<place in the customer's list>.…``.
    """
    known = _same_value(uow, customer, data)
    if known is not None:
        change_contact_point(uow, known, data)
        return known
    others = [_as_it_is(point, data) for point in _points_of(uow, customer.id)]
    update_customer(uow, customer, {"contact_points": [*others, data]})
    return cast(ContactPoint, _same_value(uow, customer, data))


def change_contact_point(uow: UnitOfWork, contact_point: ContactPoint, changes: Mapping[str, Any]) -> None:
    """Change value, channel, label, purpose or primacy of a contact point; making it primary demotes the other.

    Raises:
        InvalidInput: under ``contact_points.<place in the customer's list>.…``.
    """
    # Read before its parts: its version then tells whether somebody added one since.
    customer = uow.session.get_one(Customer, contact_point.customer_id)
    after = {"channel": contact_point.channel, **changes}
    parts = [
        {"uid": point.uid, **changes} if point is contact_point else _as_it_is(point, after)
        for point in _points_of(uow, contact_point.customer_id)
    ]
    update_customer(uow, customer, {"contact_points": parts})


def remove_contact_point(uow: UnitOfWork, contact_point: ContactPoint) -> None:
    """Remove a contact point; its evidence stays with the value, and the next of its channel becomes primary."""
    customer = uow.session.get_one(Customer, contact_point.customer_id)  # before its parts, as above
    parts = [{"uid": p.uid} for p in _points_of(uow, contact_point.customer_id) if p is not contact_point]
    update_customer(uow, customer, {"contact_points": parts})


def _same_value(uow: UnitOfWork, customer: Customer, data: Mapping[str, Any]) -> ContactPoint | None:
    channel = data.get("channel") or ""
    try:
        _shown, compared = contact_values().normalise(channel, data.get("value") or "")
    except ValueProblem:
        return None
    points = _points_of(uow, customer.id)
    return next((p for p in points if (p.channel, p.value_normalized) == (channel, compared)), None)


def _as_it_is(point: ContactPoint, newcomer: Mapping[str, Any]) -> dict[str, Any]:
    demoted = newcomer.get("is_primary") and newcomer.get("channel") == point.channel
    return {"uid": point.uid, "is_primary": False} if demoted else {"uid": point.uid}


def _points_of(uow: UnitOfWork, customer_id: int) -> Sequence[ContactPoint]:
    query = sa.select(ContactPoint).where(ContactPoint.customer_id == customer_id).order_by(ContactPoint.id)
    return uow.session.execute(query).scalars().all()


def _with_new_team(uow: UnitOfWork, customer: Customer, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    moved = changes.get("owner_id", customer.owner_id) != customer.owner_id
    return with_team(uow, changes) if moved else changes


def _refuse_taken(uow: UnitOfWork, draft: Draft, customer_id: int | None, problems: Problems) -> None:
    plan = draft.parts.get("identifiers")
    if plan is not None:
        claims = list(identifier_claims(plan, customer_id))
        refuse_taken_identifiers(uow, claims, [part.id for part in plan.removed], problems)
    refuse_known_references(uow, list(reference_claim(draft.customer, customer_id)), problems)
