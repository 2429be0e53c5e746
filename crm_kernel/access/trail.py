"""Collects what a unit of work changes, record by record, for the audit log.

Listens to the session's flushes. A record's own columns, its 1:1 side tables, its collections (contact points, lines)
and the extensions of plugins all count as changes of that record. Writes nothing: see ``audit.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from flask import current_app, g, has_app_context
from sqlalchemy.orm import InstanceState, SessionTransaction

from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.access.masking import HIDDEN, OMIT, masked, treatment_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_kernel._internal.registry import Registry
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

CREATED, UPDATED, DELETED = "created", "updated", "deleted"

_NEVER = frozenset({"id", "uid", "version", "created_at", "updated_at"})
_MAP = "crm_audit_map"
_SAVEPOINTS = "crm_audit_savepoints"


@dataclass(frozen=True, slots=True)
class Watched:
    """A mapped class whose changes belong to a record: the record type's model itself, or a part of it."""

    record_type: RecordType
    #: Column attributes whose changes count.
    columns: Sequence[str]
    #: Attribute with the record's key.
    key: str
    #: What part it is: ``""`` for the record itself and side tables, ``contact_points``, ``extensions.bank``.
    part: str = ""
    is_record: bool = False
    #: Whether a record has many of these: each change is then named by its own id.
    many: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened to one record so far: attribute path → value before and after."""

    record_type: RecordType
    key: int
    action: str = UPDATED
    uid: UUID | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def collect(session: Session, _context: Any = None) -> None:
    """Add what a flush wrote to the unit of work's changes; attached to the session's ``after_flush``."""
    uow: UnitOfWork | None = g.get("crm_uow") if has_app_context() else None
    if uow is None or EXTENSION not in current_app.extensions:
        return
    watched = _watched()
    for action, part in ((CREATED, session.new), (UPDATED, session.dirty), (DELETED, session.deleted)):
        for changed in part:
            rule = _rule_of(watched, type(changed))
            if rule is not None:
                _merge(uow.audited, rule, sa.inspect(changed), action)


def remember_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Keep the changes as they are when a savepoint begins; attached to ``after_transaction_create``."""
    uow: UnitOfWork | None = g.get("crm_uow") if has_app_context() else None
    if transaction.nested and uow is not None:
        session.info.setdefault(_SAVEPOINTS, WeakKeyDictionary())[transaction] = dict(uow.audited)


def restore_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Forget the changes of a savepoint that is rolled back; attached to ``after_soft_rollback``."""
    uow: UnitOfWork | None = g.get("crm_uow") if has_app_context() else None
    kept = session.info.get(_SAVEPOINTS, {}).get(transaction)
    if uow is not None and kept is not None:
        uow.audited.clear()
        uow.audited.update(kept)


def net_changes(changes: Iterable[Change]) -> Iterator[Change]:
    """Yield the changes that are left: values that came back to what they were are no change."""
    for change in changes:
        if change.action != UPDATED:
            yield change
            continue
        paths = [p for p in change.after if p not in change.before or change.before[p] != change.after[p]]
        secret = [p for p in change.after if change.after[p] == HIDDEN]
        kept = dict.fromkeys((*paths, *secret))
        if kept:
            before = {path: change.before[path] for path in kept if path in change.before}
            yield replace(change, before=before, after={path: change.after[path] for path in kept})


def _merge(found: dict[Any, Change], rule: Watched, state: InstanceState[Any], action: str) -> None:
    key = state.dict.get(rule.key)
    if key is None:
        return
    place = (rule.record_type.name, key)
    so_far = found.get(place)
    if rule.is_record and action == DELETED and so_far is not None and so_far.action == CREATED:
        del found[place]
        return
    change = so_far or Change(rule.record_type, key)
    before, after = _values(rule, state, action)
    merged = replace(change, before={**before, **change.before}, after={**change.after, **after})
    found[place] = _of_record(merged, state.dict.get("uid"), action) if rule.is_record else merged


def _of_record(change: Change, uid: UUID | None, action: str) -> Change:
    if action == CREATED:
        return replace(change, uid=uid, action=CREATED, before={})
    if action == DELETED:
        return replace(change, uid=uid, action=DELETED, after={})
    return replace(change, uid=uid or change.uid)


def _values(rule: Watched, state: InstanceState[Any], action: str) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in rule.columns:
        history = state.attrs[name].history
        if action == UPDATED and not history.has_changes():
            continue
        path = _path(rule, state, name)
        current = state.dict.get(name)
        old = history.deleted[0] if history.deleted else (current if action == DELETED else None)
        if name == "custom" and rule.is_record:
            _add_custom(rule, old, None if action == DELETED else current, before, after)
            continue
        if action == DELETED or (action == UPDATED and history.deleted):
            before[path] = old
        if action == UPDATED or (action == CREATED and current is not None):
            after[path] = current
    return masked(rule.record_type.name, before), masked(rule.record_type.name, after)


def _add_custom(rule: Watched, old: Any, new: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Add the custom fields that differ, each under its own name."""
    from crm_kernel.records.custom_fields.values import as_values

    changed = {name for name in {**(old or {}), **(new or {})} if (old or {}).get(name) != (new or {}).get(name)}
    if changed:
        was, now = as_values(rule.record_type, old or {}), as_values(rule.record_type, new or {})
        before |= {name: was[name] for name in sorted(changed) if name in was}
        after |= {name: now.get(name) for name in sorted(changed) if name in now or new is not None}


def _path(rule: Watched, state: InstanceState[Any], name: str) -> str:
    if not rule.part:
        return name
    own = f".{state.dict.get('uid', state.dict.get('id'))}" if rule.many else ""
    return f"{rule.part}{own}.{name}"


def _rule_of(watched: Mapping[type[Any], Watched], model: type[Any]) -> Watched | None:
    return next((watched[base] for base in model.__mro__ if base in watched), None)


def _watched() -> dict[type[Any], Watched]:
    found: dict[type[Any], Watched] | None = current_app.extensions.get(_MAP)
    if found is None:
        found = current_app.extensions[_MAP] = watched_models(current_app.extensions[EXTENSION].registry)
    return found


def watched_models(registry: Registry) -> dict[type[Any], Watched]:
    """Return every mapped class whose changes are audited, with the record they belong to."""
    from crm_kernel.records.fields import Collection

    found: dict[type[Any], Watched] = {}
    for record_type in registry.all("record_types"):
        for name, schema_field in record_type.schema._declared_fields.items():
            side = schema_field.metadata.get("side")
            if side is not None:
                key = _primary(side)
                found.setdefault(side, Watched(record_type, _columns(side, key), key))
            if isinstance(schema_field, Collection):
                model, key = schema_field.model, schema_field.key
                found.setdefault(model, Watched(record_type, _columns(model, key), key, part=name, many=True))
        for extension in registry.extensions_of(record_type.name):
            key, part = _primary(extension.model), f"extensions.{extension.name}"
            found[extension.model] = Watched(record_type, _columns(extension.model, key), key, part=part)
    for record_type in registry.all("record_types"):
        found[record_type.model] = Watched(record_type, _columns(record_type.model, "id"), "id", is_record=True)
    return found


def _primary(model: type[Any]) -> str:
    mapper = sa.inspect(model)
    return str(mapper.get_property_by_column(mapper.primary_key[0]).key)


def _columns(model: type[Any], key: str) -> tuple[str, ...]:
    # Computed attributes (column_property) are nobody's change.
    stored = [a.key for a in sa.inspect(model).column_attrs if isinstance(a.columns[0], sa.Column)]
    treatments = treatment_of(model)
    return tuple(n for n in stored if n not in _NEVER and n != key and treatments.get(n) != OMIT)
