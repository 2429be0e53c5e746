"""Makes one attempt at a delivery: what to send is read and signed in one transaction, sent in none, noted in another.

What is sent is written anew for each attempt, with the rights that the webhook's user has then: nothing personal waits in
the log, and who has lost the right to see a record is told nothing more of it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import DatabaseUnavailable
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.envelope import CONTENT_TYPE, envelope_of, ping_envelope
from crm_kernel.events.webhooks.fanout import is_told
from crm_kernel.events.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.settling import Outcome, put_off, settle, withhold
from crm_kernel.events.webhooks.signing import signature_headers
from crm_kernel.jobs.handlers import Later
from crm_kernel.outbound import AddressRefused, Unreachable, policy_of, send
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.webhooks")

#: Seconds that a receiver may take (the specification asks for 15 to 30).
TIMEOUT = 15.0
#: Bytes of its answer that are read, and kept.
MAX_ANSWER = 2_000

_SEALED = "its secret cannot be read with this instance's secret_key: give the webhook a new one"

#: What a job returns: written in the transaction that marks it done.
Note = Callable[["UnitOfWork"], None]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def attempt_delivery(payload: Mapping[str, Any]) -> Note | Later | None:
    """Make the attempt that a job's payload names and return how to note it; None when it is over or another's.

    While the address rests the job comes back when it may be asked again.
    """
    uid = UUID(payload["delivery"])
    with reading(SYSTEM, channel="job") as uow:
        found = _prepare(uow, uid, payload)
    return partial(settle, uid, _post(found)) if isinstance(found, Parcel) else found


def _prepare(uow: UnitOfWork, uid: UUID, payload: Mapping[str, Any]) -> Parcel | Note | Later | None:
    query = sa.select(WebhookDelivery, WebhookEndpoint).join(
        WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.webhook_id
    )
    found = uow.session.execute(query.where(WebhookDelivery.uid == uid)).first()
    if found is None:
        return None
    delivery, endpoint = found
    current = (delivery.state, delivery.round, delivery.attempts)
    if current != (DeliveryState.WAITING, payload["round"], payload["attempt"]):
        return None
    if not endpoint.enabled:
        return partial(withhold, uid, DeliveryState.FAILED, "the webhook is switched off")
    if endpoint.rest_until is not None and endpoint.rest_until > uow.now:
        return Later(endpoint.rest_until, partial(put_off, uid, endpoint.rest_until))
    try:
        return _parcel(uow, delivery, endpoint)
    except (DatabaseUnavailable, sa.exc.OperationalError):
        raise
    except Exception as error:  # what a module makes of its event may fail in any way: it counts as an attempt
        log.exception("webhook delivery %s: its message cannot be written", uid)
        text = f"the message cannot be written: {type(error).__name__}, see the log of the server"
        return partial(settle, uid, Outcome(error=text, ours=True))


def _parcel(uow: UnitOfWork, delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> Parcel | Note:
    body = ping_envelope(delivery.uid, uow.now)
    if delivery.event_uid is not None:
        written = _told(uow, delivery, endpoint)
        if isinstance(written, str):
            return partial(withhold, delivery.uid, DeliveryState.WITHHELD, written)
        body = written
    try:
        secrets = current_secrets(endpoint, uow.now)
    except ValueError:
        return partial(settle, delivery.uid, Outcome(error=_SEALED, ours=True))
    signed = signature_headers(str(delivery.uid), uow.now, body, secrets)
    return Parcel(endpoint.url, {"Content-Type": CONTENT_TYPE, **signed}, body)


def _told(uow: UnitOfWork, delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> bytes | str:
    """Return what is sent of the delivery's event, or why nothing is."""
    event = uow.session.scalar(sa.select(StoredEvent).where(StoredEvent.uid == delivery.event_uid))
    if event is None:
        return "the event is gone"
    actor = actor_of(uow, endpoint.user_id, scopes=endpoint.scopes)
    if actor is None:
        return "its user is deactivated"
    if not is_told(uow, endpoint, actor, event):
        return "its user does not see the record, or the filter leaves it out by now"
    return envelope_of(uow, actor, event, delivery.uid, record="sent" if endpoint.with_record else "named")


def _post(parcel: Parcel) -> Outcome:
    try:
        answer = send(
            parcel.url,
            policy=policy_of(),
            headers=parcel.headers,
            body=parcel.body,
            timeout=TIMEOUT,
            max_answer=MAX_ANSWER,
        )
    except (AddressRefused, Unreachable) as error:
        return Outcome(error=str(error))
    text = answer.body.decode("utf-8", "replace").replace("\x00", "")
    return Outcome(answer.status, answer.milliseconds, answer=text, pause=_asked_pause(answer.headers))


def _asked_pause(headers: Mapping[str, str]) -> dt.timedelta | None:
    """Return how long a receiver asks to be left alone, in seconds; dates are not looked at."""
    text = headers.get("retry-after", "")
    return dt.timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else None
