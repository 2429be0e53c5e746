"""Describes the API in OpenAPI 3.1 from the same schemas that serve it, extensions included."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, cast

from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import Flask, current_app
from flask_smorest import Api
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.records import fields
from crm_kernel.records.catalogue import OPERATORS
from crm_kernel.records.filters import filterable
from crm_kernel.records.openapi_answers import CatalogueSchema, ProblemSchema, changing_answers, reading_answers
from crm_kernel.records.paging import DEFAULT_LIMIT, MAX_LIMIT, sortable
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of
from crm_kernel.records.record_type import Action, RecordType

#: Good answers without a body, beside the record itself.
_HANDED_OVER = {"204": {"description": "Done, and the record is no longer yours to read"}}
_UNCHANGED = {"304": {"description": "Unchanged since the version that If-None-Match names"}}


class ReferenceSchema(Schema):
    """A link as it is read: null values mean that there is one which the reader may not see."""

    id = ma.UUID(allow_none=True)
    title = ma.String(allow_none=True)


def make_api(app: Flask, title: str, version: str) -> Api:
    """Return the API object of an application; its own routes for the document are left out, ours have permissions."""
    app.config.update(
        API_TITLE=title,
        API_VERSION=version,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}],
        },
    )
    api = QuietApi()
    api.init_app(app, spec_kwargs={"marshmallow_plugin": _plugin()})
    return api


class QuietApi(Api):  # type: ignore[misc]
    """flask-smorest without its application-wide error handler: ours answers pages and API alike."""

    ERROR_SCHEMA = ProblemSchema
    #: Every operation names its own problems: a default would announce any status, and as another content type.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        return None


def _plugin() -> Any:
    from apispec.ext.marshmallow import MarshmallowPlugin

    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)

    def as_ours(_self: Any, field: Any, ret: dict[str, Any]) -> dict[str, Any]:
        null = ["null"] if field.allow_none else []
        if isinstance(field, fields.Reference):
            return {"type": ["string", *null] if null else "string", "format": "uuid"}
        if isinstance(field, ma.Decimal) and field.as_string:
            for bound in ("minimum", "maximum"):  # numbers' words, which a text cannot have
                ret.pop(bound, None)
            return {"type": ["string", *null] if null else "string", "pattern": r"^-?\d+(\.\d+)?$"}
        return {}

    original = plugin.init_spec

    def init_spec(spec: Any) -> None:
        original(spec)
        cast(Any, plugin.converter).add_attribute_function(as_ours)

    plugin.init_spec = init_spec  # type: ignore[method-assign]
    return plugin


def _component_name(schema: Any) -> str:
    name: str = cast(Any, resolve_schema_cls(schema)).__name__
    partial = getattr(schema, "partial", False) if isinstance(schema, Schema) else False
    return f"{name}Changes" if partial else name


def openapi_document(app: Flask) -> dict[str, Any]:
    """Return the document as plain JSON values: lazy texts in the current language."""
    found = cast("dict[str, Any]", _plain(app.extensions["crm_api"].spec.to_dict()))
    used = {
        tag
        for path in found["paths"].values()
        for verb in path.values()
        if isinstance(verb, dict)
        for tag in verb.get("tags", ())
    }
    # flask-smorest adds a tag per blueprint; operations carry the path people know instead.
    return found | {"tags": [{"name": tag} for tag in sorted(used)]}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def list_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of the list."""
    plan = plan_of(record_type)
    parameters = [
        _query("q", "Words that must all start a word of the record."),
        _query(
            "sort",
            "Field to sort by; - before it for descending.",
            enum=[s for n in sortable(plan) for s in (n, f"-{n}")],
        ),
        _query("limit", f"Rows per page, {DEFAULT_LIMIT} if not given.", type="integer", minimum=1, maximum=MAX_LIMIT),
        _query("cursor", "next_cursor of the page before."),
        _query("fields", "Comma-separated fields to return."),
        _query("filter", "A tree of conditions as JSON over the names of the catalogue; its errors name the place."),
        _query("count", "true to count the rows of the whole list.", enum=["true"]),
        *_filter_parameters(plan),
    ]
    page = Schema.from_dict(
        {
            "items": ma.List(ma.Nested(read_schema(record_type)), required=True),
            "next_cursor": ma.String(allow_none=True, required=True),
            "count": ma.Integer(),
            "count_is_exact": ma.Boolean(),
        },
        name=f"{_pascal(record_type)}Page",
    )
    return {"summary": f"List {record_type.slug}", "parameters": parameters, "responses": reading_answers(page, 422)}


def catalogue_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of the catalogue."""
    return {
        "summary": f"List what {record_type.slug} can be filtered by",
        "responses": reading_answers(CatalogueSchema),
    }


def read_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of reading one record."""
    return {
        "summary": f"Read one of {record_type.slug}",
        "parameters": [_query("fields", "Comma-separated fields to return.")],
        "responses": reading_answers(read_schema(record_type), 404, 422) | _UNCHANGED,
    }


def create_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of creating a record."""
    return {
        "summary": f"Create one of {record_type.slug}",
        "requestBody": _body(write_schema(record_type)()),
        "responses": changing_answers(201, read_schema(record_type), 409, 413, 422),
    }


def update_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of changing a record."""
    return {
        "summary": f"Change one of {record_type.slug}",
        "parameters": [_if_match()],
        "requestBody": _body(write_schema(record_type)(partial=True)),
        "responses": changing_answers(200, read_schema(record_type), 404, 409, 412, 413, 422, 428) | _HANDED_OVER,
    }


def delete_operation(record_type: RecordType) -> dict[str, Any]:
    """Return the description of deleting a record."""
    return {
        "summary": f"Delete one of {record_type.slug}",
        "parameters": [_if_match()],
        "responses": changing_answers(204, None, 404, 409, 412, 422, 428),
    }


def action_operation(record_type: RecordType, action: Action) -> dict[str, Any]:
    """Return the description of a named action."""
    body = {"requestBody": _body(action.schema())} if action.schema else {}
    return {
        "summary": f"{action.name} one of {record_type.slug}",
        "parameters": [_if_match()],
        "responses": changing_answers(200, read_schema(record_type), 404, 409, 412, 413, 422, 428) | _HANDED_OVER,
        **body,
    }


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
        name: _maybe_null(field, _as_read(field.field, f"{_pascal(record_type)}{name.title().replace('_', '')}"))
        for name, field in plan.fields.items()
        if field.readable
    }
    if plan.extensions:
        parts: dict[str, Any] = {
            extension.name: ma.Nested(_renamed(extension.schema, f"{_pascal(record_type)}{extension.name.title()}Read"))
            for extension in plan.extensions
        }
        shown["extensions"] = ma.Nested(Schema.from_dict(parts, name=f"{_pascal(record_type)}ExtensionsRead"))
    return Schema.from_dict(shown, name=_pascal(record_type))


def _make_write_schema(record_type: RecordType) -> type[Schema]:
    plan = plan_of(record_type)
    written: dict[str, Any] = {name: field.field for name, field in plan.fields.items() if field.writable}
    if plan.extensions:
        parts: dict[str, Any] = {extension.name: ma.Nested(extension.schema) for extension in plan.extensions}
        written["extensions"] = ma.Nested(Schema.from_dict(parts, name=f"{_pascal(record_type)}Extensions"))
    return Schema.from_dict(written, name=f"{_pascal(record_type)}Input")


def _maybe_null(plan: FieldPlan, shown: Any) -> Any:
    """Return a field as the reader meets it: what nobody writes has no rule of its own, its column says what it is."""
    if not plan.writable and not shown.allow_none and _holds_null(plan):
        shown = copy(shown)
        shown.allow_none = True
    return shown


def _holds_null(plan: FieldPlan) -> bool:
    columns = getattr(getattr(plan.column, "property", None), "columns", ())
    return plan.side is not None or any(getattr(column, "nullable", True) for column in columns)


def _as_read(field: Any, name: str) -> Any:
    if isinstance(field, fields.Reference):
        return ma.Nested(ReferenceSchema, allow_none=True)
    if isinstance(field, fields.Collection):
        parts = {
            key: _as_read(part, f"{name}{key.title()}") for key, part in field.part_schema._declared_fields.items()
        }
        return ma.List(ma.Nested(Schema.from_dict({"id": ma.UUID(), **parts}, name=f"{name}Part")))
    if getattr(field, "open_when_read", False):
        field = copy(field)
        field.validators = []
    return field


def _renamed(schema: type[Schema], name: str) -> type[Schema]:
    return Schema.from_dict({key: _as_read(field, name) for key, field in schema._declared_fields.items()}, name=name)


def _filter_parameters(plan: TypePlan) -> list[dict[str, Any]]:
    return [
        _query(name if operator == "eq" else f"{name}__{operator}", f"{field.label}: {operator}")
        for name, field in filterable(plan).items()
        if field.kind is not Kind.COLLECTION
        for operator in OPERATORS[field.kind]
    ]


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "description": description, "schema": {"type": "string", **schema}}


def _if_match() -> dict[str, Any]:
    return {
        "in": "header",
        "name": "If-Match",
        "required": True,
        "description": "The ETag that was read.",
        "schema": {"type": "string"},
    }


def _body(schema: Schema) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _pascal(record_type: RecordType) -> str:
    return "".join(part.title() for part in record_type.name.replace(".", "_").split("_"))
