"""The tables of incoming webhooks: the addresses that take messages, and the messages."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, RecordMixin


class MessageState(StrEnum):
    """What became of a message."""

    WAITING = "waiting"
    DONE = "done"
    #: It cannot be handled as it is: the error says why.
    FAILED = "failed"


class WebhookSource(RecordMixin, Model):
    """An address that takes messages of one kind and handles them in the name of one user."""

    __tablename__ = "webhook_source"

    name: Mapped[str] = mapped_column(sa.String(120))
    #: Name of an ``InboundWebhook``, whose module need not be loaded.
    kind: Mapped[str] = mapped_column(sa.String(80))
    #: ``standard``, ``hex`` or ``none``: how messages are signed.
    scheme: Mapped[str] = mapped_column(sa.String(20))
    notes: Mapped[str | None] = mapped_column(sa.Text)
    #: Who does what the messages ask for.
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    #: The limits of the token it was set up with; null for none.
    scopes: Mapped[list[str] | None] = mapped_column(NullableJson)
    enabled: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: The token of its address: sealed to be shown, as a digest to be found.
    token: Mapped[str] = mapped_column(sa.Text, info={"audit": "secret"})
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True, info={"audit": "omit"})
    #: Sealed secret, and the one before it while both are good.
    secret: Mapped[str] = mapped_column(sa.Text, info={"audit": "secret"})
    previous_secret: Mapped[str | None] = mapped_column(sa.Text, info={"audit": "secret"})
    previous_until: Mapped[dt.datetime | None]


class WebhookMessage(RecordMixin, Model):
    """A message as it was received; stored once per sender's id."""

    __tablename__ = "webhook_message"

    source_id: Mapped[int] = mapped_column(sa.ForeignKey("webhook_source.id", ondelete="CASCADE"))
    #: The sender's id of it: what comes again under it is the same message.
    message_id: Mapped[str] = mapped_column(sa.String(255))
    content_type: Mapped[str] = mapped_column(sa.String(120))
    #: What was sent, as it was signed; deleted after ``webhook_days``.
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    #: A ``MessageState``.
    state: Mapped[str] = mapped_column(sa.String(12), default=MessageState.WAITING)
    error: Mapped[str | None] = mapped_column(sa.String(1000))
    #: What the handler says it did.
    result: Mapped[str | None] = mapped_column(sa.String(300))

    __table_args__ = (
        sa.UniqueConstraint("source_id", "message_id"),
        sa.Index(None, "source_id", "created_at"),
        sa.Index(None, "created_at"),
    )


class MessageSubject(Model):
    """A customer whose id stands in what was done with a message."""

    __tablename__ = "webhook_message_subject"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        info={"merge": "stay", "retention": "ids_only"},
    )
    message_id: Mapped[int] = mapped_column(
        sa.ForeignKey("webhook_message.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )

    __table_args__ = ({"sqlite_with_rowid": False},)


SOURCE: sa.Table = WebhookSource.__table__  # type: ignore[assignment]
MESSAGE: sa.Table = WebhookMessage.__table__  # type: ignore[assignment]
