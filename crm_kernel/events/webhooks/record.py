"""Webhooks and their deliveries as record types: lists, forms, API and export follow.

Only who may change webhooks sees them: an address may hold a secret of the other side. A grant of *own* or *team* records
gives nothing here, because a webhook is nobody's record: it must be granted for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import lazy_gettext as _l

from crm_kernel.access.actor import Actor
from crm_kernel.access.policy import allowed
from crm_kernel.contributions import Job, JobKind, NotificationKind
from crm_kernel.events.webhooks import services
from crm_kernel.events.webhooks.expiry import expire_deliveries
from crm_kernel.events.webhooks.fanout import FAN_OUT, QUEUE, SEND, fan_out
from crm_kernel.events.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from crm_kernel.events.webhooks.replaying import REPLAY, replay_chunk, replay_since
from crm_kernel.events.webhooks.schemas import DeliverySchema, ReplaySchema, WebhookSchema
from crm_kernel.events.webhooks.sending import attempt_delivery
from crm_kernel.events.webhooks.settling import SWITCHED_OFF
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.reading import page_of, parse_query
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Deliveries shown on a webhook's page.
_SHOWN = 20


def record_types() -> list[RecordType]:
    """Return the record types ``webhook`` and ``webhook_delivery``."""
    return [_webhooks(), _deliveries()]


def jobs() -> list[Job]:
    """Return the jobs of webhooks."""
    return [
        Job(name=FAN_OUT, handler=fan_out, queue=QUEUE, priority=-1),
        # The schedule of attempts is the delivery's own; what fails here is our database or our code.
        Job(name=SEND, handler=attempt_delivery, kind=JobKind.OUTSIDE, queue=QUEUE),
        Job(
            name=REPLAY,
            handler=replay_chunk,
            kind=JobKind.CHUNKED,
            queue=QUEUE,
            priority=1,
            result=lambda payload: url_for("records.webhook_detail", uid=payload["webhook"]),
        ),
        Job(
            name="kernel.expire_webhook_deliveries",
            handler=expire_deliveries,
            kind=JobKind.CHUNKED,
            schedule="35 3 * * *",
            queue="housekeeping",
            priority=10,
        ),
    ]


def notification_kinds() -> list[NotificationKind]:
    """Return what users are told of their webhooks."""
    return [
        NotificationKind(
            name=SWITCHED_OFF,
            label=_l("A webhook was switched off"),
            text=_l("The webhook %(title)s was switched off: its address takes nothing any more"),
            icon="webhook",
            email="immediate",
        )
    ]


def _webhooks() -> RecordType:
    return RecordType(
        name="webhook",
        model=WebhookEndpoint,
        schema=WebhookSchema,
        label=_l("Webhook"),
        label_plural=_l("Webhooks"),
        slug="webhooks",
        icon="webhook",
        columns=("name", "url", "enabled", "failing_since", "user"),
        filters=("name", "enabled", "user"),
        sorts=("name", "created_at"),
        default_sort="name",
        form=(
            FormSection(title=_l("Webhook"), fields=("name", "url", "enabled", "notes")),
            FormSection(title=_l("What is sent"), fields=("events", "with_record")),
        ),
        actions=(
            Action(name="enable", label=_l("Switch on"), service=services.enable_webhook, icon="player-play",
                   available=lambda webhook: not webhook.enabled),
            Action(name="disable", label=_l("Switch off"), service=services.disable_webhook, icon="player-pause",
                   available=lambda webhook: webhook.enabled),
            Action(name="test", label=_l("Send a test"), service=services.ping, icon="send",
                   available=lambda webhook: webhook.enabled),
            Action(name="replay", label=_l("Send what it missed"), service=_replay, schema=ReplaySchema, icon="history",
                   available=lambda webhook: webhook.enabled),
        ),
        services=Services(create=services.create_webhook, update=services.update_webhook),
        visibility=lambda actor: _for("webhook", actor),
        seen_with="update",
        nav_section="administration",
        nav_order=50,
        detail_template="webhooks/webhook.html",
        detail_context=_shown,
    )  # fmt: skip


def _deliveries() -> RecordType:
    return RecordType(
        name="webhook_delivery",
        model=WebhookDelivery,
        schema=DeliverySchema,
        label=_l("Delivery"),
        label_plural=_l("Deliveries of webhooks"),
        slug="webhook-deliveries",
        icon="send",
        title="event_name",
        columns=("event_name", "webhook", "state", "attempts", "status", "milliseconds", "created_at"),
        filters=("webhook", "state", "event_name", "event_uid", "status", "created_at"),
        sorts=("created_at", "status"),
        form=(
            FormSection(title=_l("Delivery"), fields=("webhook", "event_name", "event_uid", "state")),
            FormSection(title=_l("Last attempt"), fields=("status", "milliseconds", "error", "attempts", "next_at")),
        ),
        actions=(
            Action(name="replay", label=_l("Send again"), service=services.replay_delivery, icon="refresh",
                   available=lambda delivery: delivery.state != DeliveryState.WAITING),
        ),
        verbs=("read", "export"),
        visibility=lambda actor: _for("webhook", actor),
        nav_section=None,
    )  # fmt: skip


def _for(name: str, actor: Actor) -> sa.ColumnElement[bool]:
    return sa.true() if actor.may(f"{name}.update") else sa.false()


def _replay(uow: UnitOfWork, webhook: WebhookEndpoint, *, since: Any) -> None:
    replay_since(uow, webhook, since)


def _shown(uow: UnitOfWork, webhook: Any) -> Mapping[str, Any]:
    """Return what the page of a webhook shows beside its facts: the condition in words, the last deliveries (one query) and the commands."""
    from crm_kernel.records.pages.conditions import condition_text, stored_tree
    from crm_kernel.records.pages.presenting import cell_kind, cell_of, record_url

    type_ = record_type("webhook_delivery")
    fields = plan_of(type_).fields
    names = ("event_name", "state", "attempts", "status", "milliseconds", "created_at")
    found = page_of(uow, type_, parse_query(type_, [("webhook", str(webhook.uid)), ("limit", str(_SHOWN))]))
    rows = [
        {"id": item["id"], "url": record_url(type_, item["id"]), "cells": {n: cell_of(fields[n], item) for n in names}}
        for item in found.items
    ]
    may_change = allowed(uow.actor, "webhook.update", webhook)
    return {
        "condition_text": condition_text(uow, "customer", stored_tree(webhook.filter)),
        "condition_url": url_for("webhooks.condition", uid=webhook.uid) if may_change else None,
        "deliveries": rows,
        "delivery_columns": [{"name": n, "label": fields[n].label, "kind": cell_kind(fields[n])} for n in names],
        "all_url": url_for(f"{type_.endpoint}_list", webhook=webhook.uid),
        "webhook_uid": webhook.uid,
        "commands": [f"crm webhooks {verb} {webhook.uid}" for verb in ("deliveries", "test")],
    }
