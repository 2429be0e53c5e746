"""Background work of imports: the turns of an import, of undoing one, and the nightly end of rows that are old enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import url_for
from flask_babel import force_locale
from flask_babel import gettext as _

from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import Job, JobKind
from crm_kernel.errors import CrmError, DatabaseUnavailable
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.importing import undoing
from crm_kernel.records.importing.continuing import take_turn
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.runs import UNDER_WAY, actor_by_key
from crm_kernel.records.importing.uploads import drop_upload, sweep
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

IMPORT, UNDO, EXPIRE = "kernel.import", "kernel.undo_import", "kernel.expire_imports"

#: Seconds that one import goes on before others in the queue get a turn.
TURN = 20.0
#: Rows deleted per chunk.
_SLICE = 5_000

Result = Callable[["UnitOfWork"], None] | None


def import_jobs() -> list[Job]:
    """Return the jobs of imports."""
    outside = JobKind.OUTSIDE
    return [
        Job(name=IMPORT, handler=go_on, kind=outside, queue="imports", result=_page),
        Job(name=UNDO, handler=go_on_undoing, kind=outside, queue="imports", result=_page),
        Job(
            name=EXPIRE, handler=expire, kind=JobKind.CHUNKED, schedule="10 4 * * *", queue="housekeeping", priority=10
        ),
    ]


def start_import(uow: UnitOfWork, run: ImportRun) -> None:
    """Have a run done in the background, from this commit on."""
    run.job_id = enqueue(uow, IMPORT, {"run": str(run.uid)})


def start_undo(uow: UnitOfWork, run: ImportRun) -> None:
    """Have a run that ``begin_undo`` marked taken back in the background, by who acts now; once, however often it is asked."""
    if not is_undo_over(uow, run):
        return
    scopes = uow.actor.token_scopes
    who = {"user": uow.actor.user_id, "scopes": None if scopes is None else list(scopes)}
    run.job_id = enqueue(uow, UNDO, {"run": str(run.uid), **who})


def is_undo_over(uow: UnitOfWork, run: ImportRun) -> bool:
    """Say whether a run is only half taken back and nothing goes on with it: its job gave up or was cancelled. One query."""
    return run.state == RunState.UNDOING and not uow.session.scalar(sa.select(_at_work(run.job_id)))


def go_on(payload: dict[str, Any]) -> Result:
    """Import for one turn; what is left gets another one."""
    return _another(IMPORT, payload) if take_turn(UUID(payload["run"]), time.monotonic() + TURN) else None


def go_on_undoing(payload: dict[str, Any]) -> Result:
    """Take back for one turn; what is left gets another one. What ends it half-way is kept in the run.

    Raises:
        DatabaseUnavailable: the database does not answer: to be tried again.
    """
    try:
        with reading(SYSTEM) as uow:
            actor = actor_by_key(uow, payload["user"], payload["scopes"])
        with force_locale(actor.language):
            more = undoing.undo(actor, UUID(payload["run"]), until=time.monotonic() + TURN)
    except DatabaseUnavailable:
        raise
    except CrmError as error:
        return _ended(payload, str(error))
    return _another(UNDO, payload) if more else None


def expire(uow: UnitOfWork, _payload: dict[str, Any]) -> dict[str, Any] | None:
    """Delete rows and uploaded files of the next run that is older than ``import_days``; the run stays, with a count.

    What a job is at work on waits for the next night. After the last one, uploaded files that belong to no run are removed.
    """
    left = sa.or_(ImportRun.expired_at.is_(None), sa.exists().where(ImportRow.run_id == ImportRun.id))
    busy = sa.and_(ImportRun.state.in_((*UNDER_WAY, RunState.UNDOING)), _at_work(ImportRun.job_id))
    old = sa.select(ImportRun).where(ImportRun.created_at < undoing.kept_since(uow), left, ~busy)
    run = uow.session.scalars(old.order_by(ImportRun.created_at).limit(1).with_for_update()).first()
    if run is None:
        sweep(uow)
        return None
    if run.expired_at is None:
        _expire(uow, run)
    next_rows = sa.select(ImportRow.id).where(ImportRow.run_id == run.id).limit(_SLICE)
    gone: Any = uow.session.execute(sa.delete(ImportRow).where(ImportRow.id.in_(next_rows)))
    run.expired_rows = (run.expired_rows or 0) + gone.rowcount
    return {"run": str(run.uid), "progress": {"done": run.expired_rows, "text": run.name}}


def _expire(uow: UnitOfWork, run: ImportRun) -> None:
    """Note before the first row goes that rows are missing: nobody is to take back what is left of them."""
    run.expired_at = uow.now
    if run.state == RunState.UNDOING:
        run.state, run.failure = RunState.UNDONE, _("Its rows expired before all of it was taken back.")
    drop_upload(uow, run)


def _page(payload: Mapping[str, Any]) -> str:
    return url_for("imports.detail", uid=payload["run"])


def _another(name: str, payload: dict[str, Any]) -> Result:
    def again(uow: UnitOfWork) -> None:
        job = enqueue(uow, name, payload)
        uow.session.execute(_change_of(payload).values(job_id=job))

    return again


def _ended(payload: dict[str, Any], failure: str) -> Result:
    def note(uow: UnitOfWork) -> None:
        undoing = ImportRun.state == RunState.UNDOING
        uow.session.execute(_change_of(payload).where(undoing).values(job_id=None, failure=failure))

    return note


def _change_of(payload: dict[str, Any]) -> sa.Update:
    return sa.update(ImportRun).where(ImportRun.uid == UUID(payload["run"]))


def _at_work(job: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(JobRow.id == job, JobRow.state.in_((JobState.READY, JobState.LEASED)))
