"""``/api/jobs/schedules``: what is done again and again, with what the page and the command line can do with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.errors import InvalidInput, StaleVersion
from crm_kernel.jobs import queries, schedules
from crm_kernel.jobs.cron import InvalidSchedule
from crm_kernel.jobs.masking import masked_payload
from crm_kernel.jobs.rhythms import CRON
from crm_kernel.jobs.running_now import run_now
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.conditional import digest_of
from crm_kernel.web.edge import permission
from crm_kernel.web.schedule_pages import explained

if TYPE_CHECKING:
    from crm_kernel.jobs.models import JobSchedule

_View = TypeVar("_View", bound=Callable[..., Any])

#: Most runs that one preview names.
_MOST = 50


class JobScheduleSchema(Schema):
    """When a job is done again and again; the moments are UTC, the expression is in the zone."""

    id = fields.UUID(required=True)
    job = fields.String(required=True)
    module = fields.String(required=True)
    cron = fields.String(required=True, metadata={"description": "Minute, hour, day of month, month, day of week."})
    timezone = fields.String(
        required=True, metadata={"description": "site, user or an IANA name, as it was asked for."}
    )
    zone = fields.String(required=True, metadata={"description": "The IANA name that this is at the moment."})
    declared = fields.Boolean(required=True, metadata={"description": "Whether a module declares it."})
    changed = fields.Boolean(required=True, metadata={"description": "Whether other times than those were chosen."})
    payload = fields.Dict(keys=fields.String(), required=True)
    paused = fields.Boolean(required=True)
    next_at = fields.AwareDateTime(required=True, allow_none=True, metadata={"description": "None while it rests."})
    last_at = fields.AwareDateTime(required=True, allow_none=True)


class JobSchedulesSchema(Schema):
    """All schedules, those that rest last, else the next first."""

    items = fields.List(fields.Nested(JobScheduleSchema), required=True)


class JobScheduleChangeSchema(Schema):
    """Other times; what is left out stays as it is."""

    cron = fields.String(validate=validate.Length(1, 120))
    timezone = fields.String(validate=validate.Length(1, 64))


class JobScheduleRunsQuestionSchema(Schema):
    """Which times are looked at: those of the schedule, or others before they are chosen."""

    cron = fields.String(load_default=None, validate=validate.Length(1, 120))
    timezone = fields.String(load_default=None, validate=validate.Length(1, 64))
    number = fields.Integer(load_default=3, validate=validate.Range(1, _MOST))


class JobScheduleRunsSchema(Schema):
    """The next runs, in the zone that they are reckoned in."""

    items = fields.List(fields.AwareDateTime(), required=True)


class JobScheduleRunSchema(Schema):
    """The job that was put into its queue."""

    job_id = fields.UUID(required=True)


def job_schedule_api() -> Blueprint:
    """Return the blueprint of schedules; register it on the API so that it is documented."""
    blueprint = Blueprint(
        "api_job_schedules", __name__, url_prefix="/api/jobs/schedules", description="Background work at set times"
    )
    blueprint.add_url_rule("", "all", _listing(blueprint))
    blueprint.add_url_rule("/<uuid:uid>", "one", _single(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/runs", "runs", _runs(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/run", "run", _running(blueprint))
    for verb in _DECISIONS:
        blueprint.add_url_rule(f"/<uuid:uid>/{verb}", verb, _decision(blueprint, verb))
    return blueprint


def _listing(blueprint: Blueprint) -> type[MethodView]:
    @permission("job.read")
    class Schedules(MethodView):
        @_documented(
            blueprint,
            summary="List what is done again and again, the next first",
            parameters=[
                {"in": "query", "name": "job", "required": False, "description": "Only those of this job.",
                 "schema": {"type": "string"}}
            ],
            responses=reading_answers(JobSchedulesSchema, 422),
        )  # fmt: skip
        def get(self) -> Response:
            asked = load_with(_ListQuestion, request.args.to_dict())
            found = [row for row in queries.schedules(current_uow()) if asked["job"] in (None, row.job)]
            return json_response({"items": [_told(row) for row in found]})

    return Schedules


def _single(blueprint: Blueprint) -> type[MethodView]:
    @permission("job.read", patch="job.update")
    class Schedule(MethodView):
        @_documented(blueprint, summary="Read one schedule", responses=reading_answers(JobScheduleSchema, 404))
        def get(self, uid: UUID) -> Response:
            return json_response(_told(schedules.schedule(current_uow(), uid)))

        @_documented(
            blueprint,
            summary="Let a schedule fire at other times from now on; what its module declares is left aside",
            parameters=[_IF_MATCH],
            requestBody={"required": True, "content": {"application/json": {"schema": JobScheduleChangeSchema}}},
            responses=changing_answers(200, JobScheduleSchema, 404, 409, 412, 413, 422),
        )
        def patch(self, uid: UUID) -> Response:
            uow = current_uow()
            row = _wanted(uid)
            asked = load_with(JobScheduleChangeSchema, body_of_request())
            try:
                schedules.reschedule(uow, uid, asked.get("cron", row.cron), asked.get("timezone", row.timezone))
            except schedules.FollowsRecord:
                raise
            except InvalidSchedule as error:
                raise _refused(error) from error
            return json_response(_told(row))

    return Schedule


def _runs(blueprint: Blueprint) -> type[MethodView]:
    @permission("job.read")
    class Runs(MethodView):
        @_documented(
            blueprint,
            summary="Say when a schedule fires next, with its own times or with others; changes nothing",
            parameters=[
                {"in": "query", "name": name, "required": False, "description": text, "schema": {"type": kind}}
                for name, kind, text in (
                    ("cron", "string", "Other times than its own."),
                    ("timezone", "string", "Another zone than its own."),
                    ("number", "integer", "How many, at most 50."),
                )
            ],
            responses=reading_answers(JobScheduleRunsSchema, 404, 422),
        )
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            row, asked = schedules.schedule(uow, uid), load_with(JobScheduleRunsQuestionSchema, request.args.to_dict())
            cron, timezone = asked["cron"] or row.cron, asked["timezone"] or row.timezone
            try:
                return json_response({"items": schedules.preview(uow, uid, cron, timezone, number=asked["number"])})
            except InvalidSchedule as error:
                raise _refused(error) from error

    return Runs


def _running(blueprint: Blueprint) -> type[MethodView]:
    @permission("job.update")
    class Run(MethodView):
        @_documented(
            blueprint,
            summary="Put a schedule's job into its queue now; its next time stays",
            parameters=[_IF_MATCH],
            responses=changing_answers(200, JobScheduleRunSchema, 404, 409, 412),
        )
        def post(self, uid: UUID) -> Response:
            _wanted(uid)
            return json_response({"job_id": run_now(current_uow(), uid)})

    return Run


def _decision(blueprint: Blueprint, verb: str) -> type[MethodView]:
    decide, summary, errors = _DECISIONS[verb]

    @permission("job.update")
    class Decision(MethodView):
        @_documented(
            blueprint,
            summary=summary,
            parameters=[_IF_MATCH],
            responses=changing_answers(200, JobScheduleSchema, 404, 412, *errors),
        )
        def post(self, uid: UUID) -> Response:
            _wanted(uid)
            return json_response(_told(decide(current_uow(), uid)))

    return Decision


_DECISIONS: dict[str, tuple[Callable[..., JobSchedule], str, tuple[int, ...]]] = {
    "pause": (schedules.pause_schedule, "Let a schedule rest", (422,)),
    "resume": (schedules.resume_schedule, "Let a paused schedule go on with its next time from now", ()),
    "restore": (schedules.restore_schedule, "Let a schedule fire as its module declares again", (422,)),
}
_ListQuestion = Schema.from_dict({"job": fields.String(load_default=None)}, name="JobSchedulesQuestionSchema")
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The ETag that the schedule was read with: refused if it is not the same any more.",
    "schema": {"type": "string"},
}


def _told(row: JobSchedule) -> dict[str, Any]:
    return {
        "id": row.uid,
        "job": row.job,
        "module": row.module,
        "cron": row.cron,
        "timezone": row.timezone,
        "zone": row.zone,
        "declared": row.name == row.job,
        "changed": row.own_time,
        "payload": masked_payload(row.payload),
        "paused": row.paused,
        "next_at": None if row.paused else row.next_at.astimezone(dt.UTC),
        "last_at": row.last_at,
    }


def _wanted(uid: UUID) -> JobSchedule:
    """Return the schedule that is to be changed, unless it is another by now than the one that was read."""
    row = schedules.schedule(current_uow(), uid)
    if "If-Match" in request.headers and not request.if_match.star_tag:
        now = digest_of(json_response(_told(row)).get_data())
        if not request.if_match.contains_weak(now):
            raise StaleVersion(_("The schedule has changed since you read it: read it again."))
    return row


def _refused(error: InvalidSchedule) -> InvalidInput:
    """Return the refusal in the words of the page, by field."""
    return InvalidInput({name: [text] for name, text in explained(CRON, error).items()})


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
