"""The pages of automation rules beside those of the record type: condition, actions, run log, trial and replay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_date
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.policy import authorize
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.pages import forms
from crm_kernel.records.pages.conditions import condition_page, tree_sent
from crm_kernel.records.plan import record_type as type_named
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import update_record
from crm_kernel.rules.definition import actions_for, loaded_params
from crm_kernel.rules.presenting import OUTCOMES, described_runs, runs_of
from crm_kernel.rules.replay_jobs import apply_replay
from crm_kernel.rules.replaying import Counted, rehearse, replay
from crm_kernel.rules.telling import told_replay
from crm_kernel.rules.wording import choices_for
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.contributions import RuleAction
    from crm_kernel.rules.models import Rule
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("rules", __name__)

#: Rows of the log on a page; most events that a replay on a page looks at.
_PAGE, _EVENTS = 50, 5_000
#: What a page replays when nobody says since when.
_QUARTER = dt.timedelta(days=90)


@blueprint.get("/rules/<uuid:uid>/runs")
@permission("rule.read")
def runs(uid: UUID) -> str:
    """List what a rule did and why it did not, newest first."""
    uow = current_uow()
    rule = _rule(uow, uid)
    outcome = request.args.get("outcome") or None
    before = _uuid(request.args.get("before"), "before")
    found = runs_of(uow, rule, limit=_PAGE + 1, before=before, outcome=outcome)
    shown = found[:_PAGE]
    more: dict[str, Any] = {"outcome": outcome} if outcome else {}
    return render_template(
        "rules/runs.html",
        rule=rule,
        rows=described_runs(uow, shown),
        outcomes=[(str(name), label) for name, (label, _color) in OUTCOMES.items()],
        chosen=outcome,
        next_url=url_for("rules.runs", uid=uid, **more, before=shown[-1].uid) if len(found) > _PAGE else None,
        command=f"crm rules runs {uid}" + (f" --outcome {outcome}" if outcome else ""),
    )


@blueprint.get("/rules/<uuid:uid>/condition")
@permission("rule.update")
def condition(uid: UUID) -> str:
    """Show the filter builder over the rule's records; its address is its state, and a button keeps it."""
    uow = current_uow()
    rule = _changeable(uow, uid)
    return condition_page(
        uow,
        type_named(rule.record_type),
        rule.condition,
        here=url_for("rules.condition", uid=uid),
        owner={"name": rule.name, "url": url_for("records.rule_detail", uid=uid), "version": rule.version},
        subtitle=_("The rule acts on records that fit."),
    )


@blueprint.post("/rules/<uuid:uid>/condition")
@permission("rule.update")
def save_condition(uid: UUID) -> Response:
    """Keep the condition that the builder shows."""
    return _changed(uid, {"condition": tree_sent()})


@blueprint.route("/rules/<uuid:uid>/actions/new", methods=["GET", "POST"])
@permission("rule.update")
def add_action(uid: UUID) -> Any:
    """Offer the actions for the rule's records, ask what the chosen one needs, and add it."""
    uow = current_uow()
    rule = _changeable(uow, uid)
    offered = actions_for(type_named(rule.record_type))
    name = request.values.get("action_name", "")
    if name not in offered:
        return render_template("rules/action.html", rule=rule, offered=list(offered.values()), chosen=None)
    if request.method == "GET":
        return _action_form(rule, offered[name], {}, None)
    schema = offered[name].schema
    params = _params(schema, request.form) if schema else {}
    use = {"action": name, "params": params}
    try:
        loaded_params(type_named(rule.record_type), use)
    except InvalidInput as error:
        return _action_form(rule, offered[name], params, error), 422
    return _changed(uid, {"actions": [*rule.actions, use]})


@blueprint.post("/rules/<uuid:uid>/actions/<int:place>/remove")
@permission("rule.update")
def remove_action(uid: UUID, place: int) -> Response:
    """Take an action out of a rule."""
    rule = _changeable(current_uow(), uid)
    return _changed(uid, {"actions": [use for number, use in enumerate(rule.actions) if number != place]})


@blueprint.route("/rules/<uuid:uid>/try", methods=["GET", "POST"])
@permission("rule.update")
def trial(uid: UUID) -> str:
    """Try a rule on one record without effect, or say what it would have done since a day."""
    uow = current_uow()
    rule = _changeable(uow, uid)
    context: dict[str, Any] = {"rule": rule, "record_type": type_named(rule.record_type), "rehearsal": None}
    context |= {"since": _day(uow, request.args.get("since")), "replay": None, "refused": None}
    try:
        if request.method == "POST":
            record = _uuid(request.form.get("record"), "record")
            context["rehearsal"] = rehearse(uow, rule, record or UUID(int=0))
        elif request.args.get("since"):
            context["replay"] = found = replay(uow, rule, _start(uow, context["since"]), limit=_EVENTS)
            context["told"] = told_replay(uow, rule, found)
            context["months"] = [(_month(month), number) for month, number in found.months.items()]
    except Conflict as error:
        context["refused"] = str(error)
    return render_template("rules/try.html", **context)


@blueprint.post("/rules/<uuid:uid>/replay")
@permission("rule.update")
def apply(uid: UUID) -> Response:
    """Let a rule run in the background for the past events that the page has counted."""
    uow = current_uow()
    rule = _changeable(uow, uid)
    day = _day(uow, request.form.get("since"))
    first, last = (_uuid(request.form.get(name), name) or UUID(int=0) for name in ("first", "last"))
    version = request.form.get("version", 0, type=int)
    try:
        apply_replay(uow, rule, Counted(_start(uow, day), first, last, version))
    except Conflict as error:
        flash(str(error), "error")
        return redirect(url_for("rules.trial", uid=uid, since=day), 303)
    flash(_("The rule runs in the background for what was counted; here is how far it is."), "success")
    return redirect(url_for("records.rule_detail", uid=uid), 303)


def _rule(uow: UnitOfWork, uid: UUID) -> Rule:
    found: Rule = record_of(uow, type_named("rule"), uid)
    return found


def _changeable(uow: UnitOfWork, uid: UUID) -> Rule:
    rule = _rule(uow, uid)
    authorize(uow.actor, "rule.update", rule)
    return rule


def _changed(uid: UUID, changes: Mapping[str, Any]) -> Response:
    version = request.form.get("version", type=int)
    update_record(current_uow(), type_named("rule"), uid, changes, version=version)
    flash(_("Saved."), "success")
    return redirect(url_for("records.rule_detail", uid=uid), 303)


def _action_form(rule: Rule, action: RuleAction, values: Mapping[str, Any], error: InvalidInput | None) -> str:
    form = forms.schema_form(action.schema, values, error.errors if error else None) if action.schema else None
    known = choices_for(action, type_named(rule.record_type))
    for field in (field for section in form["sections"] for field in section["fields"]) if form else ():
        if field["name"] in known:
            options = [{"value": name, "label": label} for name, label in known[field["name"]].items()]
            field |= {"kind": "choice", "choices": options, "help": None}
    return render_template("rules/action.html", rule=rule, offered=[], chosen=action, form=form)


def _params(schema: Any, form: Any) -> dict[str, Any]:
    """Return the parameters that a form sent; those that are objects are written as JSON."""
    params = forms.schema_payload(schema, form)
    if "data" in schema._declared_fields:
        try:
            params["data"] = orjson.loads(form.get("data") or "{}")
        except orjson.JSONDecodeError:
            params["data"] = form.get("data")
    return params


def _month(month: str) -> str:
    return str(format_date(dt.date.fromisoformat(f"{month}-01"), _("MMMM y")))


def _day(uow: UnitOfWork, text: str | None) -> dt.date:
    try:
        return dt.date.fromisoformat(text) if text else (uow.now - _QUARTER).date()
    except ValueError as error:
        raise InvalidInput(
            {"since": [_("Found %(found)s, expected a date such as 2027-01-31.", found=str(text)[:40])]}
        ) from error


def _start(uow: UnitOfWork, day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(uow.actor.timezone))


def _uuid(text: str | None, name: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise InvalidInput(
            {name: [_("Not a record id: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057.")]}
        ) from error
