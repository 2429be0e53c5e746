"""What a record type's schema means in SQL: one plan per field, made once per application and version of custom fields.

List pages, API, filters, sorting, import and export all read these plans instead of looking into schemas themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import fields as ma
from sqlalchemy.orm import InstrumentedAttribute

from crm_kernel.errors import NotFound
from crm_kernel.records import fields
from crm_kernel.records.calendar import within_calendar
from crm_kernel.records.record_type import Extension, RecordType

if TYPE_CHECKING:
    from marshmallow import Schema


class Kind(StrEnum):
    """How a field is compared, shown and edited."""

    TEXT = "text"
    EMAIL = "email"
    URL = "url"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MULTICHOICE = "multichoice"
    REFERENCE = "reference"
    COLLECTION = "collection"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One schema field: where it is stored and how it is treated."""

    name: str
    field: ma.Field[Any]
    kind: Kind
    label: Any
    #: Attribute of the model, or of the 1:1 side table; a typed expression for a custom field; None for collections and
    #: fields that are not stored.
    column: InstrumentedAttribute[Any] | None
    #: The side table's model, if the column is on one.
    side: type[Any] | None = None

    @property
    def writable(self) -> bool:
        """Whether forms, API and imports may set it."""
        return not self.field.dump_only

    @property
    def readable(self) -> bool:
        """Whether it is ever shown."""
        return not self.field.load_only

    @property
    def nullable(self) -> bool:
        """Whether rows without a value exist: a side table's row may be missing altogether."""
        return self.side is not None or self.column is None or bool(getattr(self.column, "nullable", True))


@dataclass(frozen=True, slots=True)
class TypePlan:
    """A record type with the plans of its fields and its extensions, ready to be queried."""

    record_type: RecordType
    fields: Mapping[str, FieldPlan]
    extensions: tuple[Extension, ...]
    extension_fields: Mapping[str, Mapping[str, FieldPlan]]

    def named(self, name: str) -> FieldPlan | None:
        """Return a field of the type or, as ``bank.risk``, of an extension; that one with its full name and its table."""
        extension, dot, own = name.partition(".")
        if not dot:
            return self.fields.get(name)
        found = self.extension_fields.get(extension, {}).get(own)
        model = next((known.model for known in self.extensions if known.name == extension), None)
        return None if found is None else replace(found, name=name, side=model)

    def collections(self) -> list[FieldPlan]:
        """Return the fields that hold lists of parts."""
        return [plan for plan in self.fields.values() if plan.kind is Kind.COLLECTION]

    def plain(self) -> tuple[str, ...]:
        """Return the names of the readable fields that one row holds, in schema order."""
        return tuple(
            n for n, p in self.fields.items() if p.kind is not Kind.COLLECTION and p.readable and p.column is not None
        )


def record_types() -> dict[str, RecordType]:
    """Return the record types of the current application by name, in their lasting order."""
    from crm_kernel._internal.runtime import runtime_of

    return {found.name: found for found in runtime_of(current_app).registry.all("record_types")}


def record_type(name: str) -> RecordType:
    """Return a record type by name.

    Raises:
        NotFound: no loaded module has it.
    """
    from crm_kernel._internal.runtime import runtime_of

    found = runtime_of(current_app).registry.get("record_types", name)
    if found is None:
        known = ", ".join(sorted(record_types()))
        raise NotFound(_("There is no record type %(name)s; loaded: %(known)s.", name=repr(name), known=known))
    return cast(RecordType, found)


def plan_of(wanted: RecordType) -> TypePlan:
    """Return the plan of a record type with the active extensions and the custom fields there are now."""
    from crm_kernel.records.custom_fields.current import held
    from crm_kernel.records.custom_fields.planning import with_custom

    now = held()
    declared = now.fields.get(wanted.name)
    if not declared:
        return _declared_plan(wanted)
    found = now.made.get(wanted.name)
    if found is None:
        found = now.made[wanted.name] = with_custom(_declared_plan(wanted), declared)
    return cast(TypePlan, found)


def _declared_plan(wanted: RecordType) -> TypePlan:
    plans: dict[str, TypePlan] = current_app.extensions.setdefault("crm_record_plans", {})
    found = plans.get(wanted.name)
    if found is None:
        found = plans[wanted.name] = _make_plan(wanted)
    return found


def _make_plan(wanted: RecordType) -> TypePlan:
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.contributions import active

    runtime = runtime_of(current_app)
    extensions = tuple(active(runtime.registry.extensions_of(wanted.name), runtime.manager.names))
    return TypePlan(
        wanted,
        _with_times(wanted, field_plans(wanted.schema, wanted.model)),
        extensions,
        {extension.name: field_plans(extension.schema, extension.model) for extension in extensions},
    )


def field_plans(schema: type[Schema], model: type[Any]) -> dict[str, FieldPlan]:
    """Return the plans of a schema's fields over a model, in declaration order; ``id`` is not among them."""
    declared = schema().fields
    return {name: _field_plan(name, field, model) for name, field in declared.items() if name not in ("id", "version")}


def _with_times(wanted: RecordType, plans: dict[str, FieldPlan]) -> dict[str, FieldPlan]:
    labels = {"created_at": _l("Created"), "updated_at": _l("Changed")}
    for name, label in labels.items():
        if name not in plans:
            column = getattr(wanted.model, name)
            field = ma.AwareDateTime(dump_only=True, validate=within_calendar)
            plans[name] = FieldPlan(name, field, Kind.DATETIME, label, column)
    return plans


def _field_plan(name: str, field: ma.Field[Any], model: type[Any]) -> FieldPlan:
    side = field.metadata.get("side")
    found = getattr(side or model, field.attribute or name, None)
    column = found if isinstance(found, InstrumentedAttribute) and not _is_relationship(found) else None
    label = field.metadata.get("label") or name.replace("_", " ").capitalize()
    return FieldPlan(name, field, kind_of(field), label, column, side)


def _is_relationship(attribute: InstrumentedAttribute[Any]) -> bool:
    return attribute.property.__class__.__name__ in ("Relationship", "RelationshipProperty")


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (fields.Reference, Kind.REFERENCE),
    (fields.Collection, Kind.COLLECTION),
    (fields.Choice, Kind.CHOICE),
    (fields.Money, Kind.MONEY),
    (ma.Email, Kind.EMAIL),
    (ma.Url, Kind.URL),
    (ma.Boolean, Kind.BOOLEAN),
    (ma.DateTime, Kind.DATETIME),
    (ma.Date, Kind.DATE),
    (ma.Number, Kind.NUMBER),
    (ma.Mapping, Kind.JSON),
    (ma.List, Kind.JSON),
)


def kind_of(field: ma.Field[Any]) -> Kind:
    """Return how a schema field is treated."""
    own: Kind | None = getattr(field, "record_kind", None)
    return own or next((kind for type_, kind in _KINDS if isinstance(field, type_)), Kind.TEXT)


def target_of(plan: FieldPlan) -> RecordType:
    """Return the record type a reference points to."""
    return record_type(cast(fields.Reference, plan.field).to)


def title_column(wanted: RecordType) -> InstrumentedAttribute[Any]:
    """Return the column whose value names a record of the type to people."""
    field = wanted.schema._declared_fields[wanted.title]
    return cast("InstrumentedAttribute[Any]", getattr(wanted.model, field.attribute or wanted.title))


def said_title(wanted: RecordType) -> Any:
    """Return the expression that names a record of the type to whoever reads; for results, never to order or compare by."""
    return title_column(wanted) if wanted.said_title is None else wanted.said_title


def side_key(side: type[Any]) -> InstrumentedAttribute[Any]:
    """Return the primary key attribute of a 1:1 side table, which references its host."""
    mapper = sa.inspect(side)
    return cast("InstrumentedAttribute[Any]", getattr(side, mapper.get_property_by_column(mapper.primary_key[0]).key))
