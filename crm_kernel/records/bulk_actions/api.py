"""``POST /api/<type>/bulk``: one change for many records; the answer is the run, which goes on in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_actions.asking import Change, chosen_in
from crm_kernel.records.bulk_actions.models import DELETE, UPDATE
from crm_kernel.records.bulk_actions.services import preview, start
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from flask_smorest import Blueprint

    from crm_kernel.records.record_type import RecordType

_KEYS = frozenset({"do", "set", "data", "ids", "filter", "query", "view", "all", "preview"})


class BulkRequestSchema(Schema):
    """A bulk action: what to do (``set`` for ``update``, ``data`` for an action or ``tags``), and to which records."""

    do = ma.String(load_default=UPDATE)
    set = ma.Dict()
    data = ma.Dict()
    ids = ma.List(ma.UUID())
    filter = ma.Dict()
    query = ma.String()
    view = ma.UUID()
    all = ma.Boolean()
    preview = ma.Boolean()


class BulkSampleSchema(Schema):
    """A record that a preview tried; ``refused`` says why it would be refused, null for not."""

    id = ma.UUID(required=True)
    title = ma.String(required=True, allow_none=True)
    refused = ma.String(required=True, allow_none=True)


class BulkAnswerSchema(Schema):
    """The run that was started, or what it would do."""

    id = ma.UUID()
    state = ma.String()
    total = ma.Integer()
    count = ma.Integer()
    sample = ma.List(ma.Nested(BulkSampleSchema))


def changeable(record_type: RecordType) -> bool:
    """Say whether records of a type can be changed in bulk at all; runs themselves are not."""
    return record_type.name != "bulk_run" and bool({UPDATE, DELETE} & {*record_type.verbs} or record_type.actions)


def bulk_view(blueprint: Blueprint, record_type: RecordType) -> type[MethodView]:
    """Return the view of a type's bulk actions."""

    class Bulk(MethodView):
        crm_permission = {"default": record_type.permission("read")}

        @blueprint.doc(
            summary=f"Change many of {record_type.slug} in the background",
            requestBody={"required": True, "content": {"application/json": {"schema": BulkRequestSchema()}}},
            responses=changing_answers(202, BulkAnswerSchema, 413, 422)
            | {
                "200": {
                    "description": "What it would do.",
                    "content": {"application/json": {"schema": BulkAnswerSchema}},
                }
            },
        )
        def post(self) -> Response:
            from crm_kernel.records.api import body_of_request, json_response

            body = body_of_request()
            change, chosen = _change_in(body), chosen_in(body)
            if body.get("preview"):
                return json_response(preview(current_uow(), record_type, change, chosen))
            run = start(current_uow(), record_type, change, chosen)
            found = {"id": run.uid, "state": run.state, "total": run.total}
            return json_response(found, 202, {"Location": url_for("api_bulk_run.one", uid=run.uid)})

    return Bulk


def _change_in(body: dict[str, Any]) -> Change:
    unknown = sorted(body.keys() - _KEYS)
    if unknown:
        raise InvalidInput({unknown[0][:40]: [_("Unknown key; known: %(known)s.", known=", ".join(sorted(_KEYS)))]})
    what = body.get("do") or UPDATE
    data = body.get("set" if what == UPDATE else "data") or {}
    if not isinstance(what, str) or not isinstance(data, dict):
        raise InvalidInput({"do": [_("Expected the name of an action, and an object with its data.")]})
    return Change(what, data)
