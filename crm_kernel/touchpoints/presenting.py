"""Turns touch points into the entries that the timeline component shows, in the reader's language and time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import url_for
from flask_babel import format_date, format_time, get_timezone
from flask_babel import gettext as _

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.customers.models import Customer
from crm_kernel.records.pages.presenting import moment_text
from crm_kernel.records.plan import record_types
from crm_kernel.records.record_type import RecordType
from crm_kernel.touchpoints.models import Interaction
from crm_kernel.touchpoints.queries import Moment, Timeline, timeline_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Icon by kind of touch point, else by its channel.
_ICONS: Mapping[str, str] = {
    "call": "phone",
    "note": "note",
    "visit": "map-pin",
    "phone": "phone",
    "email": "mail",
    "meeting": "users",
    "web": "world",
    "store": "building-store",
    "chat": "messages",
    "sms": "message",
    "letter": "mail-opened",
    "social": "share",
    "app": "device-mobile",
}
#: What an entry shows of a field that a role may hide.
_SHOWN = {"body": "body", "actor": "actor_name", "source": "source_plugin"}
_COLORS = {"in": "blue", "out": "green"}


def timeline_context(uow: UnitOfWork, customer: Customer, *, before: Moment | None = None) -> dict[str, Any]:
    """Return one page of a timeline as the component shows it, the addresses of the next and of the form; one query."""
    timeline = timeline_of(uow, customer, before=before)
    types = record_types()
    may_log = uow.actor.may("interaction.create")
    return {
        "timeline": [_seen_entry(uow, interaction, types) for interaction in timeline.items],
        "timeline_more_url": _more_url(customer, timeline),
        "log_url": url_for("records.interaction_new", customer=customer.uid) if may_log else None,
    }


def parse_moment(text: str) -> Moment | None:
    """Return where a timeline page ended, as its address says; None when it is not one of ours."""
    when, _separator, uid = text.partition("_")
    try:
        at = dt.datetime.fromisoformat(when)
        return Moment(at.astimezone(dt.UTC), UUID(uid)) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _more_url(customer: Customer, timeline: Timeline) -> str | None:
    moment = timeline.earlier
    if moment is None:
        return None
    return url_for("customers.timeline", uid=customer.uid, before=f"{moment.occurred_at.isoformat()}_{moment.id}")


def _seen_entry(uow: UnitOfWork, interaction: Interaction, types: Mapping[str, RecordType]) -> dict[str, Any]:
    """Return an entry without the fields of touch points that are hidden from the actor."""
    hidden = hidden_fields(uow.actor, "interaction")
    shown = {name: None for name, field in _SHOWN.items() if field in hidden}
    return _entry(interaction, types, uow.now) | shown


def _entry(interaction: Interaction, types: Mapping[str, RecordType], now: dt.datetime) -> dict[str, Any]:
    subject = types.get(interaction.subject_type or "interaction")
    uid = interaction.subject_uid if interaction.subject_type else interaction.uid
    icon = _ICONS.get(interaction.kind) or (subject.icon if subject and interaction.subject_type else None)
    return {
        "at": interaction.occurred_at,
        "at_text": moment_text(interaction.occurred_at, say=format_time),
        "day_text": _day(interaction.occurred_at, now),
        "icon": icon or _ICONS.get(interaction.channel, "activity"),
        "color": _COLORS.get(interaction.direction, "gray"),
        "title": _title(interaction, subject),
        "body": interaction.body,
        "actor": interaction.actor_name,
        "source": None if interaction.source_plugin == "kernel" else interaction.source_plugin.upper(),
        "url": url_for(f"{subject.endpoint}_detail", uid=uid) if subject else None,
    }


def _title(interaction: Interaction, subject: RecordType | None) -> str:
    happened = subject.timeline.get(interaction.kind) if subject else None
    return _("%(what)s: %(summary)s", what=happened, summary=interaction.summary) if happened else interaction.summary


def _day(moment: dt.datetime, now: dt.datetime) -> str:
    zone = get_timezone()
    try:
        days = (now.astimezone(zone).date() - moment.astimezone(zone).date()).days
    except OverflowError:
        return moment.date().isoformat()
    names: Mapping[int, str] = {0: _("Today"), 1: _("Yesterday")}
    return names.get(days) or str(format_date(moment, "full"))
