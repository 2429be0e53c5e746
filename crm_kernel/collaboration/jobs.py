"""The nightly jobs of working together: what is about deleted records goes, read notifications and free files too."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.collaboration.attachments.models import Attachment
from crm_kernel.collaboration.attachments.services import sweep_files
from crm_kernel.collaboration.models import Note
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.collaboration.tags.models import Tagging
from crm_kernel.contributions import Job, JobKind
from crm_kernel.records.subjects import possible_subjects

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Days after which a notification that was read is deleted, and one that never was.
READ_DAYS, UNREAD_DAYS = 60, 365
#: Rows deleted per chunk.
CHUNK = 1000
_MODELS: tuple[Any, ...] = (Note, Attachment, Tagging, Notification)


def tidying_jobs() -> list[Job]:
    """Return the jobs of the night."""
    return [
        Job(
            name="kernel.tidy_collaboration",
            handler=tidy,
            kind=JobKind.CHUNKED,
            schedule="15 3 * * *",
            queue="housekeeping",
            priority=10,
        ),
        Job(
            name="kernel.sweep_files",
            handler=sweep_files,
            kind=JobKind.CHUNKED,
            schedule="50 3 * * *",
            queue="housekeeping",
            priority=10,
        ),
    ]


def tidy(uow: UnitOfWork, payload: dict[str, Any]) -> dict[str, Any] | None:
    """Delete one chunk and return where to go on, None at the end.

    What is about a record of a type that is not loaded stays: its module may come back.
    """
    here = payload.get("checkpoint") or {"step": 0, "deleted": 0}
    steps = [(model, found) for model in _MODELS for found in possible_subjects()]
    if here["step"] > len(steps):
        return None
    count = _old_notifications(uow) if here["step"] == len(steps) else _orphans(uow, *steps[here["step"]])
    deleted = here["deleted"] + count
    step = here["step"] if count == CHUNK else here["step"] + 1
    return {"step": step, "deleted": deleted, "progress": {"done": deleted}}


def _orphans(uow: UnitOfWork, model: Any, subject: RecordType) -> int:
    there = sa.exists().where(subject.model.uid == model.subject_uid).correlate(model)
    return _delete(uow, model, model.subject_type == subject.name, ~there)


def _old_notifications(uow: UnitOfWork) -> int:
    read, unread = (uow.now - dt.timedelta(days=days) for days in (READ_DAYS, UNREAD_DAYS))
    table = Notification
    return _delete(uow, table, sa.or_(table.created_at < unread, table.read_at < read), table.created_at < read)


def _delete(uow: UnitOfWork, model: Any, *conditions: sa.ColumnElement[bool]) -> int:
    keys = uow.session.scalars(sa.select(model.id).where(*conditions).order_by(model.id).limit(CHUNK)).all()
    if keys:
        uow.session.execute(sa.delete(model).where(model.id.in_(keys)).execution_options(synchronize_session=False))
    return len(keys)
