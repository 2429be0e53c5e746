"""The pages of background work: jobs by state and queue, one job, schedules; each shows the command that does the same.

Who looks after the queues sees all jobs; everybody else those he asked for, at the same addresses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from werkzeug.wrappers import Response

from crm_kernel.access.policy import allowed, authorize
from crm_kernel.contributions import NavItem, Permission
from crm_kernel.errors import InvalidInput
from crm_kernel.jobs import deciding, queries, queues, schedules
from crm_kernel.jobs.describing import details, first_line
from crm_kernel.jobs.models import JobState
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission
from crm_kernel.web.job_presenting import STATES, described, described_schedule, facts

blueprint = Blueprint("jobs", __name__)

#: Jobs on one page of the list.
_PAGE = 50
#: Most dead jobs one click makes due again; the next click takes the next.
_MOST = 1000
#: Running jobs shown with their progress.
_RUNNING = 20
_FILTERS = ("state", "queue", "kind", "name", "mine")


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
@permission("authenticated")
def listing() -> str:
    """List jobs, newest first, by state, queue, kind and name; above them what stands in the queues and what runs now."""
    uow = current_uow()
    chosen = {key: request.args.get(key, "") for key in _FILTERS}
    wanted = _wanted(chosen)
    found = queries.jobs(uow, wanted, limit=_PAGE + 1)
    shown = found[:_PAGE]
    more: dict[str, Any] = {key: value for key, value in chosen.items() if value}
    sees_all = deciding.sees_all(uow.actor)
    running = queries.JobFilter(states=[JobState.LEASED], user_id=None if sees_all else uow.actor.user_id or 0)
    return render_template(
        "jobs/list.html",
        jobs=[described(job) for job in shown],
        running=[described(job) for job in queries.jobs(uow, running, limit=_RUNNING)],
        depths=queues.queue_depths(uow) if sees_all else [],
        chosen=chosen,
        states=[(state.name.lower(), label) for state, (label, _color) in STATES.items()],
        next_url=url_for("jobs.listing", **more, before=shown[-1].uid) if len(found) > _PAGE else None,
        sees_all=sees_all,
        may_change=allowed(uow.actor, "job.update") or not sees_all,
        may_change_all=allowed(uow.actor, "job.update"),
        command=_list_command(chosen),
    )


@blueprint.get("/jobs/<uuid:uid>")
@permission("authenticated")
def detail(uid: UUID) -> str:
    """Show one job: how far it is, its result, and to whoever looks after the queues payload and whole error."""
    uow = current_uow()
    job = deciding.seen_job(uow, uid)
    whole = details(job) if deciding.sees_all(uow.actor) else None
    return render_template(
        "jobs/detail.html",
        job=described(job),
        error=whole["trace"] if whole else first_line(job),
        payload=json.dumps(whole["payload"], indent=2, ensure_ascii=False) if whole else None,
        facts=facts(job),
        may_change=deciding.may_change(uow.actor, job),
    )


@blueprint.get("/jobs/schedules")
@permission("job.read")
def schedule_list() -> str:
    """List what is done again and again, the next first."""
    uow = current_uow()
    rows = [described_schedule(row) for row in queries.schedules(uow)]
    return render_template("jobs/schedules.html", rows=rows, may_change=allowed(uow.actor, "job.update"))


@blueprint.post("/jobs/<uuid:uid>/retry")
@permission("authenticated")
def retry(uid: UUID) -> Response:
    """Make a job due now."""
    deciding.retry(current_uow(), uid)
    flash(_("The job is due now."), "success")
    return redirect(url_for("jobs.detail", uid=uid), 303)


@blueprint.post("/jobs/<uuid:uid>/cancel")
@permission("authenticated")
def cancel(uid: UUID) -> Response:
    """Decide that a job is not to be done."""
    deciding.cancel(current_uow(), uid)
    flash(_("The job is cancelled."), "success")
    return redirect(url_for("jobs.detail", uid=uid), 303)


@blueprint.post("/jobs/retry")
@permission("authenticated")
def retry_dead() -> Response:
    """Make the selected jobs due now, or all that failed for good (of a queue, of a name), the oldest first."""
    uow = current_uow()
    if request.form.get("all"):
        authorize(uow.actor, deciding.UPDATE)
        name, queue = request.form.get("name") or None, request.form.get("queue") or None
        chosen = [job.uid for job in queries.dead_jobs(uow, name=name, queue=queue, limit=_MOST)]
    else:
        chosen = [found for text in request.form.getlist("id") if (found := _uid(text)) is not None]
    done = len(deciding.retry_all(uow, chosen))
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


def _wanted(chosen: Mapping[str, str]) -> queries.JobFilter:
    actor = current_uow().actor
    own = bool(chosen["mine"]) or not deciding.sees_all(actor)
    return queries.JobFilter(
        states=_states(chosen["state"]),
        queue=chosen["queue"] or None,
        name=chosen["name"] or None,
        deliveries={"job": False, "delivery": True}.get(chosen["kind"]),
        user_id=(actor.user_id or 0) if own else None,
        before=_uid(request.args.get("before", "")),
    )


def _uid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


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


def _list_command(chosen: Mapping[str, str]) -> str:
    return " ".join(
        ["crm jobs list", *(f"--{key} {value}" for key, value in chosen.items() if value and key != "mine")]
    )
