"""``/api/rules/{id}/runs``, ``/dry-run`` and ``/replay``: what a rule did, and what it would do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.access.policy import authorize
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.calendar import within_calendar
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.rules.models import Outcome, Rule, RuleRun
from crm_kernel.rules.presenting import runs_of, why
from crm_kernel.rules.replaying import Rehearsal, Replay, rehearse, replay
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_View = TypeVar("_View", bound=Callable[..., Any])

#: Most events that a replay by API looks at.
_EVENTS = 20_000


class RuleRunSchema(Schema):
    """What a rule did for one record and cause."""

    id = fields.UUID(required=True)
    at = fields.AwareDateTime(required=True)
    record_type = fields.String(required=True)
    record = fields.UUID(required=True)
    cause = fields.UUID(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf([str(o) for o in Outcome]))
    why = fields.String(required=True)
    rule_version = fields.Integer(required=True)


class RuleRunsSchema(Schema):
    """A page of a rule's log, newest first."""

    items = fields.List(fields.Nested(RuleRunSchema), required=True)
    next_cursor = fields.UUID(required=True, allow_none=True)


class RuleRunsQuestionSchema(Schema):
    """The arguments of a page of the log."""

    outcome = fields.String(load_default=None, validate=validate.OneOf([str(o) for o in Outcome]))
    before = fields.UUID(load_default=None)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))


class RuleTrialSchema(Schema):
    """The record to try a rule on."""

    record = fields.UUID(required=True)


class RuleTriedChangeSchema(Schema):
    """A value before and after."""

    field = fields.String(required=True)
    before = fields.Raw(required=True, allow_none=True)
    after = fields.Raw(required=True, allow_none=True)


class RuleTriedRecordSchema(Schema):
    """A record that would change."""

    record_type = fields.String(required=True)
    action = fields.String(required=True)
    values = fields.List(fields.Nested(RuleTriedChangeSchema), required=True)


class RuleRehearsalSchema(Schema):
    """What a rule would do with one record."""

    matched = fields.Boolean(required=True)
    failed = fields.List(fields.Dict(), required=True)
    refused = fields.String(required=True, allow_none=True)
    changes = fields.List(fields.Nested(RuleTriedRecordSchema), required=True)
    events = fields.List(fields.String(), required=True)


class RuleSinceSchema(Schema):
    """Since when to replay."""

    since = fields.AwareDateTime(required=True, validate=within_calendar, default_timezone=dt.UTC)


class RuleSampleSchema(Schema):
    """A record that fits."""

    id = fields.UUID(required=True)
    title = fields.String(required=True)


class RuleReplaySchema(Schema):
    """What a rule would have done, by what its records are today."""

    since = fields.AwareDateTime(required=True)
    as_ = fields.String(required=True, data_key="as")
    events = fields.Integer(required=True)
    matched = fields.Integer(required=True)
    records = fields.Integer(required=True)
    fitting = fields.Integer(required=True)
    not_fitting = fields.Integer(required=True)
    gone = fields.Integer(required=True)
    already_done = fields.Integer(required=True)
    left = fields.Integer(required=True)
    months = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    truncated = fields.Boolean(required=True)
    sample = fields.List(fields.Nested(RuleSampleSchema), required=True)


def rules_api() -> Blueprint:
    """Return the blueprint; register it on the API so that it is documented."""
    blueprint = Blueprint("api_rules", __name__, url_prefix="/api/rules", description="What rules did and would do")
    blueprint.add_url_rule("/<uuid:uid>/runs", "runs", _runs(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/dry-run", "dry_run", _dry_run(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/replay", "replay", _replay(blueprint))
    return blueprint


def described_run(uow: UnitOfWork, run: RuleRun) -> dict[str, Any]:
    """Return a row of the log as JSON-ready values."""
    same = ("at", "record_type", "outcome", "rule_version")
    return {
        "id": run.uid,
        **{name: getattr(run, name) for name in same},
        "record": run.record_uid,
        "cause": run.cause_uid,
        "why": why(uow, run),
    }


def described_replay(found: Replay) -> dict[str, Any]:
    """Return a replay as JSON-ready values."""
    shown: dict[str, Any] = RuleReplaySchema().dump(found)
    return shown


def described_rehearsal(found: Rehearsal) -> dict[str, Any]:
    """Return a trial as JSON-ready values."""
    changes = [
        {
            "record_type": name,
            "action": action,
            "values": [{"field": t.field, "before": t.before, "after": t.after} for t in told],
        }
        for name, action, told in found.changes
    ]
    verdict = found.verdict
    said = {"matched": verdict.matched, "failed": list(verdict.failed), "refused": found.refused}
    return {**said, "changes": changes, "events": list(found.events)}


def _runs(blueprint: Blueprint) -> type[MethodView]:
    @permission("rule.read")
    class Runs(MethodView):
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            rule = record_of(uow, record_type("rule"), uid)
            asked = load_with(RuleRunsQuestionSchema, request.args.to_dict())
            found = runs_of(uow, rule, limit=asked["limit"] + 1, before=asked["before"], outcome=asked["outcome"])
            shown = found[: asked["limit"]]
            cursor = shown[-1].uid if len(found) > len(shown) else None
            return json_response({"items": [described_run(uow, run) for run in shown], "next_cursor": cursor})

    operation = {
        "summary": "List what a rule did and why it did not, newest first",
        "parameters": [
            _argument("outcome", "done, not_matched, failed, loop or inert.", type="string"),
            _argument("before", "next_cursor of the page before.", type="string", format="uuid"),
            _argument("limit", "Rows of a page.", type="integer", minimum=1, maximum=500),
        ],
        "responses": reading_answers(RuleRunsSchema, 404, 422),
    }
    Runs.get = _documented(blueprint, Runs.get, operation)  # type: ignore[method-assign]
    return Runs


def _dry_run(blueprint: Blueprint) -> type[MethodView]:
    @permission("rule.update")
    class DryRun(MethodView):
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            rule = _changeable(uow, uid)
            record = load_with(RuleTrialSchema, body_of_request())["record"]
            return json_response(described_rehearsal(rehearse(uow, rule, record)))

    operation = {
        "summary": "Say what a rule would do with one record, without doing it",
        "requestBody": {"required": True, "content": {"application/json": {"schema": RuleTrialSchema}}},
        "responses": changing_answers(200, RuleRehearsalSchema, 404, 409, 413, 422),
    }
    DryRun.post = _documented(blueprint, DryRun.post, operation)  # type: ignore[method-assign]
    return DryRun


def _replay(blueprint: Blueprint) -> type[MethodView]:
    @permission("rule.update")
    class ReplayView(MethodView):
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            rule = _changeable(uow, uid)
            since = load_with(RuleSinceSchema, request.args.to_dict())["since"]
            return json_response(described_replay(replay(uow, rule, since, limit=_EVENTS)))

    operation = {
        "summary": "Count what a rule would have done since a time, by what its records are today",
        "parameters": [_argument("since", "A time.", required=True, type="string", format="date-time")],
        "responses": reading_answers(RuleReplaySchema, 404, 409, 422),
    }
    ReplayView.get = _documented(blueprint, ReplayView.get, operation)  # type: ignore[method-assign]
    return ReplayView


def _changeable(uow: UnitOfWork, uid: UUID) -> Rule:
    rule: Rule = record_of(uow, record_type("rule"), uid)
    authorize(uow.actor, "rule.update", rule)
    return rule


def _documented(blueprint: Blueprint, view: _View, operation: dict[str, Any]) -> _View:
    return cast("_View", blueprint.doc(**operation)(view))


def _argument(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": required, "description": description, "schema": schema}
