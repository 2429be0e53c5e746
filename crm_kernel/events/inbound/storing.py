"""Keeps messages of other systems until a job handles them: each once, however often its sender repeats it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.events.inbound.models import MESSAGE, MessageState, WebhookSource
from crm_kernel.jobs.services import dialect_insert, enqueue

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The job that handles a message, and its queue.
HANDLE, QUEUE = "kernel.webhook_handle", "webhooks-in"


def digest_of(token: str) -> str:
    """Return what a source is found by: nobody who reads the table learns its address."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def store_message(uow: UnitOfWork, source: WebhookSource, message_id: str, content_type: str, body: bytes) -> UUID:
    """Store a message once per sender's id, enqueue its handling, and return its id; a repetition gets the first's."""
    values = {
        "uid": uuid7(),
        "source_id": source.id,
        "message_id": message_id,
        "content_type": content_type[:120],
        "body": body,
        "state": MessageState.WAITING,
        "created_at": uow.now,
        "updated_at": uow.now,
    }
    insert = dialect_insert(uow)(MESSAGE).values(values)
    insert = insert.on_conflict_do_nothing(index_elements=["source_id", "message_id"])
    stored: UUID | None = uow.session.scalar(insert.returning(MESSAGE.c.uid))
    if stored is None:
        same = sa.select(MESSAGE.c.uid).where(MESSAGE.c.source_id == source.id, MESSAGE.c.message_id == message_id)
        return cast(UUID, uow.session.scalars(same).one())
    enqueue(uow, HANDLE, {"message": str(stored)})
    return stored
