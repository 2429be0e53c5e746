"""The table of facts: written by the commit that made them true, never updated."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model, utcnow


class StoredEvent(Model):
    """One event as stored; ``payload`` holds ids and plain facts, no personal values."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    name: Mapped[str] = mapped_column(sa.String(120))
    version: Mapped[int] = mapped_column(sa.Integer)
    occurred_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    payload: Mapped[dict[str, Any]]
    #: The customer the fact is about: deliveries about one customer keep their order.
    customer_uid: Mapped[uuid.UUID | None] = mapped_column(info={"reference": CustomerReference(merge="stay")})
    actor: Mapped[str] = mapped_column(sa.String(120))
    channel: Mapped[str] = mapped_column(sa.String(20))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    causation_depth: Mapped[int] = mapped_column(sa.Integer, default=0)

    __table_args__ = (sa.Index(None, "name", "id"), sa.Index(None, "customer_uid", "id"))
