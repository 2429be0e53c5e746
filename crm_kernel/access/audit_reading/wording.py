"""What an entry of the audit log says to a reader: which fields changed, from what to what, in his language.

Only fields that the type's schema shows, and that the reader's roles show him, are told; columns of no field and keys of
the database are told to nobody. References are told by the title of what they point to, where the reader sees it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.masking import HIDDEN
from crm_kernel.access.policy import visible
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.pages.presenting import plain_text, text_of
from crm_kernel.records.plan import Kind, TypePlan, field_plans, plan_of, record_types, said_title, target_of

if TYPE_CHECKING:
    from crm_kernel.records.fields import Collection
    from crm_kernel.records.plan import FieldPlan
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Record type → key → the record as references show it: ``{"id", "title"}``; None for what the reader does not see.
_Titles = Mapping[str, Mapping[int, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Told:
    """One value that an entry tells, before and after; a created record has nothing before."""

    #: As the API names it: ``status``, ``contact_points.<id>.value``, ``extensions.bank.risk``.
    field: str
    label: str
    before: Any
    after: Any
    #: The two as people read them; empty for nothing.
    before_text: str
    after_text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A stored path and the field it belongs to; without one the values are facts about the act."""

    path: str
    field: str
    label: str
    plan: FieldPlan | None = None


def told_by(uow: UnitOfWork, rows: Sequence[Any]) -> list[list[Told]]:
    """Return what each of the rows (of ``audit_rows``) tells the actor; one query per type that references point to."""
    places = [list(_places(uow, row)) for row in rows]
    titles = _titles(uow, rows, places)
    return [[_told(place, row, titles) for place in found] for row, found in zip(rows, places, strict=True)]


def titles_of(uow: UnitOfWork, rows: Iterable[Any]) -> dict[tuple[str, UUID], str]:
    """Return (record type, public id) → title of the records that entries are about and the actor sees; one query per type."""
    known = record_types()
    wanted: dict[str, set[UUID]] = {}
    for row in rows:
        if row.record_uid is not None and row.record_type in known:
            wanted.setdefault(row.record_type, set()).add(row.record_uid)
    found: dict[tuple[str, UUID], str] = {}
    for name, uids in wanted.items():
        model = known[name].model
        query = sa.select(model.uid, said_title(known[name])).where(model.uid.in_(uids))
        for uid, title in uow.session.execute(query.where(visible(uow.actor, known[name]))):
            found[name, uid] = _in_words(known[name], title) or _("(without a name)")
    return found


def _places(uow: UnitOfWork, row: Any) -> Iterator[_Place]:
    """Yield the places of a row that the actor may read, in the order of the schema where there is one."""
    paths = list(dict.fromkeys((*(row.before or ()), *(row.after or ()))))
    record_type = record_types().get(row.record_type)
    if record_type is None or row.record_uid is None:
        yield from (_Place(path, path, path) for path in paths if not path.endswith("_id"))
        return
    plan = plan_of(record_type)
    hidden = hidden_from(uow.actor, plan)
    order = {name: number for number, name in enumerate(plan.fields)}
    found = [place for path in paths if (place := _place(plan, path)) and not _is_hidden(place, hidden)]
    yield from sorted(found, key=lambda place: order.get(place.field.partition(".")[0], len(order)))


def _place(plan: TypePlan, path: str) -> _Place | None:
    head, _dot, rest = path.partition(".")
    if head == "extensions":
        extension, _dot, name = rest.partition(".")
        label = next((str(found.label) for found in plan.extensions if found.name == extension), extension)
        return _inner(plan.extension_fields.get(extension, {}), f"{head}.{extension}", name, label, path)
    if rest:
        collection = plan.fields.get(head)
        if collection is None or collection.kind is not Kind.COLLECTION or not collection.readable:
            return None
        declared = cast("Collection", collection.field)
        own = field_plans(declared.part_schema, declared.model)
        prefix, _dot, name = rest.rpartition(".")
        return _inner(own, f"{head}.{prefix}", name, str(collection.label), path)
    field = _field(plan.fields, path)
    return None if field is None else _Place(path, field.name, str(field.label), field)


def _inner(fields: Mapping[str, FieldPlan], prefix: str, name: str, label: str, path: str) -> _Place | None:
    field = _field(fields, name)
    return None if field is None else _Place(path, f"{prefix}.{field.name}", f"{label}: {field.label}", field)


def _field(fields: Mapping[str, FieldPlan], name: str) -> FieldPlan | None:
    """Return the readable field that a column's attribute belongs to; its own name, or the attribute it is stored in."""
    found = fields.get(name) or next((f for f in fields.values() if f.field.attribute == name), None)
    return found if found is not None and found.readable else None


def _is_hidden(place: _Place, hidden: frozenset[str]) -> bool:
    name = place.field.removeprefix("extensions.")
    return name in hidden or name.partition(".")[0] in hidden


def _titles(uow: UnitOfWork, rows: Sequence[Any], places: Sequence[Sequence[_Place]]) -> _Titles:
    wanted: dict[str, set[int]] = {}
    for row, found in zip(rows, places, strict=True):
        for place in found:
            if place.plan is not None and place.plan.kind is Kind.REFERENCE:
                values = ((row.before or {}).get(place.path), (row.after or {}).get(place.path))
                keys = {value for value in values if isinstance(value, int)}
                wanted.setdefault(target_of(place.plan).name, set()).update(keys)
    return {name: _named(uow, name, keys) for name, keys in wanted.items() if keys}


def _named(uow: UnitOfWork, name: str, keys: set[int]) -> dict[int, Mapping[str, Any]]:
    target = record_types()[name]
    model = target.model
    query = sa.select(model.id, model.uid, said_title(target)).where(model.id.in_(keys), visible(uow.actor, target))
    rows = uow.session.execute(query)
    return {key: {"id": str(uid), "title": _in_words(target, title)} for key, uid, title in rows}


def _in_words(record_type: RecordType, title: Any) -> str:
    """Return a title as people read it: that of a relationship is one of its choices."""
    field = plan_of(record_type).fields.get(record_type.title)
    return str(title or "") if field is None or field.kind is Kind.REFERENCE else text_of(field, title, {})


def _told(place: _Place, row: Any, titles: _Titles) -> Told:
    before, after = (
        _shown(place, (values or {}).get(place.path), values or {}, titles) for values in (row.before, row.after)
    )
    return Told(place.field, place.label, before[0], after[0], before[1], after[1])


def _shown(place: _Place, value: Any, values: Mapping[str, Any], titles: _Titles) -> tuple[Any, str]:
    """Return a value as the API gives it and as people read it."""
    field = place.plan
    if value is None:
        return None, ""
    if value == HIDDEN:
        return None, _("(secret)")
    if field is None:
        return value, plain_text(value) if not isinstance(value, Mapping) else str(value)
    if field.kind is Kind.REFERENCE:
        value = titles.get(target_of(field).name, {}).get(value) or {"id": None, "title": None}
    try:
        text = text_of(field, _typed(field, value), values)
    except (ArithmeticError, TypeError, ValueError, AttributeError):  # written by an older version of the schema
        text = plain_text(value)
    return value, text


def _typed(field: FieldPlan, value: Any) -> Any:
    """Return a stored value as its field gives it: the log keeps decimals and times as text."""
    if not isinstance(value, str):
        return value
    if field.kind is Kind.MONEY or (field.kind is Kind.NUMBER and not value.isdigit()):
        return Decimal(value)
    if field.kind is Kind.DATE:
        return dt.date.fromisoformat(value)
    return dt.datetime.fromisoformat(value) if field.kind is Kind.DATETIME else value
