"""What a draft changes, column by column: the difference between a customer as stored and as it will be.

Writes nothing itself: ``writing`` applies it to one customer through the session, ``bulk`` to many below the ORM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_kernel.customers.contact_points import moved
from crm_kernel.customers.drafting import Draft, Stored
from crm_kernel.customers.events import ContactPointStateChanged
from crm_kernel.customers.evidence import History, evidence_row
from crm_kernel.customers.matching import PartsPlan, Row
from crm_kernel.customers.models import new_uid
from crm_kernel.customers.values.states import Evidence, replay

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(slots=True)
class PartEffects:
    """The changes of one collection."""

    removed: list[Any] = field(default_factory=list)
    #: Stored parts that lose their primacy before another part takes it: two are never primary.
    demoted: list[Any] = field(default_factory=list)
    #: Stored part → its changed columns.
    updates: list[tuple[Any, Row]] = field(default_factory=list)
    #: Full rows of new parts, the customer's key aside.
    inserts: list[Row] = field(default_factory=list)
    #: Rows of evidence that go with them.
    evidence: list[Row] = field(default_factory=list)
    events: list[ContactPointStateChanged] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.removed or self.updates or self.inserts)


@dataclass(slots=True)
class Effects:
    """The changes of one customer: changed columns of its own row and its side row, and of its collections."""

    customer: Row
    side: Row
    parts: Mapping[str, PartEffects]

    def names(self) -> set[str]:
        """Return the names of the fields and collections that change; empty when nothing does."""
        changed = {name for name, effects in self.parts.items() if effects}
        return (self.customer.keys() | self.side.keys() | changed) - {"sort_name"}


def effects_of(uow: UnitOfWork, stored: Stored, draft: Draft, history: History) -> Effects:
    """Return what a draft changes of a stored customer; ``history`` is needed for new contact values only."""
    customer = stored.customer
    return Effects(
        customer={name: value for name, value in draft.customer.items() if getattr(customer, name) != value},
        side={name: value for name, value in draft.side.items() if getattr(stored.side, name, None) != value},
        parts={
            name: _point_effects(uow, customer, plan, history) if name == "contact_points" else _part_effects(uow, plan)
            for name, plan in draft.parts.items()
        },
    )


def new_part(uow: UnitOfWork, row: Row) -> Row:
    """Return the full row of a new part, the customer's key aside."""
    return {"uid": new_uid(), "version": 1, "created_at": uow.now, "updated_at": uow.now, **row}


def _part_effects(uow: UnitOfWork, plan: PartsPlan[Any]) -> PartEffects:
    effects = PartEffects(removed=plan.removed, inserts=[new_part(uow, item.row) for item in plan.added])
    for part, row in plan.kept():
        changed = {name: value for name, value in row.items() if getattr(part, name) != value}
        if changed:
            effects.updates.append((part, changed))
        # One that changes its channel leaves its old place free first, too.
        if getattr(part, "is_primary", False) and ("channel" in changed or not row["is_primary"]):
            effects.demoted.append(part)
            changed |= {"is_primary": row["is_primary"]}
    return effects


def _point_effects(uow: UnitOfWork, customer: Any, plan: PartsPlan[Any], history: History) -> PartEffects:
    """Like other parts; and a value that was known before gets the state its evidence says, one never seen none.

    So editing a bounced address away and back launders nothing, nor does removing it and typing it in again.
    """
    effects = _part_effects(uow, plan)
    for row in effects.inserts:
        known = history.get((customer.id, row["channel"], row["value_normalized"]), ())
        row |= {"state": replay(known).value, "state_since": uow.now}
    rows = {id(part): row for part, row in plan.kept()}
    for part, changed in effects.updates:
        row = rows[id(part)]
        if moved(part, row):
            value = (row["channel"], row["value_normalized"])
            known = history.get((customer.id, *value), ())
            if not known:
                source = f"user:{uow.channel}"
                effects.evidence.append(evidence_row(uow, part, Evidence.CORRECTED, value=value, source=source))
            _enter(uow, customer.uid, part, row["channel"], replay(known).value, changed, effects)
    return effects


def _enter(
    uow: UnitOfWork, customer: UUID, part: Any, channel: str, state: str, changed: Row, effects: PartEffects
) -> None:
    if part.state == state:
        return
    changed |= {"state": state, "state_since": uow.now}
    effects.events.append(
        ContactPointStateChanged(
            customer_id=customer, contact_point_id=part.uid, channel=channel, before=part.state, after=state
        )
    )
