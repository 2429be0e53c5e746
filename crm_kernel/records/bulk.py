"""Writes many records at once, under the same schema, policy, rules of plugins, audit and search as one at a time.

A type's own ``services.create_many`` / ``update_many`` write the type's tables and nothing else; side rows of
extensions, audit rows, search entries and the one bulk event are written here, for every type alike (what such a
service changes through the session is audited and indexed by that). Types that only have single services get these
called row by row; types without services are written by Core: ``executemany`` on SQLite, ``COPY`` on PostgreSQL.

A refused row is named by its place: the paths of ``InvalidInput`` start with its number, from 0 (``3.amount``), in the
order the rows or changes were given. Nothing is written before all rows have passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.rows import among, insert_rows
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.models import AuditLog
from crm_kernel.access.policy import authorize, visible
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records import bulk_rows
from crm_kernel.records.bulk_singly import create_singly, update_singly
from crm_kernel.records.custom_fields.values import apart, write_values
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.identities import rename
from crm_kernel.records.models import SearchEntry
from crm_kernel.records.ownership import with_owners
from crm_kernel.records.plan import TypePlan, plan_of
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.search import entry_of, index_records, store_entries
from crm_kernel.records.storing import unique_conflicts

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Attribute → value as the schema loaded it, references resolved to keys.
Row = Mapping[str, Any]
#: Extension name → attribute → value.
Sides = Mapping[str, Row]


def create_many(
    uow: UnitOfWork,
    record_type: RecordType,
    rows: Sequence[Row],
    *,
    extensions: Sequence[Sides] = (),
    uids: Sequence[UUID | None] = (),
) -> list[int]:
    """Create records and return their keys in the order of the rows.

    Args:
        extensions: per row the values of extensions, if any; empty, or as long as ``rows``.
        uids: per row the public id it had in another instance, None for a new one; empty, or as long as ``rows``.
            A taken one tells that it is: give ids of strangers only for an actor who sees all records of the type.

    Raises:
        Forbidden: the actor may not create records of this type.
        InvalidInput: rules refuse rows; paths start with the row's number.
        Conflict: a unique value is taken.
    """
    authorize(uow.actor, record_type.permission(record_type.importing or "create"))
    if not rows:
        return []
    plan = plan_of(record_type)
    owned = with_owners(uow, record_type, rows)
    _ask_plugins(uow, record_type, [(None, row) for row in owned])
    with unique_conflicts():
        if record_type.services.create and not record_type.services.create_many:
            return create_singly(uow, plan, owned, extensions, uids)
        write = record_type.services.create_many
        split = [apart(row) for row in owned]
        own = [row for row, _custom in split]
        keys = list(write(uow, own) if write else bulk_rows.insert_records(uow, record_type, own))
        write_values(uow, plan, {key: custom for key, (_own, custom) in zip(keys, split, strict=True)})
        rename(uow, record_type.model, {key: uid for key, uid in zip(keys, uids, strict=False) if uid is not None})
        bulk_rows.insert_sides(uow, plan, dict(zip(keys, extensions, strict=False)))
    stored = uids_of(uow, record_type, keys)
    after = [{**row, **_flat(sides)} for row, sides in zip(owned, extensions or [{}] * len(keys), strict=True)]
    _audit(uow, record_type, "created", [(stored[key], None, found) for key, found in zip(keys, after, strict=True)])
    _index_new(uow, plan, keys)
    _tell(uow, record_type, created=len(keys))
    return keys


def update_many(
    uow: UnitOfWork,
    record_type: RecordType,
    changes: Mapping[int, Row],
    *,
    extensions: Mapping[int, Sides] | None = None,
) -> list[int]:
    """Change records by key and return the keys of those that are different now, in order.

    The rows are locked until the transaction ends. Values that are what they were are no change: they raise no
    version and leave no audit row.

    Args:
        changes: key → attribute → new value; a key may have no own changes, only some of an extension.
        extensions: key → the values of extensions.

    Raises:
        Forbidden: a record does not exist, or the actor may not change it.
        InvalidInput: rules refuse changes; paths start with their place in ``changes``.
        Conflict: a unique value is taken.
    """
    sides = extensions or {}
    keys = sorted({*changes, *sides})
    authorize(uow.actor, record_type.permission("update"))
    if not keys:
        return []
    plan = plan_of(record_type)
    records = _lock(uow, record_type, keys)
    _ask_plugins(uow, record_type, [(records.get(key), row) for key, row in changes.items()])
    names = sorted({name for row in changes.values() for name in row})
    before = bulk_rows.current_values(uow, plan, keys, names, _side_names(sides))
    singly = record_type.services.update is not None and record_type.services.update_many is None
    with unique_conflicts():
        if singly:
            update_singly(uow, plan, changes)
            bulk_rows.write_sides(uow, plan, sides)
        else:
            _update_together(uow, plan, changes, before)
            bulk_rows.upsert_sides(uow, plan, sides)
            uow.session.expire_all()
    after = bulk_rows.current_values(uow, plan, keys, names, _side_names(sides))
    changed = [key for key in keys if before[key] != after[key]]
    if not singly:
        _finish(uow, record_type, changed, before, after)
    return changed


def changed_records(uow: UnitOfWork, event: RecordsBulkChanged) -> list[UUID]:
    """Return the public ids of the records a bulk event tells about, those deleted since included; one query."""
    statement = sa.select(AuditLog.record_uid).where(
        AuditLog.request_id == event.run_id,
        AuditLog.record_type == event.record_type,
        AuditLog.at == event.changed_at,
        AuditLog.action.in_(("created", "updated")),
    )
    return [uid for uid in uow.session.execute(statement.order_by(AuditLog.id)).scalars() if uid is not None]


def uids_of(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> dict[int, UUID]:
    """Return key → public id; one query per 5,000."""
    model, found = record_type.model, dict[int, UUID]()
    for part in bulk_rows.slices(keys):
        query = sa.select(model.id, model.uid).where(among(uow.session, model.id, part))
        found |= {row[0]: row[1] for row in uow.session.execute(query)}
    return found


def _update_together(uow: UnitOfWork, plan: TypePlan, changes: Mapping[int, Row], before: Mapping[int, Row]) -> None:
    record_type = plan.record_type
    split = {key: apart(row) for key, row in changes.items()}
    own = {key: row for key, (row, _custom) in split.items() if row}
    if record_type.services.update_many:
        record_type.services.update_many(uow, own)
    else:
        differing = {key: {n: v for n, v in row.items() if before[key][n] != v} for key, row in own.items()}
        bulk_rows.update_records(uow, record_type, {key: row for key, row in differing.items() if row})
    write_values(uow, plan, {key: custom for key, (_own, custom) in split.items()})


def _lock(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> dict[int, Any]:
    """Lock the rows and return their objects where a plugin's rule wants to see them."""
    model, seen = record_type.model, visible(uow.actor, record_type, "update")
    wanted = model if _others_ask("crm_authorize") or _others_ask("crm_validate") else model.id
    found: dict[int, Any] = {}
    for part in bulk_rows.slices(keys):
        statement = sa.select(wanted).where(among(uow.session, model.id, part), seen).with_for_update(of=model)
        for value in uow.session.execute(statement).scalars():
            found[value if wanted is model.id else value.id] = value
    if len(found) < len(set(keys)):
        raise Forbidden(_("%(who)s may not change all of these records.", who=uow.actor.name))
    if wanted is model.id:
        return {}
    for record in found.values():
        authorize(uow.actor, record_type.permission("update"), record)
    return found


def _others_ask(hook: str) -> bool:
    from crm_kernel._internal.runtime import runtime_of

    return any(name != "kernel" for name, _impl in runtime_of(current_app).manager.implementations(hook))


def _ask_plugins(uow: UnitOfWork, record_type: RecordType, rows: Sequence[tuple[Any, Row]]) -> None:
    from crm_kernel._internal.runtime import runtime_of

    manager = runtime_of(current_app).manager
    if not manager.implementations("crm_validate"):
        return
    errors: dict[str, list[str]] = {}
    for place, (record, values) in enumerate(rows):
        for _plugin, refused in manager.call(
            "crm_validate", uow=uow, record_type=record_type, record=record, changes=values
        ):
            for name, messages in (refused or {}).items():
                errors.setdefault(f"{place}.{name}", []).extend(messages)
    if errors:
        raise InvalidInput(errors)


def _finish(
    uow: UnitOfWork,
    record_type: RecordType,
    changed: Sequence[int],
    before: Mapping[int, Row],
    after: Mapping[int, Row],
) -> None:
    if not changed:
        return
    differences = {key: bulk_rows.difference(before[key], after[key]) for key in changed}
    beside = ("extensions.", "cf_")
    only_sides = [
        key for key, (old, new) in differences.items() if all(path.startswith(beside) for path in {**old, **new})
    ]
    bulk_rows.touch(uow, record_type, only_sides)
    # What the type's service wrote through the session is audited and indexed with the commit.
    unseen = [key for key in changed if (record_type.name, key) not in uow.audited]
    uids = uids_of(uow, record_type, unseen)
    _audit(uow, record_type, "updated", [(uids[key], *differences[key]) for key in unseen])
    if record_type.search:
        index_records(uow, record_type, unseen)
    _tell(uow, record_type, updated=len(changed))


def _audit(uow: UnitOfWork, record_type: RecordType, action: str, rows: Sequence[tuple[UUID, Row | None, Row]]) -> None:
    found = [
        AuditRow(uid, before, {k: v for k, v in after.items() if v is not None or before})
        for uid, before, after in rows
    ]
    record_audit_many(uow, record_type.name, action, found)


def _index_new(uow: UnitOfWork, plan: TypePlan, keys: Sequence[int]) -> None:
    """Insert the words of new records as they are stored now; by COPY where keys are never given twice."""
    record_type = plan.record_type
    if not record_type.search:
        return
    words = bulk_rows.searched_values(uow, plan, keys)
    entries = {key: entry_of(record_type, values) for key, values in words.items()}
    if uow.session.get_bind().dialect.name == "sqlite":  # gives keys of deleted rows again: an entry may be left over
        store_entries(uow, record_type, entries)
        return
    rows = [{"record_type": record_type.name, "record_id": key, **entry} for key, entry in entries.items()]
    insert_rows(uow.session, cast(sa.Table, SearchEntry.__table__), rows)


def _tell(uow: UnitOfWork, record_type: RecordType, *, created: int = 0, updated: int = 0) -> None:
    """Record the bulk event of this transaction, or raise the numbers of the one recorded before."""
    for place, event in enumerate(uow.events):
        if isinstance(event, RecordsBulkChanged) and event.record_type == record_type.name:
            uow.events[place] = replace(event, created=event.created + created, updated=event.updated + updated)
            return
    uow.record(
        RecordsBulkChanged(
            run_id=uow.request_id, record_type=record_type.name, changed_at=uow.now, created=created, updated=updated
        )
    )


def _flat(sides: Sides) -> dict[str, Any]:
    return {f"extensions.{name}.{key}": value for name, values in sides.items() for key, value in values.items()}


def _side_names(sides: Mapping[int, Sides]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for values in sides.values():
        for name, row in values.items():
            found.setdefault(name, set()).update(row)
    return {name: sorted(attributes) for name, attributes in found.items()}
