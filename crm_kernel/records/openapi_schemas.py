"""The schemas that the API's document describes records with: as they are read, and as they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from flask import current_app
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.records import fields
from crm_kernel.records.catalogue import OPERATORS
from crm_kernel.records.plan import FieldPlan, Kind, plan_of
from crm_kernel.records.record_type import RecordType


class ReferenceSchema(Schema):
    """A link as it is read: null values mean that there is one which the reader may not see."""

    id = ma.UUID(allow_none=True)
    title = ma.String(allow_none=True)


def read_schema(record_type: RecordType) -> type[Schema]:
    """Return the schema of a record as it is read: references as objects, parts with their ids."""
    return _once("read", record_type, _make_read_schema)


def write_schema(record_type: RecordType) -> type[Schema]:
    """Return the schema of a record as it is written."""
    return _once("write", record_type, _make_write_schema)


def _once(use: str, record_type: RecordType, make: Callable[[RecordType], type[Schema]]) -> type[Schema]:
    # One class per application: two classes of one name would become two components of the document.
    known: dict[Any, type[Schema]] = current_app.extensions.setdefault("crm_api_schemas", {})
    if (use, record_type.name) not in known:
        known[use, record_type.name] = make(record_type)
    return known[use, record_type.name]


def _make_read_schema(record_type: RecordType) -> type[Schema]:
    plan = plan_of(record_type)
    shown: dict[str, Any] = {"id": ma.UUID(required=True), "version": ma.Integer(required=True)}
    shown |= {
        name: _maybe_null(field, as_read(field.field, f"{component_name(record_type)}{name.title().replace('_', '')}"))
        for name, field in plan.fields.items()
        if field.readable
    }
    if plan.extensions:
        parts: dict[str, Any] = {
            extension.name: ma.Nested(
                _renamed(extension.schema, f"{component_name(record_type)}{extension.name.title()}Read")
            )
            for extension in plan.extensions
        }
        shown["extensions"] = ma.Nested(Schema.from_dict(parts, name=f"{component_name(record_type)}ExtensionsRead"))
    return Schema.from_dict(shown, name=component_name(record_type))


def _make_write_schema(record_type: RecordType) -> type[Schema]:
    plan = plan_of(record_type)
    written: dict[str, Any] = {name: field.field for name, field in plan.fields.items() if field.writable}
    if plan.extensions:
        parts: dict[str, Any] = {extension.name: ma.Nested(extension.schema) for extension in plan.extensions}
        written["extensions"] = ma.Nested(Schema.from_dict(parts, name=f"{component_name(record_type)}Extensions"))
    return Schema.from_dict(written, name=f"{component_name(record_type)}Input")


def _maybe_null(plan: FieldPlan, shown: Any) -> Any:
    """Return a field as the reader meets it: what nobody writes has no rule of its own, its column says what it is."""
    if not plan.writable and not shown.allow_none and _holds_null(plan):
        shown = copy(shown)
        shown.allow_none = True
    return shown


def _holds_null(plan: FieldPlan) -> bool:
    columns = getattr(getattr(plan.column, "property", None), "columns", ())
    return plan.side is not None or any(getattr(column, "nullable", True) for column in columns)


def as_read(field: Any, name: str) -> Any:
    """Return a field as the reader meets it: a reference as an object; ``name`` starts the names of its parts."""
    if isinstance(field, fields.Reference):
        return ma.Nested(ReferenceSchema, allow_none=True)
    if isinstance(field, fields.Collection):
        parts = {key: as_read(part, f"{name}{key.title()}") for key, part in field.part_schema._declared_fields.items()}
        return ma.List(ma.Nested(Schema.from_dict({"id": ma.UUID(), **parts}, name=f"{name}Part")))
    if getattr(field, "open_when_read", False):
        field = copy(field)
        field.validators = []
    return field


def _renamed(schema: type[Schema], name: str) -> type[Schema]:
    return Schema.from_dict({key: as_read(field, name) for key, field in schema._declared_fields.items()}, name=name)


def filter_parameters(filters: Mapping[str, FieldPlan]) -> list[dict[str, Any]]:
    """Return the parameters of a list that filter by fields, one per operator."""
    return [
        query_parameter(name if operator == "eq" else f"{name}__{operator}", f"{field.label}: {operator}")
        for name, field in filters.items()
        if field.kind is not Kind.COLLECTION
        for operator in OPERATORS[field.kind]
    ]


def query_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """Return the description of one parameter of a list's address; ``schema`` adds to its being a text."""
    return {"in": "query", "name": name, "description": description, "schema": {"type": "string", **schema}}


def component_name(record_type: RecordType) -> str:
    """Return the name of the schema that a record is read with; ``Input`` after it is what is written."""
    return "".join(part.title() for part in record_type.name.replace(".", "_").split("_"))
