"""Sets up, changes, tests and replays webhooks.

Whoever decides where a webhook sends what becomes its user: it then sees with his eyes, and nobody can point another's
webhook at an address of his own and be sent what only the other may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.access.acting import actor_of
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.events.webhooks.envelope import PING
from crm_kernel.events.webhooks.fanout import SEND, enqueue_attempt
from crm_kernel.events.webhooks.models import DELIVERY, DeliveryState, WebhookDelivery, WebhookEndpoint
from crm_kernel.events.webhooks.secrets import replace_secret, sealed
from crm_kernel.events.webhooks.signing import PREFIX, key_of, new_secret
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.queries import PENDING
from crm_kernel.records.filter_tree import parse_text
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.storing import set_changed

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Fields that decide what is sent where: whoever changes one answers for all.
DECIDING = frozenset({"url", "events", "filter", "with_record"})


def create_webhook(uow: UnitOfWork, data: Mapping[str, Any], *, user_id: int | None = None) -> WebhookEndpoint:
    """Set up a webhook with a secret of its own and return it, flushed.

    Args:
        data: ``name``, ``url``, ``events``, and optionally ``filter``, ``with_record``, ``notes``, ``enabled``.
        user_id: whose eyes it sees with, for the command line; the actor's own otherwise.

    Raises:
        InvalidInput: nobody's eyes were named, or the filter does not fit customers as he reads them.
    """
    owner = uow.actor.user_id if user_id is None else user_id
    eyes = None if owner is None else actor_of(uow, owner)
    if owner is None or eyes is None:
        raise InvalidInput({"user": [_("A webhook sees with the eyes of an active user: name one.")]})
    _check_filter(data.get("filter"), eyes)
    uid = uuid7()
    scopes = list(uow.actor.token_scopes) if uow.actor.token_scopes is not None else None
    made = WebhookEndpoint(uid=uid, user_id=owner, scopes=scopes, secret=sealed(uid, new_secret()), **data)
    uow.session.add(made)
    uow.session.flush()
    return made


def update_webhook(uow: UnitOfWork, endpoint: WebhookEndpoint, changes: Mapping[str, Any]) -> None:
    """Change a webhook; whoever changes what is sent where becomes its user, with the limits of the token he uses.

    Raises:
        InvalidInput: the filter does not fit customers as he reads them.
    """
    decides = any(getattr(endpoint, name) != value for name, value in changes.items() if name in DECIDING)
    if decides and uow.actor.user_id is not None:
        _check_filter(changes.get("filter", endpoint.filter), uow.actor)
        endpoint.user_id = uow.actor.user_id
        endpoint.scopes = list(uow.actor.token_scopes) if uow.actor.token_scopes is not None else None
    if changes.get("enabled") and not endpoint.enabled:
        enable_webhook(uow, endpoint)
    set_changed(endpoint, changes)


def enable_webhook(uow: UnitOfWork, endpoint: WebhookEndpoint) -> None:
    """Switch a webhook on; what was not delivered meanwhile is sent by ``replay``, not by itself."""
    endpoint.enabled, endpoint.disabled_reason = True, None
    endpoint.failing_since = endpoint.rest_until = None
    uow.session.flush()


def disable_webhook(uow: UnitOfWork, endpoint: WebhookEndpoint) -> None:
    """Switch a webhook off; deliveries that wait will fail."""
    endpoint.enabled, endpoint.disabled_reason = False, None
    uow.session.flush()


def rotate_secret(uow: UnitOfWork, endpoint: WebhookEndpoint, *, secret: str | None = None) -> str:
    """Give a webhook a new secret and return it; the old one signs beside it for 24 hours.

    Args:
        secret: one that the receiver already has; a random one if not given.

    Raises:
        InvalidInput: it is no secret of 24 to 64 bytes in base64.
    """
    if secret is not None:
        try:
            key_of(secret)
        except ValueError as error:
            message = _("Expected whsec_ and 24 to 64 bytes in base64: %(error)s.", error=error)
            raise InvalidInput({"secret": [message]}) from error
    found = new_secret() if secret is None else PREFIX + secret.removeprefix(PREFIX)
    replace_secret(endpoint, found, uow.now)
    uow.session.flush()
    return found


def ping(uow: UnitOfWork, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send a webhook a message that says nothing, and return its delivery.

    Raises:
        Conflict: the webhook is switched off.
    """
    if not endpoint.enabled:
        raise Conflict(_("The webhook is switched off: switch it on first."))
    uid = uuid7()
    values = {"uid": uid, "webhook_id": endpoint.id, "event_name": PING, "next_at": uow.now}
    times = {"created_at": uow.now, "updated_at": uow.now, "state": DeliveryState.WAITING}
    uow.session.execute(sa.insert(DELIVERY).values({**values, **times}))
    made = uow.session.scalars(sa.select(WebhookDelivery).where(WebhookDelivery.uid == uid)).one()
    enqueue_attempt(uow, made, endpoint.uid)
    return made


def replay_delivery(uow: UnitOfWork, delivery: WebhookDelivery) -> None:
    """Send a delivery once more under the same ``webhook-id``, with all its attempts before it.

    Raises:
        Conflict: it is still being tried, or its webhook is switched off.
    """
    endpoint = uow.session.get_one(WebhookEndpoint, delivery.webhook_id)
    if delivery.state == DeliveryState.WAITING and _is_tried(uow, delivery, endpoint):
        raise Conflict(_("This delivery is still being tried."))
    if not endpoint.enabled:
        raise Conflict(_("The webhook is switched off: switch it on first."))
    changes = {"state": DeliveryState.WAITING, "round": delivery.round + 1, "attempts": 0, "next_at": uow.now}
    moved = {**changes, "version": DELIVERY.c.version + 1, "updated_at": uow.now}
    uow.session.execute(sa.update(DELIVERY).where(DELIVERY.c.id == delivery.id).values(moved))
    uow.session.refresh(delivery)
    enqueue_attempt(uow, delivery, endpoint.uid)


def _is_tried(uow: UnitOfWork, delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> bool:
    """Say whether a job is to make the next attempt; an admin may have cancelled it, or it is dead."""
    waiting = sa.and_(JobRow.name == SEND, JobRow.partition == str(endpoint.uid), JobRow.state.in_(PENDING))
    named = sa.cast(JobRow.payload, sa.Text).contains(str(delivery.uid))
    return uow.session.execute(sa.select(JobRow.id).where(waiting, named).limit(1)).first() is not None


def _check_filter(text: str | None, actor: Actor) -> None:
    if text:
        parse_text(plan_of(record_type("customer")), text, actor)
