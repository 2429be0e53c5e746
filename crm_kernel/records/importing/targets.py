"""Where in a record a column's value goes: ``display_name``, ``id``, ``bank.iban``, ``contact_points.email``.

The grammar of field paths in mappings and of the headers ``crm export`` writes; resolved against a record type once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Choice, Collection
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, field_plans

Payload = dict[str, Any]
#: Columns with the same one fill the same part of a collection: the kind of part, and its number among these.
Group = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """One place in the raw input of a record."""

    path: str
    #: The schema field; None for ``id``.
    field: FieldPlan | None
    #: Puts a value into a payload; ``ValueError`` says what was expected of one that does not fit there.
    put: Callable[[Payload, Any], None]
    #: Field path under which the schema reports errors of this place, without the numbers of parts.
    root: str
    #: Whether it is part of a collection: an empty value then makes no part.
    in_part: bool = False
    #: Which part it is in, and the field of that part.
    group: Group | None = None
    attribute: str = ""
    #: Returns the part of a payload that it goes into, made if it is not there yet.
    part: Callable[[Payload], Payload] | None = None


def target_of_path(plan: TypePlan, path: str, taken: dict[str, int]) -> Target:
    """Return the target a path names.

    Args:
        taken: part paths given out so far; the same part attribute named again starts a further part.

    Raises:
        InvalidInput: the record type has no such field, or it is never written; the known ones are listed.
    """
    head, _dot, rest = path.partition(".")
    if path in ("id", "extensions"):
        return Target(path, None, _put_extensions if path == "extensions" else _putter(path), path)
    if head == "extensions":
        head, _dot, rest = rest.partition(".")
    if rest and head in plan.extension_fields:
        return _extension_target(plan, path, head, rest)
    field = plan.fields.get(head)
    if field is not None and field.writable and field.kind is Kind.COLLECTION:
        return _part_target(field, path, rest, taken) if rest else _whole_collection(field, path)
    if field is None or not field.writable or (rest and (rest, field.kind) != ("id", Kind.REFERENCE)):
        raise _unknown(plan, path)
    return Target(path, field, _putter(head), head)


def known_paths(plan: TypePlan) -> list[str]:
    """Return the field paths of a record type that can be imported, in schema order."""
    found = ["id"]
    for name, field in plan.fields.items():
        if field.writable:
            found += _part_paths(field) if field.kind is Kind.COLLECTION else [name]
    for extension, fields in plan.extension_fields.items():
        found += [f"{extension}.{name}" for name, field in fields.items() if field.writable]
    return found


def whole_paths(plan: TypePlan) -> list[str]:
    """Return the fields that take a list or an object of JSON lines as it is, in schema order."""
    kinds = (Kind.COLLECTION, Kind.REFERENCE, Kind.MULTICHOICE, Kind.JSON)
    found = [name for name, field in plan.fields.items() if field.writable and field.kind in kinds]
    return [*found, "extensions"] if plan.extension_fields else found


def references_of(plan: TypePlan) -> Iterator[tuple[str, FieldPlan]]:
    """Yield (extension, reference) of what a row may point at; the type's own with an empty name."""
    for extension, fields in {"": plan.fields, **plan.extension_fields}.items():
        yield from ((extension, field) for field in fields.values() if field.kind is Kind.REFERENCE and field.writable)


def discriminator(fields: Mapping[str, FieldPlan]) -> FieldPlan | None:
    """Return the part field that tells parts apart (``channel``, ``purpose``, ``type``): the first choice."""
    return next((field for field in fields.values() if isinstance(field.field, Choice) and field.writable), None)


def part_fields(field: FieldPlan) -> dict[str, FieldPlan]:
    """Return the fields of a collection's parts."""
    collection = cast(Collection, field.field)
    return field_plans(collection.part_schema, collection.model)


def _putter(name: str) -> Callable[[Payload, Any], None]:
    def put(payload: Payload, value: Any) -> None:
        payload[name] = value

    return put


def _put_extensions(payload: Payload, value: Any) -> None:
    """Put the fields of several extensions, as JSON lines hold them, beside those that other columns give."""
    given = {} if value is None else value
    if not isinstance(given, dict) or not all(isinstance(fields, dict | None) for fields in given.values()):
        raise ValueError(_("an object of objects: extension, field, value"))
    for extension, fields in given.items():
        payload.setdefault("extensions", {}).setdefault(extension, {}).update(fields or {})


def _extension_target(plan: TypePlan, path: str, extension: str, name: str) -> Target:
    name, _dot, rest = name.partition(".")
    field = plan.extension_fields[extension].get(name)
    if field is None or not field.writable or (rest and (rest, field.kind) != ("id", Kind.REFERENCE)):
        raise _unknown(plan, path)

    def put(payload: Payload, value: Any) -> None:
        payload.setdefault("extensions", {}).setdefault(extension, {})[name] = value

    return Target(path, field, put, f"extensions.{extension}.{name}")


def _whole_collection(field: FieldPlan, path: str) -> Target:
    """Return the target of a list of parts, as JSON lines hold it; what is only ever read is left out of them."""
    writable = {name for name, part in part_fields(field).items() if part.writable} | {"id"}

    def put(payload: Payload, value: Any) -> None:
        whole = isinstance(value, list) and all(isinstance(part, dict) for part in value)
        kept = [{n: v for n, v in part.items() if n in writable} for part in value] if whole else value
        payload[field.name] = kept

    return Target(path, field, put, field.name)


def _part_target(field: FieldPlan, path: str, rest: str, taken: dict[str, int]) -> Target:
    fields = part_fields(field)
    told = discriminator(fields)
    kind, _dot, attribute = rest.partition(".")
    fixed: dict[str, Any] = {}
    if told is not None and kind in told.field.choices:  # type: ignore[attr-defined]
        fixed = {told.name: kind}
        attribute = attribute or "value"
    else:
        kind, attribute = "", rest
    named = attribute.removesuffix(".id")
    if attribute != named and named in fields and fields[named].kind is Kind.REFERENCE:
        attribute = named
    if attribute not in fields or not fields[attribute].writable:
        known = ", ".join(_part_paths(field))
        raise InvalidInput({path: [_("unknown part; known: %(known)s.", known=known)]})
    number = taken[path] = taken.get(path, -1) + 1
    group = (kind, number)

    def part_of(payload: Payload) -> Payload:
        parts = payload.get(field.name) or []
        if not isinstance(parts, list):  # another column holds the whole list, and it is none
            raise ValueError(_("a list"))
        payload[field.name] = parts
        part = next((part for part in parts if isinstance(part, dict) and part.get(_GROUP) == group), None)
        if part is None:
            part = {_GROUP: group, **fixed}
            parts.append(part)
        return part

    def put(payload: Payload, value: Any) -> None:
        part_of(payload)[attribute] = value

    return Target(
        path, fields[attribute], put, field.name, in_part=True, group=group, attribute=attribute, part=part_of
    )


#: Marks, while a payload is made, which columns share a part; taken out by ``finish_parts``.
_GROUP = "__group"


def finish_parts(payload: Payload, collections: tuple[str, ...]) -> dict[str, list[Group]]:
    """Take the marks out of a payload's parts once all its columns are put; return them by collection, in order."""
    marks: dict[str, list[Group]] = {}
    for name in collections:
        parts = payload.get(name)
        for part in parts if isinstance(parts, list) else ():  # of a JSON line it may be anything
            if isinstance(part, dict) and _GROUP in part:
                marks.setdefault(name, []).append(part.pop(_GROUP))
    return marks


def _part_paths(field: FieldPlan) -> list[str]:
    fields = part_fields(field)
    told = discriminator(fields)
    if told is not None and "value" in fields:
        return [f"{field.name}.{kind}" for kind in told.field.choices]  # type: ignore[attr-defined]
    return [f"{field.name}.{name}" for name, part in fields.items() if part.writable]


def _unknown(plan: TypePlan, path: str) -> InvalidInput:
    known = ", ".join(known_paths(plan))
    name = plan.record_type.name
    return InvalidInput({path: [_("%(type)s has no such field to import; known: %(known)s.", type=name, known=known)]})
