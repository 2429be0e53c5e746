"""What a form says when somebody else changed the record while it was open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.pages.presenting import text_of
from crm_kernel.records.payloads import EXTENSIONS, load
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan
from crm_kernel.records.reading import read_one
from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Collision:
    """What differs between a form that came too late and the record: all of it, so that saving again is knowing."""

    message: str
    #: Field → what it says now.
    differences: dict[str, list[str]]
    #: The record's version now.
    version: int


def collision(uow: UnitOfWork, plan: TypePlan, uid: UUID, payload: Mapping[str, Any]) -> Collision | None:
    """Return what a form that came too late would replace; None where that cannot be told whole.

    Told are plain fields. A form with lists of parts or fields of modules that are not the record's, or with values that
    do not fit, has to be begun anew: saving it would replace what its reader has not been shown.
    """
    uow.session.expire_all()
    now = read_one(uow, plan.record_type, uid)
    try:
        typed, sides = load(plan, payload, partial=True)
    except InvalidInput:
        return None
    if not (_same_parts(plan, now, payload, typed) and _same_sides(plan, now, sides)):
        return None
    message = _(
        "Somebody else changed this record meanwhile. What it says now stands at each field that differs; "
        "saving again keeps what is typed here."
    )
    return Collision(message, dict(_differences(plan, now, typed)), int(now["version"]))


def _differences(plan: TypePlan, now: Mapping[str, Any], typed: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, field in plan.fields.items():
        attribute = field.field.attribute or name
        if field.kind is Kind.COLLECTION or attribute not in typed:
            continue
        if name not in now or not _same(field, typed[attribute], now[name]):
            text = text_of(field, now[name], now) if name in now else _("(hidden)")
            yield name, [_("Here it says “%(now)s” now.", now=text or "–")]


def _same_parts(plan: TypePlan, now: Mapping[str, Any], payload: Mapping[str, Any], typed: Mapping[str, Any]) -> bool:
    """Say whether the lists of parts in a form are the record's, in the fields that the form has."""
    from crm_kernel.records.plan import field_plans

    for name, field in plan.fields.items():
        if field.kind is not Kind.COLLECTION or name not in payload:
            continue
        collection: Any = field.field
        own = field_plans(collection.part_schema, collection.model)
        given, parts = typed.get(collection.attribute or name) or [], now.get(name) or []
        if len(given) != len(parts):
            return False
        for one, other in zip(given, parts, strict=True):
            shown = {key: found for key, found in own.items() if key != "id" and (found.field.attribute or key) in one}
            if not all(_same(found, one[found.field.attribute or key], other.get(key)) for key, found in shown.items()):
                return False
    return True


def _same_sides(plan: TypePlan, now: Mapping[str, Any], sides: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether the fields of modules in a form are the record's."""
    for extension, values in sides.items():
        stored = (now.get(EXTENSIONS) or {}).get(extension) or {}
        for name, field in plan.extension_fields[extension].items():
            attribute = field.field.attribute or name
            if attribute in values and not _same(field, values[attribute], stored.get(name)):
                return False
    return True


def _same(field: FieldPlan, typed: Any, now: Any) -> bool:
    if field.kind is Kind.REFERENCE and isinstance(now, Mapping):
        now = now["id"]
    return bool((None if typed in ("", []) else typed) == (None if now in ("", []) else now))
