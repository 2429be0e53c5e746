"""What is told of a job outside of the process: by the API, the pages and the command line alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.jobs.masking import masked_payload, masked_text
from crm_kernel.jobs.models import JobState

if TYPE_CHECKING:
    from uuid import UUID

    from crm_kernel.jobs.models import JobRow

log = logging.getLogger("crm.jobs")


def described(job: JobRow) -> dict[str, Any]:
    """Return what whoever sees a job is told of it, JSON-ready: how far it is, and the first line of its error."""
    return {
        "id": job.uid,
        "name": job.name,
        "module": job.module,
        "queue": job.queue,
        "state": JobState(job.state).name.lower(),
        "delivery": job.event_id is not None,
        "priority": job.priority,
        "progress": job.progress,
        "run_at": job.run_at,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "failures": job.failures,
        "max_attempts": job.max_attempts,
        "error": first_line(job),
        "result": result_of(job),
    }


def details(job: JobRow) -> dict[str, Any]:
    """Return what whoever looks after the queues is told besides: payload and whole error, without secrets."""
    return {
        "payload": masked_payload(job.payload),
        "trace": masked_text(job.error) if job.error else None,
        "attempts": job.attempts,
        "worker": job.worker,
        "leased_until": job.leased_until,
        "partition": job.partition,
        "dedupe_key": job.dedupe_key,
        "out_of_order": job.out_of_order,
    }


def first_line(job: JobRow) -> str | None:
    """Return what went wrong, without the places it came through and without secrets; None if nothing did."""
    return masked_text(job.error.partition("\n")[0]) if job.error else None


def result_of(job: JobRow) -> str | None:
    """Return the path of the page on which to look at what a job does, None where its module names none."""
    return None if job.event_id is not None else result_page(job.name, job.payload, job.uid)


def result_page(name: str, payload: Mapping[str, Any], uid: UUID) -> str | None:
    """Return the path of the page on which to look at what a job or schedule of this name and payload does, or None."""
    declared = runtime_of(current_app).registry.get("jobs", name)
    if declared is None or declared.result is None:
        return None
    try:
        found: str | None = declared.result(_given(payload))
    except Exception:  # a payload of an older version; the job itself is to be seen all the same
        log.warning("%s (%s): its module cannot name the page of its result", name, uid, exc_info=True)
        return None
    return found


def _given(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != "checkpoint"}
