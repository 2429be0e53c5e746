"""Reads about merges: what one would do, what one did, which there were. Everything as the actor may see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import visible
from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.customers.models import Customer
from crm_kernel.data_map.columns import customer_columns
from crm_kernel.data_map.references import STAY
from crm_kernel.errors import NotFound
from crm_kernel.records.plan import record_type, record_types

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The kernel's tables that people know and that are no record type of their own.
_PARTS: Mapping[str, Any] = {
    "contact_point": _l("Contact points"),
    "address": _l("Addresses"),
    "customer_identifier": _l("Identifiers"),
}


@dataclass(frozen=True, slots=True)
class Moving:
    """Rows of one kind that a merge moves; ``rows`` is None for a module that is not loaded."""

    label: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """A merge as the actor may see it."""

    id: UUID
    #: The one that went, and the one that stayed.
    source: Customer
    target: Customer
    state: str
    merged_at: Any
    merged_by: str
    unmerged_at: Any
    unmerged_by: str | None
    #: What was moved, removed, completed: label → rows.
    rows: Mapping[str, int]
    #: What unmerging left otherwise: label → what → rows.
    since: Mapping[str, Mapping[str, int]]


def moving(uow: UnitOfWork, source: Customer) -> list[Moving]:
    """Return what merging a customer into another would move, by label; only rows that the actor may see are counted.

    One query per table that has some; modules that are disabled or uninstalled are named without a count.
    """
    found: dict[str, int | None] = {}
    for column in customer_columns(uow):
        label = _label_of(uow, column.table)
        if column.merge_rule == STAY or not column.is_foreign_key or column.table == "customer":
            continue
        if label is None:
            if not _is_loaded(column.plugin):
                found[_("The module %(module)s, which is switched off", module=column.plugin)] = None
            continue
        rows = uow.session.scalar(_count(uow, column.table, column.column, source.id)) or 0
        found[label] = (found.get(label) or 0) + rows
    return [Moving(label, rows) for label, rows in sorted(found.items()) if rows != 0]


def run_by(uow: UnitOfWork, uid: UUID) -> MergeRun:
    """Return the run of a public id.

    Raises:
        NotFound: there is none, or the actor may not see the customer that stayed.
    """
    row = uow.session.scalar(_visible_runs(uow).where(MergeRun.uid == uid))
    if row is None:
        raise NotFound(_("There is no merge with the id %(id)s.", id=uid))
    return row


def last_run_into(uow: UnitOfWork, target: Customer) -> MergeRun | None:
    """Return the merge into a customer that would be taken back next, or None."""
    query = sa.select(MergeRun).where(MergeRun.target_id == target.id, MergeRun.state == "merged")
    return uow.session.scalars(query.order_by(MergeRun.id.desc()).limit(1)).first()


def runs_into(uow: UnitOfWork, target: Customer, *, limit: int = 20) -> list[MergeRun]:
    """Return the merges into a customer that hold, the last first."""
    query = sa.select(MergeRun).where(MergeRun.target_id == target.id, MergeRun.state == "merged")
    return list(uow.session.scalars(query.order_by(MergeRun.id.desc()).limit(limit)))


def described(uow: UnitOfWork, rows: Sequence[MergeRun]) -> list[Run]:
    """Return runs with their customers; one query for all."""
    keys = {key for row in rows for key in (row.source_id, row.target_id)}
    query = sa.select(Customer).where(Customer.id.in_(keys)) if keys else None
    known = {found.id: found for found in uow.session.scalars(query)} if query is not None else {}
    return [
        Run(
            id=row.uid,
            source=known[row.source_id],
            target=known[row.target_id],
            state=row.state,
            merged_at=row.merged_at,
            merged_by=row.merged_by,
            unmerged_at=row.unmerged_at,
            unmerged_by=row.unmerged_by,
            rows={label: sum(counts.values()) for label, counts in _told(uow, row.counts).items()},
            since=_told(uow, row.since or {}),
        )
        for row in rows
    ]


def _told(uow: UnitOfWork, counts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the counts of the tables the actor may read, by label."""
    return {label: dict(found) for table, found in sorted(counts.items()) if (label := _label_of(uow, table))}


def _label_of(uow: UnitOfWork, table: str) -> str | None:
    if table in _PARTS:
        return str(_PARTS[table])
    for found in record_types().values():
        if found.model.__table__.name == table and uow.actor.may(found.permission("read")):
            return None if found.name == "customer" else str(found.label_plural)
    return None


def _count(uow: UnitOfWork, table: str, column: str, key: int) -> sa.Select[Any]:
    for found in record_types().values():
        if found.model.__table__.name == table:
            mine = found.model.__table__.c[column] == key
            rows = sa.select(sa.func.count()).select_from(found.model)
            return rows.where(mine, visible(uow.actor, found))
    part = sa.table(table, sa.column(column, sa.BigInteger))
    return sa.select(sa.func.count()).select_from(part).where(part.c[column] == key)


def _is_loaded(plugin: str) -> bool:
    from crm_kernel._internal.runtime import runtime_of

    return plugin == "kernel" or plugin in runtime_of(current_app).manager.names


def _visible_runs(uow: UnitOfWork) -> sa.Select[MergeRun]:
    # The one that stayed may have been merged in turn: then the run is its survivor's.
    seen = sa.select(Customer.id).where(visible(uow.actor, record_type("customer")))
    stayed = sa.select(Customer.id).where(sa.or_(Customer.id.in_(seen), Customer.merged_into_id.in_(seen)))
    return sa.select(MergeRun).where(MergeRun.target_id.in_(stayed))
