"""Describes the API in OpenAPI 3.1 from the same schemas that serve it, extensions included."""

from __future__ import annotations

from typing import Any, cast

from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import Flask, g
from flask_smorest import Api
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records import fields
from crm_kernel.records.filters import filterable
from crm_kernel.records.openapi_answers import CatalogueSchema, ProblemSchema, changing_answers, reading_answers
from crm_kernel.records.openapi_custom import add_custom_fields
from crm_kernel.records.openapi_http import add_http
from crm_kernel.records.openapi_schemas import (
    component_name,
    filter_parameters,
    query_parameter,
    read_schema,
    write_schema,
)
from crm_kernel.records.paging import DEFAULT_LIMIT, MAX_LIMIT, MOST_SORTS, sortable
from crm_kernel.records.plan import TypePlan, plan_of
from crm_kernel.records.record_type import Action, RecordType

#: Good answers without a body, beside the record itself.
_HANDED_OVER = {"204": {"description": "Done, and the record is no longer yours to read"}}
_UNCHANGED = {"304": {"description": "Unchanged since the version that If-None-Match names"}}


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
    """Return the document as plain JSON values: lazy texts in the current language, custom fields of this moment."""
    api = app.extensions["crm_api"]
    found = cast("dict[str, Any]", _plain(api.spec.to_dict()))
    add_custom_fields(api, found, g.get("crm_actor", SYSTEM))
    found = cast("dict[str, Any]", _plain(found))
    used = {
        tag
        for path in found["paths"].values()
        for verb in path.values()
        if isinstance(verb, dict)
        for tag in verb.get("tags", ())
    }
    # flask-smorest adds a tag per blueprint; operations carry the path people know instead.
    return add_http(found | {"tags": [{"name": tag} for tag in sorted(used)]})


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
        query_parameter("q", "Words that must all start a word of the record."),
        _sort_parameter(plan),
        query_parameter(
            "limit", f"Rows per page, {DEFAULT_LIMIT} if not given.", type="integer", minimum=1, maximum=MAX_LIMIT
        ),
        query_parameter(
            "view", "Id of a saved view: its conditions, order and columns; what else is given goes first."
        ),
        query_parameter("cursor", "next_cursor of the page before."),
        query_parameter("fields", "Comma-separated fields to return."),
        query_parameter(
            "filter", "A tree of conditions as JSON over the names of the catalogue; its errors name the place."
        ),
        query_parameter("count", "true to count the rows of the whole list.", enum=["true"]),
        *filter_parameters(filterable(plan)),
    ]
    page = Schema.from_dict(
        {
            "items": ma.List(ma.Nested(read_schema(record_type)), required=True),
            "next_cursor": ma.String(allow_none=True, required=True),
            "count": ma.Integer(),
            "count_is_exact": ma.Boolean(),
        },
        name=f"{component_name(record_type)}Page",
    )
    return {"summary": f"List {record_type.slug}", "parameters": parameters, "responses": reading_answers(page, 422)}


def _sort_parameter(plan: TypePlan) -> dict[str, Any]:
    described = query_parameter("sort", "Fields to sort by, the first one first; - before one for descending.")
    fields = {"type": "string", "enum": [s for n in sortable(plan) for s in (n, f"-{n}")]}
    schema = {"type": "array", "items": fields, "minItems": 1, "maxItems": MOST_SORTS}
    return described | {"schema": schema, "style": "form", "explode": False}


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
        "parameters": [query_parameter("fields", "Comma-separated fields to return.")],
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
