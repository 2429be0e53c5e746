"""The page that changes when a schedule fires: a rhythm to choose, the next runs before anything is saved, and the way back."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_datetime, get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.preferences import timezone_choices
from crm_kernel.jobs import schedules
from crm_kernel.jobs.cron import InvalidSchedule
from crm_kernel.jobs.models import JobSchedule
from crm_kernel.jobs.rhythms import CRON, DAILY, DAYS, HOURLY, WEEKLY, Rhythm, cron_of, rhythm_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("schedules", __name__)


@blueprint.route("/jobs/schedules/<uuid:uid>", methods=["GET", "POST"])
@permission("job.update")
def times(uid: UUID) -> Any:
    """Show when a schedule fires, show the next runs of other times, or let it fire at these."""
    uow = current_uow()
    row = schedules.schedule(uow, uid)
    if request.method == "GET":
        return _stored(row)
    rhythm, timezone = _typed(), request.form.get("timezone", "")
    try:
        cron = cron_of(rhythm)
        runs = schedules.preview(uow, uid, cron, timezone)
    except InvalidSchedule as error:
        return _page(row, rhythm, timezone, problem=error), 422
    if request.form.get("step") != "save":
        return _page(row, rhythm, timezone, cron=cron)
    schedules.reschedule(uow, uid, cron, timezone)
    flash(_("Saved. The next run: %(when)s.", when=format_datetime(runs[0], "short")), "success")
    return redirect(url_for("jobs.schedule_list"), 303)


@blueprint.post("/jobs/schedules/<uuid:uid>/restore")
@permission("job.update")
def restore(uid: UUID) -> Response:
    """Let a schedule fire as its module declares again."""
    schedules.restore_schedule(current_uow(), uid)
    flash(_("The times of the module count again."), "success")
    return redirect(url_for("jobs.schedule_list"), 303)


def _stored(row: JobSchedule) -> str:
    rhythm = rhythm_of(row.cron)
    try:
        return _page(row, rhythm, row.timezone, cron=row.cron)
    except InvalidSchedule as error:  # stored by hand, or by a version that took it: this page is where it is mended
        return _page(row, rhythm, row.timezone, problem=error)


def _page(
    row: JobSchedule, rhythm: Rhythm, timezone: str, *, cron: str = "", problem: InvalidSchedule | None = None
) -> str:
    runs = schedules.preview(current_uow(), row.uid, cron, timezone) if problem is None else []
    declared = schedules.declared_of(row) if row.own_time else None
    return render_template(
        "jobs/schedule.html",
        row=row,
        form=_form(row, rhythm, timezone, problem),
        runs=[_run(moment) for moment in runs],
        declared=declared,
        command=f'crm jobs schedule set {row.uid} "{cron or row.cron}" --timezone {timezone or row.timezone}',
    )


def _form(row: JobSchedule, rhythm: Rhythm, timezone: str, problem: InvalidSchedule | None) -> dict[str, Any]:
    wrong = {} if problem is None else explained(rhythm.kind, problem)
    kinds = {HOURLY: _("Every hour"), DAILY: _("Every day"), WEEKLY: _("On days of the week"), CRON: _("An expression")}
    fields: dict[str, list[dict[str, Any]]] = {
        "": [
            {"name": "rhythm", "label": _("When"), "kind": "choice", "choices": _choices(kinds), "value": rhythm.kind},
            {"name": "timezone", "label": _("Time zone"), "kind": "choice", "choices": _choices(_zones(row, timezone)),
             "value": timezone},
        ],
        HOURLY: [{"name": "minute", "label": _("Minutes past the hour"), "kind": "text", "value": rhythm.minute,
                  "inputmode": "numeric"}],
        DAILY: [{"name": "time", "label": _("Time"), "kind": "time", "value": rhythm.time}],
        WEEKLY: [
            {"name": "days", "label": _("Days"), "kind": "multichoice", "choices": _choices(_days()),
             "value": list(rhythm.days)},
            {"name": "week_time", "label": _("Time"), "kind": "time", "value": rhythm.time},
        ],
        CRON: [{"name": "cron", "label": _("Expression"), "kind": "text", "value": rhythm.cron,
                "help": _("Minute, hour, day of month, month, day of week: 30 3 * * 1-5.")}],
    }  # fmt: skip
    for field in (field for part in fields.values() for field in part):
        field["error"] = wrong.get(field["name"])
    sections = [
        {"fields": part, "columns": 2, "when": ("rhythm", kind) if kind else None} for kind, part in fields.items()
    ]
    return {"sections": sections}


def _typed() -> Rhythm:
    """Return what was sent as it is shown again, fitting or not."""
    form = request.form
    kind = form.get("rhythm", "")
    return Rhythm(
        kind,
        time=form.get("week_time" if kind == WEEKLY else "time", ""),
        minute=form.get("minute", ""),
        days=tuple(form.getlist("days")),
        cron=form.get("cron", ""),
    )


def explained(kind: str, problem: InvalidSchedule) -> dict[str, str]:
    """Return the field that is wrong and why, in the reader's language; the command line has the error's own words."""
    if str(problem).startswith("time zone"):
        return {"timezone": _("There is no such time zone.")}
    if str(problem).startswith("days"):
        return {"days": _("Choose at least one day.")}
    texts = {
        HOURLY: ("minute", _("Expected minutes past the hour, 0 to 59.")),
        DAILY: ("time", _("Expected a time such as 03:30.")),
        WEEKLY: ("week_time", _("Expected a time such as 03:30.")),
        CRON: ("cron", _("Expected five fields, and that such a day ever comes: 30 3 * * 1-5.")),
    }
    name, text = texts.get(kind, ("rhythm", _("Choose when it is done.")))
    return {name: text}


def _run(moment: dt.datetime) -> dict[str, str]:
    """Return a run by the clock of the schedule's zone, and by the reader's where that shows another time."""
    there = format_datetime(moment.replace(tzinfo=None), "EEEE d MMMM y HH:mm", rebase=False)
    here = format_datetime(moment, "EEEE d MMMM y HH:mm")
    return {"there": there, "offset": f"{moment:%z}", "here": "" if here == there else here}


def _days() -> dict[str, str]:
    names = get_locale().days["stand-alone"]["wide"]  # CLDR counts from Monday
    return {day: names[(int(day) - 1) % 7] for day in DAYS}


def _zones(row: JobSchedule, chosen: str) -> dict[str, str]:
    users = {"user": _("That of the user")} if row.user_id is not None else {}
    known = {"site": _("That of the company"), **users, **timezone_choices()}
    return known if not chosen or chosen in known else {chosen: chosen, **known}


def _choices(labels: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "label": label} for value, label in labels.items()]
