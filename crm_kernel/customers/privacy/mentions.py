"""The steps of an erasure for what mentions a customer inside of values: members of JSON objects, payloads, answers.

Custom fields of other records that refer to it, background work and dead letters, what receivers of webhooks answered,
and messages from outside that became it. One statement per place, whatever the number of rows. Each is found by keys,
which were written down with the value, or of a custom field by its index: the write transaction waits for no search of a
table. A module's own JSON objects are searched, unless the module has an index over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.merging.json_member import member_of
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.choices import EMPTIED, KEPT, UNLINKED
from crm_kernel.customers.privacy.steps import Step, emptied
from crm_kernel.data_map.references import KEY
from crm_kernel.jobs.models import JobState

if TYPE_CHECKING:
    from crm_kernel.customers.privacy.subject import SubjectMap
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Named:
    """The customers that are erased, under everything that other tables call them."""

    keys: Sequence[int]
    uids: Sequence[UUID]
    sqlite: bool

    @classmethod
    def read(cls, uow: UnitOfWork, keys: Sequence[int]) -> Named:
        """Read the public ids of some customers; one query."""
        uids = uow.session.scalars(sa.select(Customer.uid).where(Customer.id.in_(keys))).all()
        return cls(keys, uids, uow.session.get_bind().dialect.name == "sqlite")

    def texts(self) -> list[str]:
        """Return the public ids as texts."""
        return [str(uid) for uid in self.uids]


def mentions(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield the steps for what mentions the customers, before any of their rows is gone."""
    yield from _members(known, named)
    yield from traces(known, named)


def traces(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield the steps for what may tell of the customers in passing: background work and webhooks."""
    yield from _jobs(known, named)
    yield from _webhooks(known, named)


def _members(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield the steps that take references out of JSON objects: a custom field's of other records, a module's own."""
    for found in known.references():
        if found.json_key is None:
            continue
        table = known.tables[found.table]
        column = table.c[found.column]
        keyed = found.points_to == KEY
        member = member_of(column, found.json_key, whole=keyed)
        where = member.in_(named.keys if keyed else named.texts())
        rest = _without(column, found.json_key, named)
        statement = sa.update(table).where(where).values({found.column: rest})
        yield Step(table, known.plugin_of(found.table), UNLINKED, where, statement)


def _without(column: sa.Column[Any], name: str, named: Named) -> Any:
    if named.sqlite:
        return sa.type_coerce(sa.func.json_remove(column, f'$."{name}"'), sa.Text)
    return column.op("-")(sa.literal(name, sa.String()))


def _jobs(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield the steps for background work: what is over or dead says nothing more, what is waiting keeps the ids."""
    jobs = known.tables["job"]
    about = jobs.c.id.in_(_about(known, named))
    over = sa.and_(about, jobs.c.state >= JobState.DONE)
    waiting = sa.and_(about, jobs.c.state < JobState.DONE)
    values = {name: emptied(jobs.c[name]) for name in ("payload", "progress", "error")}
    yield Step(jobs, "kernel", EMPTIED, over, sa.update(jobs).where(over).values(values))
    failed = sa.and_(waiting, jobs.c.error.is_not(None))
    yield Step(jobs, "kernel", EMPTIED, failed, sa.update(jobs).where(failed).values(error=None))
    yield Step(jobs, "kernel", KEPT, waiting, why="ids_only")


def _about(known: SubjectMap, named: Named) -> sa.CompoundSelect[Any]:
    """Return the keys of the jobs about them, each branch by an index: of job tables millions of rows may be kept."""
    jobs, subjects = known.tables["job"], known.tables["job_subject"]
    # As text and as the digits alone: whoever enqueues names the partition as he likes.
    partitions = [*named.texts(), *(uid.hex for uid in named.uids)]
    return sa.union_all(
        sa.select(subjects.c.job_id).where(subjects.c.customer_id.in_(named.keys)),
        sa.select(jobs.c.id).where(jobs.c.event_id.in_(_events(known, named, "id"))),
        sa.select(jobs.c.id).where(jobs.c.partition.in_(partitions), jobs.c.event_id.is_(None)),
    )


def _webhooks(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield the steps for what receivers answered to deliveries about them, and for messages that became them."""
    delivery, attempt = known.tables["webhook_delivery"], known.tables["webhook_attempt"]
    message, subjects = known.tables["webhook_message"], known.tables["webhook_message_subject"]
    became = message.c.id.in_(sa.select(subjects.c.message_id).where(subjects.c.customer_id.in_(named.keys)))
    sent = delivery.c.event_uid.in_(_events(known, named, "uid"))
    answers = attempt.c.delivery_id.in_(sa.select(delivery.c.id).where(sent))
    for table, where, names in (
        (attempt, answers, ("answer", "error")),
        (delivery, sent & delivery.c.error.is_not(None), ("error",)),
        (message, became, ("body", "error", "result")),
    ):
        values = {name: emptied(table.c[name]) for name in names}
        yield Step(table, "kernel", EMPTIED, where, sa.update(table).where(where).values(values))


def _events(known: SubjectMap, named: Named, column: str) -> sa.Select[Any]:
    events = known.tables["event"]
    customers = known.tables["customer"]
    uids = sa.select(customers.c.uid).where(customers.c.id.in_(named.keys))
    return sa.select(events.c[column]).where(events.c.customer_uid.in_(uids))
