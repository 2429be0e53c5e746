"""Tagging by page and by API."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.views import MethodView
from flask_smorest import Blueprint as ApiBlueprint
from marshmallow import Schema, fields, validate

from crm_kernel.collaboration.api import documented
from crm_kernel.collaboration.tags.services import change_tags
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.subjects import annotated_subject, known_subject_type
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("tags", __name__, url_prefix="/tags")


class OneSubjectSchema(Schema):
    """The record whose card is changed."""

    subject_type = fields.String(required=True)
    subject_id = fields.UUID(required=True)


class TaggingChangeSchema(Schema):
    """Which records get and lose which tags."""

    subject_type = fields.String(required=True)
    subject_ids = fields.List(fields.UUID(), required=True, validate=validate.Length(min=1, max=500))
    add = fields.List(fields.String(), load_default=list, validate=validate.Length(max=50))
    remove = fields.List(fields.String(), load_default=list, validate=validate.Length(max=50))


class TaggedSchema(Schema):
    """A record and its tags now, by name."""

    id = fields.UUID(required=True)
    tags = fields.List(fields.String(), required=True)


class TaggedRecordsSchema(Schema):
    """The records that were named, each with its tags."""

    items = fields.List(fields.Nested(TaggedSchema), required=True)


@blueprint.post("/change")
@permission("tag.read")
def change() -> Any:
    """Put tags on one record or take one off, and lead back to it; names are separated by commas."""
    uow = current_uow()
    place = load_with(OneSubjectSchema, {name: request.form.get(name, "") for name in ("subject_type", "subject_id")})
    subject = annotated_subject(uow, place["subject_type"], place["subject_id"])
    adding = [name.strip() for name in request.form.get("add", "").split(",") if name.strip()]
    try:
        with attempt(uow):
            change_tags(
                uow, subject.record_type, [subject.record.uid], add=adding, remove=request.form.getlist("remove")
            )
    except (InvalidInput, Forbidden) as error:
        flash(str(error), "error")
    address = url_for(f"{subject.record_type.endpoint}_detail", uid=subject.record.uid, _anchor="panel-kernel-tags")
    return redirect(address, 303)


def tagging_api() -> ApiBlueprint:
    """Return the blueprint of tagging; the tags themselves are a record type."""
    blueprint = ApiBlueprint("api_tagging", __name__, url_prefix="/api", description="Tags on records")
    blueprint.add_url_rule("/tags/change", "change", _change(blueprint), tags=["tags"])
    return blueprint


def _change(blueprint: ApiBlueprint) -> type[MethodView]:
    @permission("tag.read")
    class Change(MethodView):
        @documented(
            blueprint,
            summary="Put tags on up to 500 records of one type and take others off; a new name makes a tag",
            requestBody={"required": True, "content": {"application/json": {"schema": TaggingChangeSchema}}},
            responses=changing_answers(200, TaggedRecordsSchema, 404, 413, 422),
        )
        def post(self) -> Response:
            uow, data = current_uow(), load_with(TaggingChangeSchema, body_of_request())
            own: RecordType = known_subject_type(uow, data["subject_type"])
            found = change_tags(uow, own, data["subject_ids"], add=data["add"], remove=data["remove"])
            items = [{"id": uid, "tags": [tag.name for tag in tags]} for uid, tags in found.items()]
            return json_response({"items": items})

    return Change
