"""The pages of background work: jobs by state and queue, one job, schedules; each shows the command that does the same.

A job is named by its number, as in ``crm jobs`` and in the log: it is no record, and its number says nothing of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_datetime, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel.access.policy import allowed
from crm_kernel.contributions import NavItem, Permission
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.jobs import queries, queues, schedules, services
from crm_kernel.jobs.models import JobRow, JobSchedule, JobState
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("jobs", __name__)

#: Jobs on one page of the list.
_PAGE = 50
#: Most dead jobs one click makes due again; the next click takes the next.
_MOST = 1000

#: State of a job → what pages say and its colour.
STATES = {
    JobState.READY: (_l("Waiting"), "blue"),
    JobState.LEASED: (_l("Running"), "azure"),
    JobState.DONE: (_l("Done"), "green"),
    JobState.DEAD: (_l("Failed for good"), "red"),
    JobState.CANCELLED: (_l("Cancelled"), "gray"),
}


def permissions() -> list[Permission]:
    """Return what may be granted over background work."""
    return [
        Permission(name="job.read", label=_l("Background jobs: read")),
        Permission(name="job.update", label=_l("Background jobs: retry, cancel, pause")),
    ]


def nav() -> list[NavItem]:
    """Return the entry of the jobs page in the navigation."""
    return [
        NavItem(
            name="kernel.jobs",
            label=_l("Jobs"),
            endpoint="jobs.listing",
            icon="server",
            permission="job.read",
            section="administration",
            order=60,
        )
    ]


@blueprint.get("/jobs")
@permission("job.read")
def listing() -> str:
    """List jobs, newest first, by state, queue and name, above them what stands in the queues."""
    uow = current_uow()
    chosen = {key: request.args.get(key, "") for key in ("state", "queue", "name")}
    wanted = queries.JobFilter(
        states=_states(chosen["state"]),
        queue=chosen["queue"] or None,
        name=chosen["name"] or None,
        before=request.args.get("before", type=int),
    )
    found = queries.jobs(uow, wanted, limit=_PAGE + 1)
    shown = found[:_PAGE]
    more: dict[str, Any] = {key: value for key, value in chosen.items() if value}
    return render_template(
        "jobs/list.html",
        jobs=[_described(job) for job in shown],
        depths=queues.queue_depths(uow),
        chosen=chosen,
        states=[(state.name.lower(), label) for state, (label, _color) in STATES.items()],
        next_url=url_for("jobs.listing", **more, before=shown[-1].id) if len(found) > _PAGE else None,
        may_change=allowed(uow.actor, "job.update"),
        command=_list_command(chosen),
    )


@blueprint.get("/jobs/<int:number>")
@permission("job.read")
def detail(number: int) -> str:
    """Show one job with its payload and its whole error."""
    uow = current_uow()
    job = queries.job(uow, number)
    return render_template(
        "jobs/detail.html",
        job=_described(job),
        error=job.error,
        payload=json.dumps(job.payload, indent=2, ensure_ascii=False),
        facts=_facts(job),
        may_change=allowed(uow.actor, "job.update"),
    )


@blueprint.get("/jobs/schedules")
@permission("job.read")
def schedule_list() -> str:
    """List what is done again and again, the next first."""
    uow = current_uow()
    rows = [_schedule(row) for row in queries.schedules(uow)]
    return render_template("jobs/schedules.html", rows=rows, may_change=allowed(uow.actor, "job.update"))


@blueprint.post("/jobs/<int:number>/retry")
@permission("job.update")
def retry(number: int) -> Response:
    """Make a job due now."""
    services.retry_job(current_uow(), number)
    flash(_("The job is due now."), "success")
    return redirect(url_for("jobs.detail", number=number), 303)


@blueprint.post("/jobs/<int:number>/cancel")
@permission("job.update")
def cancel(number: int) -> Response:
    """Decide that a job is not to be done."""
    services.cancel_job(current_uow(), number)
    flash(_("The job is cancelled."), "success")
    return redirect(url_for("jobs.detail", number=number), 303)


@blueprint.post("/jobs/retry")
@permission("job.update")
def retry_dead() -> Response:
    """Make the selected jobs due now, or all that failed for good, the oldest first."""
    uow = current_uow()
    if request.form.get("all"):
        numbers = [job.id for job in queries.dead_jobs(uow, name=request.form.get("name") or None, limit=_MOST)]
    else:
        numbers = [int(number) for number in request.form.getlist("id") if number.isdecimal()]
    done = sum(_retried(number) for number in sorted(set(numbers)))
    flash(ngettext("%(num)s job is due now.", "%(num)s jobs are due now.", done), "success")
    return redirect(url_for("jobs.listing"), 303)


@blueprint.post("/jobs/queues/<name>/<any(pause, resume):verb>")
@permission("job.update")
def change_queue(name: str, verb: str) -> Response:
    """Pause or resume a queue."""
    change: Mapping[str, Callable[..., Any]] = {"pause": queues.pause_queue, "resume": queues.resume_queue}
    change[verb](current_uow(), name)
    flash(_("Saved."), "success")
    return redirect(url_for("jobs.listing"), 303)


@blueprint.post("/jobs/schedules/<uuid:uid>/<any(pause, resume):verb>")
@permission("job.update")
def change_schedule(uid: UUID, verb: str) -> Response:
    """Pause or resume a schedule."""
    change: Mapping[str, Callable[..., Any]] = {
        "pause": schedules.pause_schedule,
        "resume": schedules.resume_schedule,
    }
    change[verb](current_uow(), uid)
    flash(_("Saved."), "success")
    return redirect(url_for("jobs.schedule_list"), 303)


def _retried(number: int) -> bool:
    try:
        services.retry_job(current_uow(), number)
    except Conflict:  # done or running by now
        return False
    return True


def _states(name: str) -> list[JobState] | None:
    if not name:
        return None
    try:
        return [JobState[name.upper()]]
    except KeyError as error:
        known = ", ".join(state.name.lower() for state in JobState)
        raise InvalidInput(
            {"state": [_("No job has the state %(state)s. Known: %(known)s", state=name, known=known)]}
        ) from error


def _described(job: JobRow) -> dict[str, Any]:
    state = JobState(job.state)
    label, color = STATES[state]
    return {
        "number": job.id,
        "name": job.name,
        "queue": job.queue,
        "state": state.name.lower(),
        "label": label,
        "color": color,
        "run_at": format_datetime(job.run_at, "short"),
        "progress": _progress(job.progress),
        "error": (job.error or "").partition("\n")[0],
        "url": url_for("jobs.detail", number=job.id),
        "can_retry": state in (JobState.DEAD, JobState.CANCELLED, JobState.READY),
        "can_cancel": state in (JobState.READY, JobState.LEASED, JobState.DEAD),
    }


def _progress(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    parts = [f"{found['done']} / {found['total']}" if "total" in found else str(found.get("done", ""))]
    return " · ".join(part for part in (*parts, str(found.get("text", ""))) if part)


def _facts(job: JobRow) -> list[dict[str, Any]]:
    kind = _("Delivery of an event") if job.event_id else _("Job")
    finished = format_datetime(job.finished_at) if job.finished_at else ""
    return [
        {"label": _("Kind"), "text": kind},
        {"label": _("Module"), "text": job.module},
        {"label": _("Queue"), "text": job.queue, "url": url_for("jobs.listing", queue=job.queue)},
        {"label": _("Priority"), "text": str(job.priority), "kind": "number"},
        {"label": _("Due"), "text": format_datetime(job.run_at)},
        {"label": _("Ended"), "text": finished},
        {"label": _("Attempts"), "text": f"{job.failures} / {job.max_attempts}", "kind": "number"},
        {"label": _("Progress"), "text": _progress(job.progress)},
        {"label": _("Worker"), "text": job.worker or ""},
    ]


def _schedule(row: JobSchedule) -> dict[str, Any]:
    verb = "resume" if row.paused else "pause"
    return {
        "job": row.job,
        "cron": row.cron,
        "zone": row.zone,
        "next_at": "" if row.paused else format_datetime(row.next_at, "short"),
        "last_at": format_datetime(row.last_at, "short") if row.last_at else "",
        "paused": row.paused,
        "change_url": url_for("jobs.change_schedule", uid=row.uid, verb=verb),
        "command": f"crm jobs schedule {verb} {row.uid}",
    }


def _list_command(chosen: Mapping[str, str]) -> str:
    return " ".join(["crm jobs list", *(f"--{key} {value}" for key, value in chosen.items() if value)])
