"""Notes what came of an attempt and decides what follows: done, again later, never again, or the webhook is switched off.

The schedule is that of the Standard Webhooks specification: at once, then after 5 seconds, 5 minutes, 30 minutes, 2, 5, 10,
14, 20 and 24 hours, each up to a fifth longer so that what failed together does not come back together.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.collaboration.notifications.services import notify
from crm_kernel.events.webhooks.events import WebhookDisabled
from crm_kernel.events.webhooks.fanout import SEND, enqueue_attempt
from crm_kernel.events.webhooks.models import ATTEMPT, DELIVERY, ENDPOINT, DeliveryState, WebhookEndpoint
from crm_kernel.jobs.lanes import JOB, READY

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_H = dt.timedelta(hours=1)
#: Pause before the second attempt, the third, …; after the tenth a delivery has failed.
PAUSES = (
    dt.timedelta(seconds=5),
    dt.timedelta(minutes=5),
    dt.timedelta(minutes=30),
    *(hours * _H for hours in (2, 5, 10, 14, 20, 24)),
)
#: Answers that say "too much": the address is left alone for a while, whatever else waits for it.
OVERLOADED = frozenset({429, 502, 503, 504})
#: The notification that tells a webhook's user that it was switched off.
SWITCHED_OFF = "kernel.webhook_switched_off"
#: "Gone": nobody wants to be told any more.
GONE = 410
#: How long an address is left alone at least that is overloaded or does not answer, and at most.
REST, MOST_REST = dt.timedelta(minutes=1), _H


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt."""

    #: HTTP status; None when nobody answered.
    status: int | None = None
    milliseconds: int | None = None
    #: Why nobody answered.
    error: str | None = None
    answer: str | None = None
    #: How long the receiver asks to be left alone.
    pause: dt.timedelta | None = None
    #: Whether nothing was sent, for a reason of ours: the address is not to blame and need not rest.
    ours: bool = False

    @property
    def good(self) -> bool:
        """Whether the receiver took it; a redirect is no yes."""
        return self.status is not None and 200 <= self.status < 300


def settle(delivery_uid: UUID, outcome: Outcome, uow: UnitOfWork) -> None:
    """Note an attempt and what follows from it."""
    delivery = _delivery(uow, delivery_uid)
    if delivery is None:
        return
    _note_attempt(uow, delivery, outcome)
    if outcome.good:
        _end(uow, delivery, DeliveryState.DELIVERED, outcome)
        _note_success(uow, delivery.webhook_id)
        return
    pause = _next_pause(delivery.attempts, outcome)
    if pause is None:
        _end(uow, delivery, DeliveryState.FAILED, outcome)
    else:
        _again(uow, delivery, outcome, uow.now + pause)
    _note_failure(uow, delivery.webhook_id, outcome)


def put_off(delivery_uid: UUID, until: dt.datetime, uow: UnitOfWork) -> None:
    """Note that a delivery, whose job comes back then, waits until the address may be asked again; no attempt was made."""
    delivery = _delivery(uow, delivery_uid)
    if delivery is not None:
        _update(uow, delivery, next_at=until)


def withhold(delivery_uid: UUID, state: DeliveryState, reason: str, uow: UnitOfWork) -> None:
    """End a delivery without an attempt."""
    delivery = _delivery(uow, delivery_uid)
    if delivery is not None:
        _update(uow, delivery, state=state, error=reason, next_at=None)


def switch_off(uow: UnitOfWork, endpoint: WebhookEndpoint, reason: str) -> None:
    """Switch a webhook off by itself and tell of it, its user too; ``reason`` is ``failing`` or ``gone``."""
    if endpoint.enabled:
        endpoint.enabled, endpoint.disabled_reason = False, reason
        uow.record(WebhookDisabled(webhook_id=endpoint.uid, reason=reason))
        notify(uow, [endpoint.user_id], SWITCHED_OFF, endpoint)


def _delivery(uow: UnitOfWork, uid: UUID) -> Any:
    query = sa.select(DELIVERY, ENDPOINT.c.uid.label("endpoint_uid")).join(
        ENDPOINT, ENDPOINT.c.id == DELIVERY.c.webhook_id
    )
    return uow.session.execute(query.where(DELIVERY.c.uid == uid)).first()


def _update(uow: UnitOfWork, delivery: Any, **values: Any) -> None:
    changes = {**values, "version": DELIVERY.c.version + 1, "updated_at": uow.now}
    uow.session.execute(sa.update(DELIVERY).where(DELIVERY.c.id == delivery.id).values(changes))


def _note_attempt(uow: UnitOfWork, delivery: Any, outcome: Outcome) -> None:
    noted = {
        "uid": uuid7(),
        "delivery_id": delivery.id,
        "at": uow.now,
        "status": outcome.status,
        "milliseconds": outcome.milliseconds,
        "error": _short(outcome.error),
        "answer": outcome.answer,
    }
    uow.session.execute(sa.insert(ATTEMPT).values(noted))


def _end(uow: UnitOfWork, delivery: Any, state: DeliveryState, outcome: Outcome) -> None:
    _update(uow, delivery, state=state, attempts=delivery.attempts + 1, next_at=None, **_last(outcome))


def _again(uow: UnitOfWork, delivery: Any, outcome: Outcome, at: dt.datetime) -> None:
    _update(uow, delivery, attempts=delivery.attempts + 1, next_at=at, **_last(outcome))
    after = _delivery(uow, delivery.uid)
    enqueue_attempt(uow, after, after.endpoint_uid, run_at=at)


def _last(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error or (None if outcome.good else f"answered {outcome.status}")
    return {"status": outcome.status, "milliseconds": outcome.milliseconds, "error": _short(error)}


def _next_pause(attempts_before: int, outcome: Outcome) -> dt.timedelta | None:
    if outcome.status == GONE or attempts_before >= len(PAUSES):
        return None
    spread = PAUSES[attempts_before] * (1 + random.random() / 5)
    return max(spread, min(outcome.pause, MOST_REST)) if outcome.pause else spread


def _note_success(uow: UnitOfWork, endpoint_id: int) -> None:
    failing = sa.or_(ENDPOINT.c.failing_since.is_not(None), ENDPOINT.c.rest_until.is_not(None))
    well = sa.update(ENDPOINT).where(ENDPOINT.c.id == endpoint_id, failing)
    uow.session.execute(well.values(failing_since=None, rest_until=None))


def _note_failure(uow: UnitOfWork, endpoint_id: int, outcome: Outcome) -> None:
    endpoint = uow.session.get_one(WebhookEndpoint, endpoint_id)
    longest = dt.timedelta(days=runtime_of(current_app).config.webhook_failing_days)
    since = endpoint.failing_since or uow.now
    changes: dict[str, Any] = {"failing_since": since}
    if (outcome.status is None and not outcome.ours) or outcome.status in OVERLOADED:
        # As long as it has been failing: who is away for long is knocked at less and less, and waits in vain no longer.
        changes["rest_until"] = uow.now + min(outcome.pause or max(REST, uow.now - since), MOST_REST)
        _rest(uow, endpoint, changes["rest_until"])
    uow.session.execute(sa.update(ENDPOINT).where(ENDPOINT.c.id == endpoint_id).values(changes))
    if outcome.status == GONE:
        switch_off(uow, endpoint, "gone")
    elif uow.now - since >= longest:
        switch_off(uow, endpoint, "failing")


def _rest(uow: UnitOfWork, endpoint: WebhookEndpoint, until: dt.datetime) -> None:
    """Put off all that waits for an address, with its jobs: two statements, and no job is begun in vain."""
    waiting = sa.and_(DELIVERY.c.webhook_id == endpoint.id, DELIVERY.c.state == DeliveryState.WAITING)
    later = {"next_at": until, "version": DELIVERY.c.version + 1, "updated_at": uow.now}
    uow.session.execute(sa.update(DELIVERY).where(waiting, DELIVERY.c.next_at < until).values(later))
    jobs = sa.and_(JOB.c.name == SEND, JOB.c.partition == str(endpoint.uid), JOB.c.state == READY)
    uow.session.execute(sa.update(JOB).where(jobs, JOB.c.run_at < until).values(run_at=until))


def _short(text: str | None) -> str | None:
    return None if text is None else text.replace("\x00", "")[:300]
