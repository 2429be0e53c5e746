"""The nightly end of what bulk runs keep of records, once nothing of them can be taken back; the runs stay, with their numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.contributions import Job, JobKind
from crm_kernel.records.bulk_actions.models import CANCELLED, DONE, BulkRow, BulkRun
from crm_kernel.records.bulk_actions.services import UNDO_DAYS

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Rows deleted per chunk.
_SLICE = 5_000


def forgetting_job() -> Job:
    """Return the job of the night."""
    return Job(
        name="kernel.forget_bulk_runs",
        handler=forget,
        kind=JobKind.CHUNKED,
        schedule="20 4 * * *",
        queue="housekeeping",
        priority=10,
    )


def forget(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete some rows of the next run that cannot be taken back any more, with the last of them its values; None at the end.

    A run that is not over keeps them: its records still wait.
    """
    here = payload.get("checkpoint") or {"run": 0, "deleted": 0}
    ended = sa.and_(BulkRun.state.in_((DONE, CANCELLED)), BulkRun.finished_at <= uow.now - dt.timedelta(days=UNDO_DAYS))
    left = sa.or_(BulkRun.data.is_not(None), sa.exists().where(BulkRow.run_id == BulkRun.id))
    query = sa.select(BulkRun.id).where(BulkRun.id >= here["run"], ended, left)
    key = uow.session.scalar(query.order_by(BulkRun.id).limit(1))
    if key is None:
        return None
    rows = sa.select(BulkRow.id).where(BulkRow.run_id == key).limit(_SLICE)
    gone: Any = uow.session.execute(sa.delete(BulkRow).where(BulkRow.id.in_(rows)))
    if gone.rowcount < _SLICE:  # below the session: no change that anybody has to answer for
        uow.session.execute(sa.update(BulkRun).where(BulkRun.id == key).values(data=None))
    deleted = here["deleted"] + gone.rowcount
    return {"run": key, "deleted": deleted, "progress": {"done": deleted}}
