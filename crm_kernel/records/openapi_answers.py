"""What every operation of the API may answer, for its OpenAPI document: the good answer and each error it can give."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema
from marshmallow import fields as ma


class ProblemSchema(Schema):
    """An error, as RFC 9457 describes it."""

    type = ma.String(required=True)
    title = ma.String(required=True)
    status = ma.Integer(required=True)
    detail = ma.String(required=True)
    instance = ma.String()
    request_id = ma.String()
    errors = ma.Dict(keys=ma.String(), values=ma.List(ma.String()))


class CatalogueChoiceSchema(Schema):
    """One value of a choice."""

    value = ma.String(required=True)
    label = ma.String(required=True)


class CatalogueFieldSchema(Schema):
    """One field that a filter may compare."""

    name = ma.String(required=True)
    label = ma.String(required=True)
    kind = ma.String(required=True)
    operators = ma.List(ma.String(), required=True)
    nullable = ma.Boolean(required=True)
    choices = ma.List(ma.Nested(CatalogueChoiceSchema))
    record_type = ma.String()
    currency = ma.String()


class CatalogueRelationSchema(Schema):
    """One relation that a filter may count or sum."""

    name = ma.String(required=True)
    label = ma.String(required=True)
    record_type = ma.String(required=True, allow_none=True)
    dates = ma.List(ma.String(), required=True)
    usual_date = ma.String(required=True, allow_none=True)
    sums = ma.List(ma.String(), required=True)
    fields_ = ma.List(ma.Nested(CatalogueFieldSchema), required=True, data_key="fields")


class CatalogueSchema(Schema):
    """What the records of a type can be filtered by, as the one who asks may use it."""

    fields_ = ma.List(ma.Nested(CatalogueFieldSchema), required=True, data_key="fields")
    relations = ma.List(ma.Nested(CatalogueRelationSchema), required=True)


#: Status → what it says in the document.
PROBLEMS = {
    400: "A browser's session is used without its CSRF token",
    401: "Nobody is logged in, or the token is unknown, expired or revoked",
    403: "Not permitted; nothing was done",
    404: "There is no such record, or none that you may see",
    409: "The record's state does not allow this",
    412: "Changed since it was read: read it again",
    413: "The body is too large",
    422: "Input is refused; errors names each field",
    428: "If-Match is missing",
    503: "The database cannot be reached or is busy: try again",
}
#: What any operation may answer, and what one that changes something may answer besides.
ALWAYS, WHEN_CHANGING = (401, 403, 503), (400,)


def reading_answers(schema: type[Schema], *errors: int) -> dict[str, Any]:
    """Return the answers of an operation that reads: status → description; ``errors`` beside those of any operation."""
    return {"200": _good("OK", schema), **_problems(*ALWAYS, *errors)}


def changing_answers(status: int, schema: type[Schema] | None, *errors: int) -> dict[str, Any]:
    """Return the answers of an operation that changes something; without a schema the good one has no body."""
    return {str(status): _good("Done", schema), **_problems(*ALWAYS, *WHEN_CHANGING, *errors)}


def _good(description: str, schema: type[Schema] | None) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}} if schema else {}
    return {"description": description, **content}


def _problems(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ProblemSchema}}
    return {str(status): {"description": PROBLEMS[status], "content": content} for status in sorted(statuses)}
