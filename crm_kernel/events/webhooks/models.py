"""The tables of outgoing webhooks: where to, what was sent, and each attempt."""

from __future__ import annotations

import datetime as dt
import uuid
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, RecordMixin


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    #: Every attempt failed, or the webhook was switched off meanwhile.
    FAILED = "failed"
    #: When it was to be sent, its user could not see any more what it is about.
    WITHHELD = "withheld"


class WebhookEndpoint(RecordMixin, Model):
    """An address that is told of events; it is told what its user may see, and no more."""

    __tablename__ = "webhook_endpoint"

    name: Mapped[str] = mapped_column(sa.String(120))
    url: Mapped[str] = mapped_column(sa.String(2000))
    #: Wire names of events, or ``*`` for every one.
    events: Mapped[list[str]]
    #: A filter tree over customers as JSON text: only events about customers that fit are sent.
    filter: Mapped[str | None] = mapped_column(sa.Text)
    #: Whether the record itself is sent along, as the user may read it.
    with_record: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    notes: Mapped[str | None] = mapped_column(sa.Text)
    #: With whose eyes it sees: whoever last decided where it sends what.
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    #: The limits of the token it was set up with; null for none.
    scopes: Mapped[list[str] | None] = mapped_column(NullableJson)
    enabled: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: Why it was switched off by itself: ``failing``, ``gone``, ``user``; null when somebody did.
    disabled_reason: Mapped[str | None] = mapped_column(sa.String(20))
    #: Sealed signing secret, and the one before it while both are used.
    secret: Mapped[str] = mapped_column(sa.Text, info={"audit": "secret"})
    previous_secret: Mapped[str | None] = mapped_column(sa.Text, info={"audit": "secret"})
    previous_until: Mapped[dt.datetime | None]
    #: Since when every attempt fails; null after a success. These two change without a new version of the record.
    failing_since: Mapped[dt.datetime | None] = mapped_column(info={"audit": "omit"})
    #: Until when nothing is sent, because it is overloaded or cannot be reached.
    rest_until: Mapped[dt.datetime | None] = mapped_column(info={"audit": "omit"})

    __table_args__ = (
        sa.Index(
            "ix_webhook_endpoint_enabled", "id", sqlite_where=sa.text("enabled"), postgresql_where=sa.text("enabled")
        ),
    )


class WebhookDelivery(RecordMixin, Model):
    """One event for one webhook; its public id is the ``webhook-id`` by which the receiver knows a repetition."""

    __tablename__ = "webhook_delivery"

    webhook_id: Mapped[int] = mapped_column(sa.ForeignKey("webhook_endpoint.id", ondelete="CASCADE"))
    #: The event's public id; null for a ping.
    event_uid: Mapped[uuid.UUID | None]
    event_name: Mapped[str] = mapped_column(sa.String(120))
    #: A ``DeliveryState``.
    state: Mapped[str] = mapped_column(sa.String(12), default=DeliveryState.WAITING)
    #: Counts the times it was asked for anew; with ``attempts`` it names the one job that may go on with it.
    round: Mapped[int] = mapped_column(sa.Integer, default=1, server_default="1")
    #: Attempts of this round.
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: When it is tried again; null when it is over.
    next_at: Mapped[dt.datetime | None]
    #: HTTP status of the last answer; null when nobody answered.
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    error: Mapped[str | None] = mapped_column(sa.String(300))
    #: Milliseconds that the last attempt took.
    milliseconds: Mapped[int | None] = mapped_column(sa.Integer)

    __table_args__ = (
        sa.UniqueConstraint("webhook_id", "event_uid"),
        sa.Index(None, "event_uid"),
        sa.Index(None, "webhook_id", "created_at"),
        sa.Index(None, "created_at"),
    )


class WebhookAttempt(Model):
    """One request and its answer, cut short; deleted with its delivery."""

    __tablename__ = "webhook_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True)
    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("webhook_delivery.id", ondelete="CASCADE"), index=True)
    at: Mapped[dt.datetime]
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    milliseconds: Mapped[int | None] = mapped_column(sa.Integer)
    error: Mapped[str | None] = mapped_column(sa.String(300))
    #: The beginning of the answer.
    answer: Mapped[str | None] = mapped_column(sa.Text)


#: Deliveries as Core sees them: thousands are written that are nobody's change and need no audit row.
DELIVERY: sa.Table = WebhookDelivery.__table__  # type: ignore[assignment]
ATTEMPT: sa.Table = WebhookAttempt.__table__  # type: ignore[assignment]
ENDPOINT: sa.Table = WebhookEndpoint.__table__  # type: ignore[assignment]
