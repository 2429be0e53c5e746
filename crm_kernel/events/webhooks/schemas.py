"""What can be read and written of webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, ValidationError, validate
from marshmallow import fields as ma

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.events.webhooks.fanout import ANY, SIGNAL
from crm_kernel.events.webhooks.models import DeliveryState, WebhookAttempt
from crm_kernel.events.wording import event_choice
from crm_kernel.outbound import AddressRefused, policy_of, refuse_unreachable
from crm_kernel.records.calendar import within_calendar
from crm_kernel.records.custom_fields.kinds import MultiChoice
from crm_kernel.records.fields import Choice, Collection, Reference
from crm_kernel.records.filter_tree.parsing import MAX_BYTES

STATES: Mapping[str, Any] = {
    DeliveryState.WAITING: _l("Waiting"),
    DeliveryState.DELIVERED: _l("Delivered"),
    DeliveryState.FAILED: _l("Failed"),
    DeliveryState.WITHHELD: _l("Withheld"),
}
_COLORS = {
    DeliveryState.WAITING: "blue",
    DeliveryState.DELIVERED: "green",
    DeliveryState.FAILED: "red",
    DeliveryState.WITHHELD: "orange",
}
_REASONS = {
    "failing": _l("Every attempt failed for days"),
    "gone": _l("Its address said that it is gone"),
    "user": _l("Its user is deactivated"),
}


class EventNames(MultiChoice):
    """Names of events of the loaded modules, or ``*`` for every one.

    Not the record that a rule sends to one webhook: nobody hears of it by its name.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)

    @property
    def choices(self) -> dict[str, Any]:
        """Name → label with the name behind it, in the order of the names."""
        known = sorted(runtime_of(current_app).registry.all("events"), key=lambda event: str(event.name))
        return {ANY: _("Every event"), **{event.name: event_choice(event) for event in known if event.name != SIGNAL}}

    @choices.setter
    def choices(self, _value: Any) -> None:
        """Take nothing: what there is depends on the modules that are loaded."""


def _sendable(url: str) -> None:
    try:
        refuse_unreachable(url, policy_of())
    except AddressRefused as error:
        raise ValidationError(str(error)) from error


class WebhookSchema(Schema):
    """A webhook. Its secret is in no field: it is shown by an address of its own."""

    name = ma.String(required=True, validate=validate.Length(1, 120), metadata={"label": _l("Name")})
    url = ma.String(
        required=True,
        validate=[validate.Length(1, 2000), _sendable],
        metadata={
            "label": _l("Address"),
            "widget": "url",
            "help": _l("Where events are sent by POST, for example https://example.com/hooks/crm."),
        },
    )
    events = EventNames(required=True, metadata={"label": _l("Events")})
    filter = ma.String(
        allow_none=True,
        validate=validate.Length(max=MAX_BYTES),
        metadata={
            "label": _l("Only customers that fit"),
            "widget": "textarea",
            "help": _l(
                "A filter of customers as JSON, as the address of a filtered list shows it. Empty: all of them."
            ),
        },
    )
    with_record = ma.Boolean(
        load_default=False,
        metadata={
            "label": _l("Send the record along"),
            "help": _l(
                "As far as the user may read it whose eyes the webhook sees with. Without: ids and plain facts."
            ),
        },
    )
    enabled = ma.Boolean(load_default=True, metadata={"label": _l("Switched on")})
    notes = ma.String(
        allow_none=True,
        validate=validate.Length(max=10_000),
        metadata={"label": _l("Notes"), "widget": "textarea"},
    )
    user = Reference("user", attribute="user_id", dump_only=True, metadata={"label": _l("Sees with the eyes of")})
    disabled_reason = Choice(_REASONS, dump_only=True, allow_none=True, metadata={"label": _l("Switched off because")})
    failing_since = ma.AwareDateTime(dump_only=True, allow_none=True, metadata={"label": _l("Failing since")})


class AttemptSchema(Schema):
    """One request and its answer."""

    at = ma.AwareDateTime(dump_only=True, metadata={"label": _l("At")})
    status = ma.Integer(dump_only=True, allow_none=True, metadata={"label": _l("Answer")})
    milliseconds = ma.Integer(dump_only=True, allow_none=True, metadata={"label": _l("Milliseconds")})
    error = ma.String(dump_only=True, allow_none=True, metadata={"label": _l("Error")})
    answer = ma.String(dump_only=True, allow_none=True, metadata={"label": _l("What it said")})


class DeliverySchema(Schema):
    """One event for one webhook."""

    webhook = Reference("webhook", attribute="webhook_id", dump_only=True, metadata={"label": _l("Webhook")})
    event_name = ma.String(dump_only=True, metadata={"label": _l("Event"), "show_as": "event"})
    event_uid = ma.UUID(dump_only=True, allow_none=True, metadata={"label": _l("Event id")})
    state = Choice(STATES, dump_only=True, metadata={"label": _l("State"), "colors": _COLORS})
    attempts = ma.Integer(dump_only=True, metadata={"label": _l("Attempts")})
    next_at = ma.AwareDateTime(dump_only=True, allow_none=True, metadata={"label": _l("Tried again")})
    status = ma.Integer(dump_only=True, allow_none=True, metadata={"label": _l("Last answer")})
    error = ma.String(dump_only=True, allow_none=True, metadata={"label": _l("Error")})
    milliseconds = ma.Integer(dump_only=True, allow_none=True, metadata={"label": _l("Milliseconds")})
    tries = Collection(
        AttemptSchema,
        model=WebhookAttempt,
        key="delivery_id",
        dump_only=True,
        metadata={"label": _l("Attempts")},
    )


class ReplaySchema(Schema):
    """From when on a webhook is sent what it has missed."""

    since = ma.AwareDateTime(required=True, validate=within_calendar, metadata={"label": _l("Since")})
