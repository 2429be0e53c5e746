"""Gives demo data a past: what services do in a block has happened at another time, by somebody's hand.

Only for what ``DemoData`` loads. It must know no service and no record type: what they write is dated as it is flushed,
and the audit entries and events of a block are stored at its end, so that later ones have greater ids.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from crm_kernel._internal.outbox import store_events, store_past_events
from crm_kernel.access.audit import store_audit
from crm_kernel.errors import UnitOfWorkError

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


@contextmanager
def past(uow: UnitOfWork, moment: dt.datetime, actor: Actor) -> Iterator[None]:
    """Let the block have happened at ``moment``, on a page, by ``actor``; a flush and two to five statements.

    What the unit did before the block stays in the present. Subscribers are told of what happened in the past, as their modules
    follow from it what they keep; no rule and no webhook is.

    Raises:
        UnitOfWorkError: the unit is no demo load's: somebody's own, or one of a page, the API, an import or a job.
    """
    if uow.actor.kind != "system" or uow.channel not in ("cli", "system"):
        raise UnitOfWorkError(f"past: found {uow.actor.name} on the channel {uow.channel}, expected crm demo load")
    _store(uow, store_events)
    present = uow.now, uow.actor, uow.channel, uow.request_id
    uow.now, uow.actor, uow.channel, uow.request_id = moment, actor, "web", uuid4().hex
    sa.event.listen(uow.session, "before_flush", _date)
    try:
        yield
        _store(uow, store_past_events)
    finally:
        sa.event.remove(uow.session, "before_flush", _date)
        uow.now, uow.actor, uow.channel, uow.request_id = present


def _store(uow: UnitOfWork, events: Callable[[UnitOfWork], None]) -> None:
    uow.session.flush()
    store_audit(uow)
    events(uow)
    uow.events.clear()


def _date(session: Any, _context: Any, _instances: Any) -> None:
    from crm_kernel.unit_of_work import current_uow

    now = current_uow().now
    for row in session.new:
        if hasattr(row, "created_at"):
            row.created_at = row.updated_at = now
    for row in session.dirty:
        if hasattr(row, "updated_at") and session.is_modified(row):
            row.updated_at = now
            # The same time again is no change to SQLAlchemy, and the column's default would be taken.
            flag_modified(row, "updated_at")
