"""Lets the log of deliveries go after its days: answers of other systems may hold personal data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.events.webhooks.models import ATTEMPT, DELIVERY, DeliveryState

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Deliveries deleted per chunk.
CHUNK = 500


def expire_deliveries(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete one chunk of old deliveries with their attempts, the oldest first; None when there are no more.

    One that waits goes too when it was to be tried that long ago: nobody will.
    """
    cutoff = uow.now - dt.timedelta(days=runtime_of(current_app).config.webhook_days)
    over = sa.or_(DELIVERY.c.state != DeliveryState.WAITING, DELIVERY.c.next_at < cutoff)
    old = sa.select(DELIVERY.c.id).where(DELIVERY.c.created_at < cutoff, over)
    ids = list(uow.session.scalars(old.order_by(DELIVERY.c.created_at).limit(CHUNK)))
    if not ids:
        return None
    uow.session.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.delivery_id.in_(ids)))
    uow.session.execute(sa.delete(DELIVERY).where(DELIVERY.c.id.in_(ids)))
    so_far = payload.get("checkpoint", {}).get("deleted", 0) + len(ids)
    return {"deleted": so_far, "progress": {"done": so_far}}
