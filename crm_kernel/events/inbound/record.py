"""Sources and messages as record types, and the kernel's own kind of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app, url_for
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, ValidationError, validate
from marshmallow import fields as ma

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Actor
from crm_kernel.contributions import InboundWebhook, Job, JobKind
from crm_kernel.events.inbound.customers import take_customer
from crm_kernel.events.inbound.handling import expire_messages, handle_again, handle_message
from crm_kernel.events.inbound.models import MessageState, WebhookMessage, WebhookSource
from crm_kernel.events.inbound.services import create_source, update_source
from crm_kernel.events.inbound.storing import HANDLE, QUEUE
from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_SCHEMES: Mapping[str, Any] = {
    "standard": _l("Standard Webhooks"),
    "hex": _l("HMAC-SHA256 of the body, hexadecimal"),
    "none": _l("No signature: the address is the secret"),
}
_STATES: Mapping[str, Any] = {
    MessageState.WAITING: _l("Waiting"),
    MessageState.DONE: _l("Done"),
    MessageState.FAILED: _l("Failed"),
}
_COLORS = {MessageState.WAITING: "blue", MessageState.DONE: "green", MessageState.FAILED: "red"}


def kinds() -> list[InboundWebhook]:
    """Return the kernel's kind of messages."""
    return [InboundWebhook(name="kernel.customer", label=_l("Customers and contacts"), handler=take_customer)]


def kind_choices() -> dict[str, str]:
    """Return the kinds of the loaded modules: name → label."""
    return {kind.name: str(kind.label) for kind in runtime_of(current_app).registry.all("inbound_webhooks")}


def _known_kind(value: str) -> None:
    if value not in kind_choices():
        raise ValidationError(str(_l("Expected one of: %(known)s.", known=", ".join(kind_choices()))))


class SourceSchema(Schema):
    """An address that takes messages; its token and its secret are shown by an address of their own."""

    name = ma.String(required=True, validate=validate.Length(1, 120), metadata={"label": _l("Name")})
    kind = ma.String(
        load_default="kernel.customer",
        validate=_known_kind,
        metadata={"label": _l("What it takes"), "widget": "choice", "options": kind_choices},
    )
    scheme = Choice(_SCHEMES, load_default="standard", metadata={"label": _l("Signature")})
    enabled = ma.Boolean(load_default=True, metadata={"label": _l("Switched on")})
    notes = ma.String(
        allow_none=True,
        validate=validate.Length(max=10_000),
        metadata={"label": _l("Notes"), "widget": "textarea"},
    )
    user = Reference("user", attribute="user_id", dump_only=True, metadata={"label": _l("Handled in the name of")})


class MessageSchema(Schema):
    """A message; its body is shown to nobody and goes with it."""

    source = Reference("webhook_source", attribute="source_id", dump_only=True, metadata={"label": _l("Source")})
    message_id = ma.String(dump_only=True, metadata={"label": _l("The sender’s id")})
    content_type = ma.String(dump_only=True, metadata={"label": _l("Type")})
    state = Choice(_STATES, dump_only=True, metadata={"label": _l("State"), "colors": _COLORS})
    result = ma.String(dump_only=True, allow_none=True, metadata={"label": _l("Result")})
    error = ma.String(dump_only=True, allow_none=True, metadata={"label": _l("Error")})


def record_types() -> list[RecordType]:
    """Return the record types ``webhook_source`` and ``webhook_message``."""
    return [_sources(), _messages()]


def jobs() -> list[Job]:
    """Return the jobs of incoming messages."""
    return [
        Job(name=HANDLE, handler=handle_message, queue=QUEUE),
        Job(
            name="kernel.expire_webhook_messages",
            handler=expire_messages,
            kind=JobKind.CHUNKED,
            schedule="45 3 * * *",
            queue="housekeeping",
            priority=10,
        ),
    ]


def _sources() -> RecordType:
    return RecordType(
        name="webhook_source",
        model=WebhookSource,
        schema=SourceSchema,
        label=_l("Webhook source"),
        label_plural=_l("Webhook sources"),
        slug="webhook-sources",
        icon="inbox",
        columns=("name", "kind", "scheme", "enabled", "user"),
        filters=("name", "enabled", "kind"),
        sorts=("name", "created_at"),
        default_sort="name",
        form=(FormSection(title=_l("Webhook source"), fields=("name", "kind", "scheme", "enabled", "notes")),),
        services=Services(create=create_source, update=update_source),
        visibility=_for_administrators,
        seen_with="update",
        nav_section="administration",
        nav_order=51,
        detail_template="webhooks/source.html",
        detail_context=_shown,
    )


def _messages() -> RecordType:
    return RecordType(
        name="webhook_message",
        model=WebhookMessage,
        schema=MessageSchema,
        label=_l("Received message"),
        label_plural=_l("Received messages"),
        slug="webhook-messages",
        icon="inbox",
        title="message_id",
        columns=("message_id", "source", "state", "result", "error", "created_at"),
        filters=("source", "state", "message_id", "created_at"),
        sorts=("created_at",),
        form=(
            FormSection(
                title=_l("Received message"),
                fields=("source", "message_id", "content_type", "state", "result", "error"),
            ),
        ),
        actions=(
            Action(
                name="retry",
                label=_l("Handle again"),
                service=handle_again,
                icon="refresh",
                available=lambda message: message.state != MessageState.DONE,
            ),
        ),
        verbs=("read", "export"),
        visibility=_for_administrators,
        nav_section=None,
    )


def _for_administrators(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.true() if actor.may("webhook_source.update") else sa.false()


def _shown(_uow: UnitOfWork, source: Any) -> Mapping[str, Any]:
    return {
        "source_uid": source.uid,
        "messages_url": url_for("records.webhook_message_list", source=source.uid),
    }
