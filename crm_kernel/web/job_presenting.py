"""How the pages of background work show a job and a schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import url_for
from flask_babel import format_datetime, get_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.jobs.describing import first_line, result_of, result_page
from crm_kernel.jobs.models import JobRow, JobSchedule, JobState
from crm_kernel.jobs.rhythms import DAILY, HOURLY, WEEKLY, rhythm_of
from crm_kernel.jobs.schedules import owner_of

_MINUTES = re.compile(r"\*/(\d+) \* \* \* \*")
#: State of a job → what pages say and its colour.
STATES = {
    JobState.READY: (_l("Waiting"), "blue"),
    JobState.LEASED: (_l("Running"), "azure"),
    JobState.DONE: (_l("Done"), "green"),
    JobState.DEAD: (_l("Failed for good"), "red"),
    JobState.CANCELLED: (_l("Cancelled"), "gray"),
}


def described(job: JobRow) -> dict[str, Any]:
    """Return a job as lists and its page name it."""
    state = JobState(job.state)
    label, color = STATES[state]
    return {
        "id": str(job.uid),
        "name": job.name,
        "queue": job.queue,
        "state": state.name.lower(),
        "label": label,
        "color": color,
        "run_at": format_datetime(job.run_at, "short"),
        "progress": _progress(job.progress),
        "done": (job.progress or {}).get("done"),
        "total": (job.progress or {}).get("total"),
        "running": state is JobState.LEASED,
        "unfinished": state in (JobState.READY, JobState.LEASED),
        "result": result_of(job),
        "error": first_line(job) or "",
        "url": url_for("jobs.detail", uid=job.uid),
        "can_retry": state in (JobState.DEAD, JobState.CANCELLED, JobState.READY),
        "can_cancel": state in (JobState.READY, JobState.LEASED, JobState.DEAD),
    }


def _progress(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    parts = [f"{found['done']} / {found['total']}" if "total" in found else str(found.get("done", ""))]
    return " · ".join(part for part in (*parts, str(found.get("text", ""))) if part)


def facts(job: JobRow) -> list[dict[str, Any]]:
    """Return what the page of a job says about it, in order."""
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


def times_text(cron: str) -> str:
    """Return a schedule's times in words; an expression that says more than the usual rhythms as it is."""
    rhythm = rhythm_of(cron)
    if rhythm.kind == HOURLY:
        return str(_("every hour, %(minute)s minutes past", minute=rhythm.minute))
    if rhythm.kind == DAILY:
        return str(_("every day at %(time)s", time=rhythm.time))
    if rhythm.kind == WEEKLY:
        names = get_locale().days["format"]["wide"]  # CLDR counts from Monday
        days = ", ".join(names[(int(day) - 1) % 7] for day in rhythm.days)
        return str(_("%(days)s at %(time)s", days=days, time=rhythm.time))
    if minutes := _MINUTES.fullmatch(cron):
        return str(ngettext("every %(num)s minute", "every %(num)s minutes", int(minutes[1])))
    return cron


def described_schedule(row: JobSchedule) -> dict[str, Any]:
    """Return a schedule as its list shows it."""
    verb = "resume" if row.paused else "pause"
    followed = owner_of(row) is not None
    return {
        "job": row.job,
        "cron": row.cron,
        "times": times_text(row.cron),
        "zone": row.zone,
        "next_at": "" if row.paused else format_datetime(row.next_at, "short"),
        "last_at": format_datetime(row.last_at, "short") if row.last_at else "",
        "paused": row.paused,
        "own_time": row.own_time,
        # One that follows a record is changed there; to let it go on is no change of what the record says.
        "owner_url": result_page(row.job, row.payload, row.uid) if followed else None,
        "times_url": None if followed else url_for("schedules.times", uid=row.uid),
        "change_url": None if followed and not row.paused else url_for("jobs.change_schedule", uid=row.uid, verb=verb),
        "command": f"crm jobs schedule {verb} {row.uid}",
    }
