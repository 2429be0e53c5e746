"""Puts work into the ``job`` table and lets an admin retry or cancel it; the runner does it.

Jobs and deliveries of events are the same rows: what concerns events only is in ``crm_kernel.events.services``.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import Job
from crm_kernel.data_map.mentioned import note_mentioned
from crm_kernel.errors import Conflict, CrmError, NotFound
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.queries import overtaken
from crm_kernel.jobs.models import JobRow, JobState, JobSubject
from crm_kernel.jobs.signals import work_stored

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_kernel.unit_of_work import UnitOfWork


_QUEUE = re.compile(r"[a-zA-Z0-9_-]{1,40}")


class UnknownJob(CrmError):
    """Work was enqueued under a name that no loaded module registers, or with a payload that is no JSON."""


def enqueue(
    uow: UnitOfWork,
    name: str,
    payload: Mapping[str, Any],
    *,
    run_at: dt.datetime | None = None,
    dedupe_key: str | None = None,
    partition: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
) -> int:
    """Store a job with this unit's commit and return its key; it runs after the commit, never before.

    It is the actor's: he sees it among his jobs, follows it and may cancel it. What a job enqueues is whose the job is.

    Args:
        name: a ``Job`` that a loaded module registers.
        payload: JSON-ready values: ids and plain facts, no personal values.
        run_at: aware time before which it does not run; at once if not given. Months ahead cost nothing.
        dedupe_key: two jobs of one name with the same key are one, the first, also when that is done, as long as it is
            kept (``job_days``).
        partition: jobs of one name and partition run one after the other, the earlier enqueued first.
        queue: instead of the job's own: letters, digits, ``_`` and ``-``, at most 40.
        priority: instead of the job's own; lower numbers run first.

    Raises:
        UnknownJob: nobody registers the name, or the payload is not JSON; the text says what is known or wrong.
    """
    job, given = registered_job(name), json_payload(name, payload)
    values = {
        "module": runtime_of(current_app).registry.owner("jobs", name),
        "name": name,
        "user_id": uow.asked_by if uow.actor.user_id is None else uow.actor.user_id,
        "queue": job.queue if queue is None else checked_queue(queue),
        "priority": job.priority if priority is None else priority,
        "payload": given,
        "partition": partition,
        "run_at": run_at or uow.now,
        "max_attempts": job.max_attempts,
        "dedupe_key": dedupe_key,
        "causation_depth": uow.causation_depth,
        "created_at": uow.now,
    }
    uow.after_commit(work_stored)
    insert = dialect_insert(uow)(JobRow).values(values).on_conflict_do_nothing(index_elements=["name", "dedupe_key"])
    stored: int | None = uow.session.scalar(insert.returning(JobRow.id))
    if stored is None:
        same = sa.select(JobRow.id).where(JobRow.name == name, JobRow.dedupe_key == dedupe_key)
        return uow.session.scalars(same).one()
    note_subjects(uow.session, stored, given)
    return stored


def note_subjects(session: Session, job: int, payload: Mapping[str, Any]) -> None:
    """Write down the customers whose ids stand in a job's payload; one statement, and none for a payload without ids."""
    note_mentioned(session, JobSubject.__table__, job, json.dumps(payload))


def checked_queue(name: str) -> str:
    """Return a queue's name, checked.

    Raises:
        UnknownJob: it is no name for a queue.
    """
    if not _QUEUE.fullmatch(name):
        raise UnknownJob(f"queue: found {name!r}, expected at most 40 of a-z, A-Z, 0-9, _ and -")
    return name


def retry_job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Make a dead, cancelled or waiting job due now, with all its attempts before it, and return it.

    A dead delivery that comes after later ones about the same customer is marked ``out_of_order``.

    Raises:
        NotFound: no such job.
        Conflict: it is done, or being done right now.
    """
    job = lock_job(uow, uid)
    if job.state in (JobState.DONE, JobState.LEASED):
        raise Conflict(f"job {uid} ({job.name}) is {state_name(job.state)}: only a dead or waiting one can be retried.")
    if job.state != JobState.READY and _overtaken(uow, job):
        job.out_of_order = True
    job.state, job.failures, job.run_at, job.finished_at = JobState.READY, 0, uow.now, None
    _release_later(uow, job)
    uow.after_commit(work_stored)
    return job


def cancel_job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Decide that a job is not to be done, and return it; later ones of its partition go on.

    One that runs right now loses its lease: a chunked job stops at its next chunk, what it did so far stays; an outside
    job may have had its effect.

    Raises:
        NotFound: no such job.
        Conflict: it is done or cancelled already.
    """
    job = lock_job(uow, uid)
    if job.state in (JobState.DONE, JobState.CANCELLED):
        raise Conflict(f"job {uid} ({job.name}) is {state_name(job.state)} already.")
    job.state, job.finished_at, job.leased_until = JobState.CANCELLED, uow.now, None
    job.error = f"cancelled by {uow.actor.name}" + (f"; before that: {job.error}" if job.error else "")
    _release_later(uow, job)
    uow.after_commit(work_stored)
    return job


def lock_job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Load a job as it is now, so that nobody changes it before this unit commits; waits for the transaction of one that does.

    Raises:
        NotFound: no such job.
    """
    query = sa.select(JobRow).where(JobRow.uid == uid).with_for_update()
    # Who listed it before has its state of then: meanwhile somebody else decided, and it is done.
    found = uow.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(f"job {uid}: no such job. List them with: crm jobs list")
    return found


def state_name(state: int) -> str:
    """Return a job's state as users read it: ``ready``, ``leased``, ``done``, ``dead`` or ``cancelled``."""
    return JobState(state).name.lower()


def registered_job(name: str) -> Job:
    """Return the declaration of a job.

    Raises:
        UnknownJob: no loaded module registers it.
    """
    registry = runtime_of(current_app).registry
    job: Job | None = registry.get("jobs", name)
    if job is None:
        known = ", ".join(sorted(found.name for found in registry.all("jobs"))) or "none"
        raise UnknownJob(
            f"enqueue: no loaded module registers a job {name!r}; known: {known}. "
            "Return it from crm_register_jobs, or enable its module: crm modules list"
        )
    return job


def json_payload(name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's payload as a dictionary of its own.

    Raises:
        UnknownJob: it is not JSON.
    """
    try:
        json.dumps(dict(payload), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UnknownJob(f"enqueue: the payload of {name!r} is not JSON: {error}. Give ids as str(uid)") from error
    return dict(payload)


def dialect_insert(uow: UnitOfWork) -> Callable[..., Any]:
    """Return the ``insert`` of the unit's database: the one that knows ``on_conflict_do_nothing``."""
    return postgresql.insert if uow.session.get_bind().dialect.name == "postgresql" else sqlite.insert


def _overtaken(uow: UnitOfWork, job: JobRow) -> bool:
    stored = None if job.event_id is None else uow.session.get(StoredEvent, job.event_id)
    return stored is not None and overtaken(uow, stored, job.name, job_id=job.id)


def _release_later(uow: UnitOfWork, job: JobRow) -> None:
    """Make the deliveries due that were put off behind this one."""
    if job.event_id is None or job.partition is None:
        return
    behind = sa.and_(
        JobRow.name == job.name,
        JobRow.partition == job.partition,
        JobRow.id > job.id,
        JobRow.state == JobState.READY,
        JobRow.event_id.is_not(None),
        JobRow.failures == 0,
        JobRow.run_at > uow.now,
    )
    uow.session.execute(sa.update(JobRow).where(behind).values(run_at=uow.now))
