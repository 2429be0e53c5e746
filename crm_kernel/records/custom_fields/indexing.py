"""Makes the index over a custom field in the background, and says how far it is.

Who declares a field on a page must not wait for a million rows to be sorted; on the command line he may, and learns of
a failure at once (``services``). A field that was archived or removed meanwhile gets no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import Job, JobKind
from crm_kernel.database import db
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.custom_fields import indexes
from crm_kernel.records.custom_fields.models import CustomField, table_named
from crm_kernel.records.plan import record_types
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Name of the job.
INDEX = "kernel.index_custom_field"


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the index over a custom field is."""

    #: ``ready``, ``building``, ``failed``, or ``missing`` when no job is there to make it.
    name: str
    #: Public id of its last job; None when a command made the index.
    job: UUID | None = None
    #: Per cent, where the database tells.
    done: int | None = None


def index_jobs() -> list[Job]:
    """Return the job that makes indexes over custom fields."""
    return [Job(name=INDEX, handler=make_index, kind=JobKind.OUTSIDE, queue="housekeeping")]


def start_index(uow: UnitOfWork, field: CustomField) -> None:
    """Have the index over a field made in the background once this is committed; nothing if it is there already."""
    if indexes.is_usable(uow.session.connection(), table_of(field), field.name):
        return
    enqueue(uow, INDEX, {"field": str(field.uid)}, partition=str(field.uid))


def make_index(payload: dict[str, Any]) -> None:
    """Make the index over a field that is still to have one; the database does it with no transaction of ours open."""
    with reading(SYSTEM) as uow:
        field = uow.session.scalar(sa.select(CustomField).where(CustomField.uid == UUID(payload["field"])))
        found = (table_of(field), field.name, field.kind) if field is not None and field.keeps_index else None
    if found is not None:
        indexes.create_index(db.engine, *found)


def index_states(uow: UnitOfWork, fields: Sequence[CustomField]) -> dict[str, IndexState]:
    """Return how far the indexes of the indexed fields are, by field name; a query per field, and one for the jobs."""
    wanted = [field for field in fields if field.keeps_index]
    if not wanted:
        return {}
    last = _last_jobs(uow, wanted)
    return {field.name: _state(uow, field, last.get(str(field.uid))) for field in wanted}


def _state(uow: UnitOfWork, field: CustomField, job: JobRow | None) -> IndexState:
    table, uid = table_of(field), job.uid if job else None
    connection = uow.session.connection()
    if indexes.is_usable(connection, table, field.name):
        return IndexState("ready", uid)
    if job is None or job.state in (JobState.DONE, JobState.CANCELLED):
        return IndexState("missing", uid)
    if job.state == JobState.DEAD:
        return IndexState("failed", uid)
    return IndexState("building", uid, indexes.percent_made(connection, table, field.name))


def _last_jobs(uow: UnitOfWork, fields: Sequence[CustomField]) -> dict[str, JobRow]:
    keys = [str(field.uid) for field in fields]
    query = sa.select(JobRow).where(JobRow.name == INDEX, JobRow.partition.in_(keys)).order_by(JobRow.id)
    return {str(job.partition): job for job in uow.session.scalars(query)}


def table_of(field: CustomField) -> str:
    """Return the name of the table that holds a field's values."""
    host = record_types().get(field.record_type)
    return table_named(field.record_type) if host is None else str(sa.inspect(host.model).local_table.name)
