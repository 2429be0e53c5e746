"""``/api/jobs``: one's own background jobs, or all of them with ``job.read``: how far they are, cancel and retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.errors import StaleVersion
from crm_kernel.jobs import deciding, queries
from crm_kernel.jobs.describing import described, details
from crm_kernel.jobs.models import JobState
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.conditional import digest_of
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.jobs.models import JobRow
    from crm_kernel.unit_of_work import UnitOfWork

_View = TypeVar("_View", bound=Callable[..., Any])

STATES = tuple(state.name.lower() for state in JobState)
#: Most dead jobs that one request makes due again.
_MOST = 1000


class JobProgressSchema(Schema):
    """How far a job says it is; each part may be missing."""

    done = fields.Float()
    total = fields.Float()
    text = fields.String()


class JobSchema(Schema):
    """A background job; what only ``job.read`` shows is missing for others."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    module = fields.String(required=True)
    queue = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    delivery = fields.Boolean(required=True)
    priority = fields.Integer(required=True)
    progress = fields.Nested(JobProgressSchema, required=True, allow_none=True)
    run_at = fields.AwareDateTime(required=True)
    created_at = fields.AwareDateTime(required=True)
    finished_at = fields.AwareDateTime(required=True, allow_none=True)
    failures = fields.Integer(required=True)
    max_attempts = fields.Integer(required=True)
    error = fields.String(required=True, allow_none=True)
    result = fields.String(required=True, allow_none=True)
    payload = fields.Dict(keys=fields.String())
    trace = fields.String(allow_none=True)
    attempts = fields.Integer()
    worker = fields.String(allow_none=True)
    leased_until = fields.AwareDateTime(allow_none=True)
    partition = fields.String(allow_none=True)
    dedupe_key = fields.String(allow_none=True)
    out_of_order = fields.Boolean()


class JobsSchema(Schema):
    """A page of jobs, newest first."""

    items = fields.List(fields.Nested(JobSchema), required=True)
    next_cursor = fields.UUID(required=True, allow_none=True)


class JobsQuestionSchema(Schema):
    """Which jobs are asked for."""

    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
    queue = fields.String(load_default=None)
    module = fields.String(load_default=None)
    name = fields.String(load_default=None)
    kind = fields.String(load_default=None, validate=validate.OneOf(["job", "delivery"]))
    mine = fields.Boolean(load_default=False)
    before = fields.UUID(load_default=None)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))


class JobRetrySchema(Schema):
    """Which dead jobs are made due again; all of them without a word."""

    module = fields.String(load_default=None)
    name = fields.String(load_default=None)


class JobsRetriedSchema(Schema):
    """How many dead jobs are due now; at most 1000 in one request."""

    retried = fields.Integer(required=True)


def job_api() -> Blueprint:
    """Return the blueprint of jobs; register it on the API so that it is documented."""
    blueprint = Blueprint("api_jobs", __name__, url_prefix="/api/jobs", description="Background work")
    blueprint.add_url_rule("", "all", _listing(blueprint))
    blueprint.add_url_rule("/retry", "retry_dead", _retrying(blueprint))
    blueprint.add_url_rule("/<uuid:uid>", "one", _single(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/progress", "progress", _progress(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/retry", "retry", _decision(blueprint, "retry"))
    blueprint.add_url_rule("/<uuid:uid>/cancel", "cancel", _decision(blueprint, "cancel"))
    return blueprint


def _listing(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Jobs(MethodView):
        @_documented(
            blueprint,
            summary="List background jobs, newest first: all with job.read, else those one asked for",
            parameters=[
                _argument("state", "One state.", type="string", enum=list(STATES)),
                _argument("queue", "Only those of this queue.", type="string"),
                _argument("module", "Only those of this module.", type="string"),
                _argument("name", "Only those of this job or subscriber.", type="string"),
                _argument("kind", "Deliveries of events, or other jobs.", type="string", enum=["job", "delivery"]),
                _argument("mine", "Only those one asked for.", type="boolean"),
                _argument("before", "next_cursor of the page before.", type="string", format="uuid"),
                _argument("limit", "Jobs of a page.", type="integer", minimum=1, maximum=500),
            ],
            responses=reading_answers(JobsSchema, 422),
        )
        def get(self) -> Response:
            uow = current_uow()
            asked = load_with(JobsQuestionSchema, request.args.to_dict())
            found = queries.jobs(uow, _filter(uow, asked), limit=asked["limit"] + 1)
            shown = found[: asked["limit"]]
            cursor = shown[-1].uid if len(found) > len(shown) else None
            return json_response({"items": [_told(uow, job) for job in shown], "next_cursor": cursor})

    return Jobs


def _single(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Job(MethodView):
        @_documented(blueprint, summary="Read one job", responses=reading_answers(JobSchema, 404))
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            return json_response(_told(uow, deciding.seen_job(uow, uid)))

    return Job


def _progress(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Progress(MethodView):
        @_documented(
            blueprint,
            summary="Read how far a job is, and where its result is: made for asking again and again",
            responses=reading_answers(_PROGRESS, 404),
        )
        def get(self, uid: UUID) -> Response:
            told = described(deciding.seen_job(current_uow(), uid))
            return json_response({name: told[name] for name in _PROGRESS._declared_fields})

    return Progress


def _decision(blueprint: Blueprint, verb: str) -> type[MethodView]:
    decide = {"retry": deciding.retry, "cancel": deciding.cancel}[verb]
    summary = {
        "retry": "Make a dead, cancelled or waiting job due now",
        "cancel": "Decide that a job is not to be done",
    }[verb]

    @permission("authenticated")
    class Decision(MethodView):
        @_documented(
            blueprint,
            summary=summary,
            parameters=[_IF_MATCH],
            responses=changing_answers(200, JobSchema, 404, 409, 412),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            _refuse_stale(uow, deciding.changeable_job(uow, uid))
            return json_response(_told(uow, decide(uow, uid)))

    return Decision


def _retrying(blueprint: Blueprint) -> type[MethodView]:
    @permission("job.update")
    class Retry(MethodView):
        @_documented(
            blueprint,
            summary="Make dead jobs due now, the newest 1000 of them",
            requestBody={"required": False, "content": {"application/json": {"schema": JobRetrySchema}}},
            responses=changing_answers(200, JobsRetriedSchema, 413, 422),
        )
        def post(self) -> Response:
            uow = current_uow()
            asked = load_with(JobRetrySchema, body_of_request())
            dead = queries.dead_jobs(uow, module=asked["module"], name=asked["name"], limit=_MOST)
            return json_response({"retried": len(deciding.retry_all(uow, [job.uid for job in dead]))})

    return Retry


_PROGRESS = Schema.from_dict(
    {
        "id": fields.UUID(required=True),
        "state": fields.String(required=True, validate=validate.OneOf(STATES)),
        "progress": fields.Nested(JobProgressSchema, required=True, allow_none=True),
        "finished_at": fields.AwareDateTime(required=True, allow_none=True),
        "error": fields.String(required=True, allow_none=True),
        "result": fields.String(required=True, allow_none=True),
    },
    name="JobProgressAnswerSchema",
)
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The ETag that the job was read with: refused if it is not the same any more.",
    "schema": {"type": "string"},
}


def _filter(uow: UnitOfWork, asked: dict[str, Any]) -> queries.JobFilter:
    own = asked["mine"] or not deciding.sees_all(uow.actor)
    return queries.JobFilter(
        states=[JobState[asked["state"].upper()]] if asked["state"] else None,
        module=asked["module"],
        name=asked["name"],
        queue=asked["queue"],
        deliveries=asked["kind"] == "delivery" if asked["kind"] else None,
        # Nobody's are not his who is nobody.
        user_id=(uow.actor.user_id or 0) if own else None,
        before=asked["before"],
    )


def _told(uow: UnitOfWork, job: JobRow) -> dict[str, Any]:
    more = details(job) if deciding.sees_all(uow.actor) else {}
    return described(job) | more


def _refuse_stale(uow: UnitOfWork, job: JobRow) -> None:
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return
    now = digest_of(json_response(_told(uow, job)).get_data())
    if not request.if_match.contains_weak(now):
        raise StaleVersion(_("The job has changed since you read it: read it again."))


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))


def _argument(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": False, "description": description, "schema": schema}
