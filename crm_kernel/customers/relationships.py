"""Dated ties between customers: employment, household, parent company and what else people say of each other.

A tie is read "from is … of to". Owns the types, which kinds they join, and the rules: nobody is tied to itself, the
same tie does not hold twice at a time, an organization has one parent at a time and is never its own ancestor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.customers.choices import HOUSEHOLD, KINDS, ORGANIZATION, PERSON
from crm_kernel.customers.events import customer_updated
from crm_kernel.customers.models import Customer, Relationship, new_uid
from crm_kernel.customers.problems import Problems

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_ANY = frozenset(KINDS)
_FIELDS = ("from_customer_id", "to_customer_id", "type", "role", "valid_from", "valid_to", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipType:
    """One kind of tie and whom it may join."""

    #: Seen from either end: "employee of", "employer of".
    label: Any
    reverse: Any
    from_kinds: frozenset[str] = _ANY
    to_kinds: frozenset[str] = _ANY
    #: Whether ``from`` may have only one such tie at a time.
    single: bool = False
    #: Whether following the ties upwards must never come back.
    acyclic: bool = False


RELATIONSHIP_TYPES: Mapping[str, RelationshipType] = {
    "employment": RelationshipType(
        label=_l("employee of"),
        reverse=_l("employer of"),
        from_kinds=frozenset({PERSON}),
        to_kinds=frozenset({ORGANIZATION}),
    ),
    "household": RelationshipType(
        label=_l("member of"),
        reverse=_l("household of"),
        from_kinds=frozenset({PERSON}),
        to_kinds=frozenset({HOUSEHOLD}),
    ),
    "parent_company": RelationshipType(
        label=_l("subsidiary of"),
        reverse=_l("parent company of"),
        from_kinds=frozenset({ORGANIZATION}),
        to_kinds=frozenset({ORGANIZATION}),
        single=True,
        acyclic=True,
    ),
    "buying_centre": RelationshipType(
        label=_l("takes part in buying for"),
        reverse=_l("buys with the help of"),
        from_kinds=frozenset({PERSON}),
        to_kinds=frozenset({ORGANIZATION}),
    ),
    "referrer": RelationshipType(label=_l("referred by"), reverse=_l("referrer of"), acyclic=True),
    "contact": RelationshipType(label=_l("contact for"), reverse=_l("has as contact"), from_kinds=frozenset({PERSON})),
    "partner": RelationshipType(label=_l("partner of"), reverse=_l("partner of")),
    "family": RelationshipType(
        label=_l("relative of"),
        reverse=_l("relative of"),
        from_kinds=frozenset({PERSON}),
        to_kinds=frozenset({PERSON}),
    ),
}

#: Type → label, for forms.
RELATIONSHIP_LABELS: Mapping[str, Any] = {name: type_.label for name, type_ in RELATIONSHIP_TYPES.items()}


def create_relationship(uow: UnitOfWork, data: Mapping[str, Any]) -> Relationship:
    """Tie two customers together and return the tie, flushed; two queries to check it, three for a parent company.

    Raises:
        InvalidInput: the customers are the same or of the wrong kind, or the tie overlaps or closes a circle.
    """
    row = {name: data.get(name) for name in _FIELDS}
    ends = _check(uow, row, None)
    relationship = Relationship(uid=new_uid(), created_at=uow.now, updated_at=uow.now, **row)
    uow.session.add(relationship)
    uow.session.flush()
    _tell(uow, ends)
    return relationship


def update_relationship(uow: UnitOfWork, relationship: Relationship, changes: Mapping[str, Any]) -> None:
    """Change dates, role, type or ends of a tie.

    Raises:
        InvalidInput: as for ``create_relationship``.
    """
    row = {name: changes.get(name, getattr(relationship, name)) for name in _FIELDS}
    ends = _check(uow, row, relationship.id)
    changed = {name: value for name, value in row.items() if getattr(relationship, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(relationship, name, value)
        relationship.updated_at = uow.now
        uow.session.flush()
        _tell(uow, ends)


def end_relationship(uow: UnitOfWork, relationship: Relationship, *, on: dt.date | None = None) -> None:
    """End a tie; ``on`` is its last day, today (UTC) if not given. History stays, which deleting would lose.

    Raises:
        InvalidInput: the tie begins later.
    """
    update_relationship(uow, relationship, {"valid_to": on or uow.now.date()})


def delete_relationship(uow: UnitOfWork, relationship: Relationship) -> None:
    """Delete a tie that was never true."""
    keys = (relationship.from_customer_id, relationship.to_customer_id)
    ends = uow.session.execute(sa.select(Customer).where(Customer.id.in_(keys))).scalars().all()
    uow.session.delete(relationship)
    uow.session.flush()
    _tell(uow, {customer.id: customer for customer in ends})


def _check(uow: UnitOfWork, row: Mapping[str, Any], own_id: int | None) -> Mapping[int, Customer]:
    problems = Problems()
    start, end = row["valid_from"], row["valid_to"]
    if start and end and end < start:
        problems.add("valid_to", _("Ends before it begins on %(start)s.", start=start))
    if row["from_customer_id"] == row["to_customer_id"]:
        problems.add("to_customer", _("A customer cannot be tied to itself: choose another one."))
    problems.refuse()
    # Both rows are locked, in one order: two ties that contradict each other are then written one after the other.
    query = sa.select(Customer).where(Customer.id.in_((row["from_customer_id"], row["to_customer_id"])))
    found = uow.session.execute(query.order_by(Customer.id).with_for_update()).scalars()
    ends = {customer.id: customer for customer in found}
    type_ = RELATIONSHIP_TYPES.get(row["type"])
    if type_ is None:
        known = ", ".join(RELATIONSHIP_TYPES)
        problems.add("type", _("Found %(found)s, expected one of: %(known)s.", found=row["type"], known=known))
    else:
        _check_kinds(row, type_, ends, problems)
        _check_overlap(uow, row, type_, own_id, problems)
        if type_.acyclic and not problems:
            _check_circle(uow, row, own_id, problems)
    problems.refuse()
    return ends


def _check_kinds(
    row: Mapping[str, Any], type_: RelationshipType, ends: Mapping[int, Customer], problems: Problems
) -> None:
    for field, kinds in (("from_customer", type_.from_kinds), ("to_customer", type_.to_kinds)):
        customer = ends.get(row[f"{field}_id"])
        if customer is None:
            problems.add(field, _("No such customer."))
        elif customer.kind not in kinds:
            expected = ", ".join(str(KINDS[kind]) for kind in KINDS if kind in kinds)
            problems.add(
                field,
                _("Is of the kind %(found)s, expected: %(expected)s.", found=KINDS[customer.kind], expected=expected),
            )


def _check_overlap(
    uow: UnitOfWork, row: Mapping[str, Any], type_: RelationshipType, own_id: int | None, problems: Problems
) -> None:
    table = Relationship
    same = sa.and_(table.to_customer_id == row["to_customer_id"], table.role.is_not_distinct_from(row["role"]))
    query = sa.select(table.valid_from, table.valid_to).where(
        table.from_customer_id == row["from_customer_id"],
        table.type == row["type"],
        table.id != own_id if own_id is not None else sa.true(),
        sa.true() if type_.single else same,
        _overlaps(row),
    )
    other = uow.session.execute(query.limit(1)).first()
    if other is not None:
        problems.add(
            "valid_from",
            _("Overlaps a tie of the same kind from %(start)s until %(end)s: end that one first.",
              start=other.valid_from or "…", end=other.valid_to or "…"),
        )  # fmt: skip


def _check_circle(uow: UnitOfWork, row: Mapping[str, Any], own_id: int | None, problems: Problems) -> None:
    table = Relationship
    upwards = (table.type == row["type"], _overlaps(row), table.id != own_id if own_id is not None else sa.true())
    ancestors = (
        sa.select(table.to_customer_id.label("id"))
        .where(table.from_customer_id == row["to_customer_id"], *upwards)
        .cte("ancestors", recursive=True)
    )
    # UNION, not UNION ALL: ends even in a circle that was there before.
    ancestors = ancestors.union(
        sa.select(table.to_customer_id).join(ancestors, table.from_customer_id == ancestors.c.id).where(*upwards)
    )
    found = sa.select(sa.literal(1)).select_from(ancestors).where(ancestors.c.id == row["from_customer_id"])
    if uow.session.execute(found.limit(1)).first() is not None:
        problems.add("to_customer", _("Closes a circle: this customer already stands below the other one."))


def _overlaps(row: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """Return the predicate: the stored tie holds on some day of the period of ``row``, last days included."""
    table = Relationship
    begins = sa.or_(table.valid_from.is_(None), table.valid_from <= row["valid_to"]) if row["valid_to"] else sa.true()
    ends = sa.or_(table.valid_to.is_(None), table.valid_to >= row["valid_from"]) if row["valid_from"] else sa.true()
    return sa.and_(begins, ends)


def _tell(uow: UnitOfWork, ends: Mapping[int, Customer]) -> None:
    for customer in ends.values():
        uow.record(customer_updated(customer, ["relationships"]))
