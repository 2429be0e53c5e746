"""The job that does bulk runs: some records per transaction, as the user who asked, with his permissions of now.

A chunk commits the records, what became of them and the counters together: a worker that dies in between leaves nothing
half done, and the next one goes on with the records that still wait.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm.exc import StaleDataError

from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import Actor
from crm_kernel.contributions import Job, JobKind
from crm_kernel.errors import CrmError, DatabaseUnavailable
from crm_kernel.records.bulk_actions.applying import apply
from crm_kernel.records.bulk_actions.asking import Change
from crm_kernel.records.bulk_actions.forgetting import forgetting_job
from crm_kernel.records.bulk_actions.models import (
    CANCELLED,
    CHANGED,
    DONE,
    QUEUED,
    REFUSED,
    RUNNING,
    UNCHANGED,
    WAITING,
    BulkRow,
    BulkRun,
)
from crm_kernel.records.bulk_actions.services import JOB
from crm_kernel.records.plan import record_types
from crm_kernel.records.saved_views.services import problem_text
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.bulk")

#: Records per transaction: others wait no longer than these take.
CHUNK = 50


def jobs() -> list[Job]:
    """Return the jobs of bulk runs: what does one, and the nightly end of what they keep."""
    return [
        Job(
            name=JOB,
            handler=run_chunk,
            kind=JobKind.CHUNKED,
            result=lambda payload: url_for("records.bulk_run_detail", uid=payload["run"]),
        ),
        forgetting_job(),
    ]


def run_chunk(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Change the next records of a run and return how far it is; None when it is over."""
    run = uow.session.scalars(sa.select(BulkRun).where(BulkRun.uid == UUID(payload["run"]))).one_or_none()
    if run is None or run.state not in (QUEUED, RUNNING):
        return None
    actor, record_type = _actor_of(uow, run), record_types().get(run.record_type)
    if actor is None or record_type is None:
        _end(uow, run, CANCELLED)
        return None
    uow.actor, uow.request_id = actor, run.request_id
    waiting = sa.select(BulkRow).where(BulkRow.run_id == run.id, BulkRow.outcome == WAITING)
    rows = uow.session.scalars(waiting.order_by(BulkRow.id).limit(CHUNK)).all()
    if not rows:
        _end(uow, run, DONE)
        return None
    change = Change(run.what, run.data or {})
    places = [(row.id, row.record_uid) for row in rows]
    with force_locale(actor.language):  # refusals are for whoever began it
        found = Counter(_store(uow, key, *_outcome(uow, record_type, change, uid)) for key, uid in places)
    done = run.changed + run.unchanged + run.refused + len(places)
    _count(uow, run, found)
    return {"progress": {"done": done, "total": run.total}}


def _outcome(uow: UnitOfWork, record_type: RecordType, change: Change, uid: UUID) -> tuple[str, str | None]:
    try:
        with attempt(uow):
            return (CHANGED if apply(uow, record_type, change, uid) else UNCHANGED), None
    except CrmError as error:
        if isinstance(error, DatabaseUnavailable):
            raise
        return REFUSED, problem_text(error)
    except (StaleDataError, sa.exc.OperationalError):
        raise  # somebody else's write came between: the job's retry does the chunk again
    except Exception:
        log.exception("a bulk run failed at %s %s", record_type.name, uid)
        return REFUSED, _("An unexpected error; the administrator finds it in the log.")


def _store(uow: UnitOfWork, key: int, outcome: str, reason: str | None) -> str:
    short = None if reason is None else reason[:500]
    uow.session.execute(sa.update(BulkRow).where(BulkRow.id == key).values(outcome=outcome, reason=short))
    return outcome


def _count(uow: UnitOfWork, run: BulkRun, found: Mapping[str, int]) -> None:
    # Below the session: progress is no change that anybody has to answer for.
    values = {
        "changed": BulkRun.changed + found.get(CHANGED, 0),
        "unchanged": BulkRun.unchanged + found.get(UNCHANGED, 0),
        "refused": BulkRun.refused + found.get(REFUSED, 0),
    }
    going = (BulkRun.id == run.id, BulkRun.state.in_((QUEUED, RUNNING)))
    uow.session.execute(
        sa.update(BulkRun).where(*going).values(state=RUNNING, **values).execution_options(synchronize_session=False)
    )


def _end(uow: UnitOfWork, run: BulkRun, state: str) -> None:
    uow.session.execute(
        sa.update(BulkRun)
        .where(BulkRun.id == run.id, BulkRun.state.in_((QUEUED, RUNNING)))
        .values(state=state, finished_at=uow.now)
        .execution_options(synchronize_session=False)
    )


def _actor_of(uow: UnitOfWork, run: BulkRun) -> Actor | None:
    """Return who asked, as he is now; None when he is gone or locked out, whose run must not go on."""
    if run.by_system:
        return replace(uow.actor, name="system")
    return actor_of(uow, run.author_id, scopes=run.token_scopes)
