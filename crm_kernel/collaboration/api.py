"""``POST /api/notes``: a note beside a record, answered with whom it mentions and who was not told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Response, url_for
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.collaboration.notes import add_note
from crm_kernel.collaboration.schemas import NoteSchema
from crm_kernel.records.api import body_of_request, etag_of, json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.records.openapi_schemas import read_schema
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import read_one
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])


def note_api() -> Blueprint:
    """Return the blueprint of writing notes; reading, changing and deleting them is the record type's."""
    blueprint = Blueprint("api_collaboration", __name__, url_prefix="/api", description="Notes beside records")
    blueprint.add_url_rule("/notes", "add_note", _notes(blueprint), tags=["notes"])
    return blueprint


def documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    """Return what describes an operation in the API's document."""
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))


def _notes(blueprint: Blueprint) -> type[MethodView]:
    written = Schema.from_dict(
        {
            "note": fields.Nested(read_schema(record_type("note")), required=True),
            "warnings": fields.List(fields.String(), required=True),
        },
        name="WrittenNote",
    )

    @permission("note.create")
    class Notes(MethodView):
        @documented(
            blueprint,
            summary="Write a note beside a record; an @ and a name mentions a user, who is told if he may see the record",
            requestBody={"required": True, "content": {"application/json": {"schema": NoteSchema}}},
            responses=changing_answers(201, written, 404, 413, 422),
        )
        def post(self) -> Response:
            uow = current_uow()
            made = add_note(uow, **load_with(NoteSchema, body_of_request()))
            body = {"note": read_one(uow, record_type("note"), made.note.uid), "warnings": made.warnings()}
            headers = {
                "ETag": etag_of(made.note.version),
                "Location": url_for("api_note.one", uid=made.note.uid),
            }
            return json_response(body, 201, headers)

    return Notes
