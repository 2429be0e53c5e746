"""Lets stored answers go: expired ones every hour, those about somebody who is erased at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.contributions import Job, JobKind
from crm_kernel.web.idempotency.models import IdempotencyKey

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Keys deleted per chunk.
CHUNK = 1000


def expiry_jobs() -> list[Job]:
    """Return the job that deletes expired keys."""
    return [
        Job(
            name="kernel.expire_idempotency_keys",
            handler=expire_keys,
            kind=JobKind.CHUNKED,
            schedule="25 * * * *",
            queue="housekeeping",
            priority=10,
        )
    ]


def expire_keys(uow: UnitOfWork, payload: dict[str, Any]) -> dict[str, Any] | None:
    """Delete one chunk of expired keys, the oldest first; None when there are no more."""
    over = sa.select(IdempotencyKey.id).where(IdempotencyKey.expires_at <= uow.now)
    oldest = over.order_by(IdempotencyKey.expires_at).limit(CHUNK)
    gone: Any = uow.session.execute(sa.delete(IdempotencyKey).where(IdempotencyKey.id.in_(oldest)))
    so_far = payload.get("checkpoint", {}).get("deleted", 0) + gone.rowcount
    return {"deleted": so_far, "progress": {"done": so_far}} if gone.rowcount == CHUNK else None


def forget_answers(uow: UnitOfWork, uids: Iterable[UUID]) -> int:
    """Erase the stored answers that name one of the records, for the erasure of a person; return how many.

    The keys stay, so that a late repetition does not create him again: it is answered 409. Reads the table, which holds
    a day of requests, once per record.
    """
    return sum(_forget(uow, uid) for uid in uids)


def _forget(uow: UnitOfWork, uid: UUID) -> int:
    names = IdempotencyKey.body.contains(str(uid), autoescape=True)
    forgotten: Any = uow.session.execute(sa.update(IdempotencyKey).where(names).values(body=None, headers=None))
    return int(forgotten.rowcount)
