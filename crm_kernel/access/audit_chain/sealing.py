"""Seals what was committed since: in chunks, ordered by key, by a job or before a verification.

Keys are given before the commit, so on PostgreSQL a smaller one may appear after a larger one was sealed. Such a row is
sealed when it appears, as the next of the chain. To look only at what is new and yet miss none, the head remembers up to
which key nothing can appear any more: every transaction that inserts holds a lock on the table from before its keys are
given until it ends, so keys that were there when nobody held one are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel._internal.rows import insert_rows
from crm_kernel.access.audit_chain.heads import locked_head
from crm_kernel.access.audit_chain.links import SEALED, link, signature_of
from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.models import AuditLog
from crm_kernel.contributions import Job, JobKind

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from crm_kernel.unit_of_work import UnitOfWork

#: Rows sealed per transaction.
CHUNK = 2_000
#: The job's name.
SEAL = "kernel.seal_audit"

_HOLDERS = sa.text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND relation = CAST('audit_log' AS regclass) AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def seal_jobs() -> list[Job]:
    """Return the job that seals the log every five minutes."""
    return [Job(name=SEAL, handler=_seal_chunk, kind=JobKind.CHUNKED, schedule="*/5 * * * *", queue="housekeeping")]


def seal_some(uow: UnitOfWork, *, limit: int = CHUNK) -> int:
    """Seal the oldest unsealed rows and return how many; fewer than ``limit`` means that none is left. Six queries.

    Whoever else seals waits until this transaction ends.

    Raises:
        Conflict: the chain's end is not what its head says, or the head is not signed by this instance.
    """
    head = locked_head(uow)
    # In this order: what was committed before the locks were looked at is seen by the query for the rows.
    newest = uow.session.scalar(sa.select(sa.func.max(AuditLog.id))) or 0
    holders = _holders(uow)
    rows = uow.session.execute(_unsealed(head).limit(limit)).all()
    _continue(uow, head, rows)
    if len(rows) < limit:
        _settle(head, newest, holders)
    return len(rows)


def seal_all(units: Callable[[], AbstractContextManager[UnitOfWork]]) -> int:
    """Seal everything there is and return how many rows; ``units()`` opens a writing unit of work per chunk.

    Raises:
        Conflict: as ``seal_some``.
    """
    total, count = 0, CHUNK
    while count == CHUNK:
        with units() as uow:
            count = seal_some(uow)
        total += count
    return total


def _seal_chunk(uow: UnitOfWork, payload: dict[str, Any]) -> dict[str, Any] | None:
    done = (payload.get("checkpoint") or {"done": 0})["done"]
    count = seal_some(uow)
    return {"done": done + count, "progress": {"done": done + count}} if count == CHUNK else None


def _unsealed(head: AuditHead) -> Any:
    sealed = sa.exists().where(AuditSeal.audit_id == AuditLog.id)
    return sa.select(AuditLog.id, *SEALED).where(AuditLog.id > head.settled_id, ~sealed).order_by(AuditLog.id)


def _continue(uow: UnitOfWork, head: AuditHead, rows: Sequence[Any]) -> None:
    if not rows:
        return
    seals, number, last = [], head.number, head.hash
    for row in rows:
        number += 1
        last = link(last, number, row)
        seals.append({"number": number, "audit_id": row.id, "hash": last})
    insert_rows(uow.session, cast(sa.Table, AuditSeal.__table__), seals)
    head.number, head.hash, head.signature, head.sealed_at = number, last, signature_of(number, last), uow.now


def _settle(head: AuditHead, newest: int, holders: set[str]) -> None:
    """Move on the key up to which nothing can appear any more; everything visible is sealed."""
    if not holders:
        head.settled_id, head.mark_id, head.mark_holders = max(head.settled_id, newest), None, []
        return
    if head.mark_id is not None and not holders.isdisjoint(head.mark_holders):
        return
    if head.mark_id is not None:
        head.settled_id = max(head.settled_id, head.mark_id)
    head.mark_id, head.mark_holders = newest, sorted(holders)


def _holders(uow: UnitOfWork) -> set[str]:
    """Return the transactions that may have inserted audit rows and have not ended; none on SQLite: one writes at a time."""
    if uow.session.get_bind().dialect.name == "sqlite":
        return set()
    return set(uow.session.scalars(_HOLDERS))
