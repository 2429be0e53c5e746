"""``POST /api/customers/{id}/merge`` and ``/unmerge``, and ``GET /api/customers/merges/{run}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.customers.merging.queries import described, last_run_into, run_by
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.errors import Conflict, InvalidInput, NotFound, Replaced
from crm_kernel.records.api import body_of_request, json_response, version_from_request
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])


class MergeSchema(Schema):
    """Which customer becomes the one that the address names."""

    #: The one that goes.
    source = fields.UUID(required=True)
    #: Field → whose value stays, where it is not the survivor's.
    choices = fields.Dict(
        keys=fields.String(), values=fields.String(metadata={"enum": ["source", "target"]}), load_default=dict
    )
    #: The version of the source that the caller read; the survivor's comes in If-Match. Both may be left out.
    source_version = fields.Integer(load_default=None, allow_none=True)


class UnmergeSchema(Schema):
    """Which merge is taken back."""

    #: The last one into this customer if not given.
    run = fields.UUID(load_default=None, allow_none=True)


class RunSchema(Schema):
    """A merge of two customers."""

    id = fields.UUID(required=True)
    #: The one that went: its id leads to the other while the merge holds.
    source = fields.UUID(required=True, attribute="source.uid")
    target = fields.UUID(required=True, attribute="target.uid")
    state = fields.String(required=True, metadata={"enum": ["merged", "unmerged"]})
    merged_at = fields.AwareDateTime(required=True)
    merged_by = fields.String(required=True)
    unmerged_at = fields.AwareDateTime(required=True, allow_none=True)
    unmerged_by = fields.String(required=True, allow_none=True)
    #: What it changed: kind of rows → how many.
    rows = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    #: What taking it back left with the survivor: kind of rows → what → how many.
    since = fields.Dict(
        keys=fields.String(), values=fields.Dict(keys=fields.String(), values=fields.Integer()), required=True
    )


def run_as_json(run: MergeRun) -> dict[str, Any]:
    """Return a run as the API tells it."""
    shown: dict[str, Any] = RunSchema().dump(described(current_uow(), [run])[0])
    return shown


def merging_api() -> Blueprint:
    """Return the blueprint of merges; register it on the API so that it is documented."""
    blueprint = Blueprint("api_merging", __name__, url_prefix="/api/customers", description="Merge customers")
    blueprint.add_url_rule("/<uuid:uid>/merge", "merge", _merge(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/unmerge", "unmerge", _unmerge(blueprint))
    blueprint.add_url_rule("/merges/<uuid:uid>", "run", _run(blueprint))
    return blueprint


def _merge(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.merge")
    class Merge(MethodView):
        @_documented(
            blueprint,
            summary="Let another customer become this one, which stays; the other's id leads here from then on",
            parameters=[{"in": "header", "name": "If-Match", "schema": {"type": "string"}}],
            requestBody={"required": True, "content": {"application/json": {"schema": MergeSchema}}},
            responses=changing_answers(201, RunSchema, 404, 409, 412, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow, type_, version = current_uow(), record_type("customer"), version_from_request()
            target = record_of(uow, type_, uid)
            asked = load_with(MergeSchema, body_of_request())
            try:
                source = record_of(uow, type_, asked["source"])
            except Replaced as error:
                # Somebody merged it meanwhile: that is no mistake of the caller's.
                raise Conflict(str(error)) from error
            except NotFound as error:
                raise InvalidInput({"source": [str(error)]}) from error
            run = merge(uow, source, target, asked["choices"], versions=(asked["source_version"], version))
            return json_response(run_as_json(run), 201, {"Location": url_for("api_merging.run", uid=run.uid)})

    return Merge


def _unmerge(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.merge")
    class Unmerge(MethodView):
        @_documented(
            blueprint,
            summary="Take a merge into this customer back; what was written since stays here",
            requestBody={"content": {"application/json": {"schema": UnmergeSchema}}},
            responses=changing_answers(200, RunSchema, 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            target = record_of(uow, record_type("customer"), uid)
            asked = load_with(UnmergeSchema, body_of_request())
            run = run_by(uow, asked["run"]) if asked["run"] else last_run_into(uow, target)
            if run is None:
                raise Conflict(_("Nothing was merged into this customer."))
            if run.target_id != target.id:
                raise InvalidInput({"run": [_("Merged into another customer than this one.")]})
            return json_response(run_as_json(unmerge(uow, run)))

    return Unmerge


def _run(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.read")
    class OneRun(MethodView):
        @_documented(blueprint, summary="Read one merge", responses=reading_answers(RunSchema, 404))
        def get(self, uid: UUID) -> Response:
            return json_response(run_as_json(run_by(current_uow(), uid)))

    return OneRun


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
