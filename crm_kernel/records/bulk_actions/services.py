"""Starts, previews, cancels and takes back bulk runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict, CrmError
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.bulk_actions.applying import apply
from crm_kernel.records.bulk_actions.asking import Change, Chosen, checked_change, chosen_rows, count_rows
from crm_kernel.records.bulk_actions.models import (
    CANCELLED,
    CHANGED,
    DONE,
    QUEUED,
    RUNNING,
    TAGS,
    UNDO,
    UPDATE,
    BulkRow,
    BulkRun,
)
from crm_kernel.records.plan import record_type as named
from crm_kernel.records.plan import said_title
from crm_kernel.records.saved_views.services import problem_text
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Name of the job that does runs.
JOB = "kernel.bulk_run"
#: How long a run can be taken back.
UNDO_DAYS = 30
#: Records that a preview tries.
SAMPLE = 10


class _Tried(Exception):
    """Takes back what a preview tried."""


def preview(uow: UnitOfWork, record_type: RecordType, change: Change, chosen: Chosen) -> dict[str, Any]:
    """Return what a run would do: ``count``, and a ``sample`` of ``{"id", "title", "refused"}``; nothing is kept.

    The first records are really tried, each in a savepoint that is rolled back, so that ``refused`` is what the run
    would say (None for none). Needs a writing unit of work.

    Raises:
        InvalidInput, Forbidden: as for ``start``.
    """
    change = checked_change(uow, record_type, change)
    rows = chosen_rows(uow, record_type, chosen)
    model = record_type.model
    statement = sa.select(model.uid, said_title(record_type)).where(*rows).order_by(model.id).limit(SAMPLE)
    sample = [
        {"id": uid, "title": title, "refused": _verdict(uow, record_type, change, uid)}
        for uid, title in uow.session.execute(statement).all()
    ]
    return {"count": count_rows(uow, record_type, rows), "sample": sample}


def start(uow: UnitOfWork, record_type: RecordType, change: Change, chosen: Chosen) -> BulkRun:
    """Store a run over the records that are chosen now, and enqueue its work; flushed.

    The records are written down by one statement: whatever happens to them meanwhile, the run goes over these.

    Raises:
        InvalidInput: the change or the choice makes no sense.
        Forbidden: the actor may not make this change at all. Single records are refused by the run.
    """
    change = checked_change(uow, record_type, change)
    rows = chosen_rows(uow, record_type, chosen)
    run = _new_run(uow, record_type.name, change.what, dict(change.data))
    model = record_type.model
    return _begin(uow, run, sa.select(sa.literal(run.id), model.uid).where(*rows).order_by(model.id))


def cancel(uow: UnitOfWork, run: BulkRun) -> None:
    """Stop a run before its next records; what it did stays, and can be taken back.

    Raises:
        Conflict: it is over.
    """
    if run.state not in (QUEUED, RUNNING):
        raise Conflict(_("This run is over."))
    run.state, run.finished_at = CANCELLED, uow.now
    uow.session.flush()


def undo(uow: UnitOfWork, run: BulkRun) -> BulkRun:
    """Start a run that takes another's changes back where nobody changed the values since, and return it.

    Raises:
        Conflict: it is not over, too long ago, of a kind that cannot be taken back, or taken back already.
    """
    run = _locked(uow, run)  # two who ask at once are one after the other: the second one sees what the first one began
    if not can_undo(run, uow.now):
        raise Conflict(
            _("Only changes of fields and tags that are over can be taken back, within %(days)s days.", days=UNDO_DAYS)
        )
    if uow.session.scalar(sa.select(BulkRun.id).where(BulkRun.undoes_id == run.id).limit(1)) is not None:
        raise Conflict(_("This run was taken back already."))
    back = _new_run(uow, run.record_type, UNDO, {"change": run.request_id})
    back.undoes_id = run.id
    uow.session.flush()
    rows = sa.select(sa.literal(back.id), BulkRow.record_uid).where(
        BulkRow.run_id == run.id, BulkRow.outcome == CHANGED
    )
    return _begin(uow, back, rows.order_by(BulkRow.id))


def can_undo(run: BulkRun, now: dt.datetime | None = None) -> bool:
    """Say whether a run is of a kind, and recent enough, to be taken back."""
    if run.what not in (UPDATE, TAGS, UNDO) or run.state not in (DONE, CANCELLED) or not run.changed:
        return False
    return now is None or run.finished_at is None or run.finished_at > now - dt.timedelta(days=UNDO_DAYS)


def outcomes(uow: UnitOfWork, run: BulkRun, outcome: str, *, limit: int = 200) -> Sequence[BulkRow]:
    """Return the first records of a run with an outcome, in the run's order; one query."""
    statement = sa.select(BulkRow).where(BulkRow.run_id == run.id, BulkRow.outcome == outcome)
    return uow.session.scalars(statement.order_by(BulkRow.id).limit(limit)).all()


def titles(uow: UnitOfWork, run: BulkRun, rows: Sequence[BulkRow]) -> dict[Any, str]:
    """Return public id → title of those records that the actor may see now; one query."""
    from crm_kernel.access.policy import visible

    record_type = named(run.record_type)
    model = record_type.model
    statement = sa.select(model.uid, said_title(record_type)).where(
        model.uid.in_([row.record_uid for row in rows]), visible(uow.actor, record_type)
    )
    return {uid: str(title) for uid, title in uow.session.execute(statement)} if rows else {}


def _locked(uow: UnitOfWork, run: BulkRun) -> BulkRun:
    query = sa.select(BulkRun).where(BulkRun.id == run.id).with_for_update()
    return uow.session.scalars(query.execution_options(populate_existing=True)).one()


def _new_run(uow: UnitOfWork, record_type: str, what: str, data: dict[str, Any]) -> BulkRun:
    scopes = uow.actor.token_scopes
    run = BulkRun(
        record_type=record_type,
        what=what,
        data=data or None,
        author_id=uow.actor.user_id,
        by_system=uow.actor.kind == "system",
        token_scopes=None if scopes is None else list(scopes),
    )
    uow.session.add(run)
    uow.session.flush()
    return run


def _begin(uow: UnitOfWork, run: BulkRun, rows: Any) -> BulkRun:
    table: Any = BulkRow.__table__
    uow.session.execute(sa.insert(table).from_select(["run_id", "record_uid"], rows))
    run.total = uow.session.execute(sa.select(sa.func.count()).where(table.c.run_id == run.id)).scalar_one()
    uow.session.flush()
    enqueue(uow, JOB, {"run": str(run.uid)}, dedupe_key=str(run.uid))
    return run


def _verdict(uow: UnitOfWork, record_type: RecordType, change: Change, uid: Any) -> str | None:
    try:
        with attempt(uow):
            apply(uow, record_type, change, uid)
            raise _Tried
    except _Tried:
        return None
    except CrmError as error:
        return problem_text(error)
    finally:
        uow.session.expire_all()
