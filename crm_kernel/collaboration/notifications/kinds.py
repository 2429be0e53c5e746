"""The kinds of notifications there are: the kernel's own, and what they say in the reader's language."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import NotificationKind

#: How mail is sent: code → label, the soonest first.
DIGESTS = {
    "immediate": _l("Soon"),
    "hourly": _l("Every hour"),
    "daily": _l("Once a day"),
    "never": _l("Never"),
}
#: The hour of the daily mail, on the user's clock.
DAILY_HOUR = 8

MENTION = "kernel.mention"
ASSIGNED = "kernel.assigned"
RULE = "kernel.rule"


def notification_kinds() -> list[NotificationKind]:
    """Return the kernel's own kinds."""
    return [
        NotificationKind(
            name=MENTION,
            label=_l("Somebody mentions me in a note"),
            text=_l("%(actor)s mentioned you: %(title)s"),
            icon="message-circle",
            email="immediate",
            anchor="panel-kernel-notes",
            order=10,
        ),
        NotificationKind(
            name=ASSIGNED,
            label=_l("A record is assigned to me"),
            text=_l("%(actor)s assigned to you: %(title)s"),
            icon="user-check",
            order=20,
        ),
        NotificationKind(
            name=RULE,
            label=_l("A rule tells me something"),
            text=_l("%(words)s: %(title)s"),
            icon="bolt",
            order=30,
        ),
    ]


def known_kinds() -> dict[str, NotificationKind]:
    """Return the kinds of the loaded modules by name, in their lasting order."""
    return {found.name: found for found in runtime_of(current_app).registry.all("notification_kinds")}


def assignment_kind(type_name: str) -> NotificationKind:
    """Return the kind by which a new owner of a record of the type is told: the module's own, else the kernel's."""
    kinds = known_kinds()
    return next((k for k in kinds.values() if k.assignment_of == type_name), kinds[ASSIGNED])


def text_of(kind: str, *, actor: str, title: str | None, data: Mapping[str, Any] | None) -> str:
    """Return what a notification says in the current language; one of a module that is off says just that."""
    found = known_kinds().get(kind)
    if found is None:
        return str(_("From a module that is switched off (%(kind)s)", kind=kind))
    try:
        return str(found.text) % {"actor": actor, "title": title or "", **(data or {})}
    except (KeyError, ValueError):  # written by a version of the module that knew other facts
        return str(found.label)


def mail_time(digest: str, now: dt.datetime, timezone: str) -> dt.datetime | None:
    """Return when a notification made ``now`` is to be mailed; None for never. The day is that of the user's zone."""
    if digest == "immediate":
        return now
    if digest == "hourly":
        return now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    if digest == "daily":
        return _next_morning(now, ZoneInfo(timezone))
    return None


def _next_morning(now: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    local = now.astimezone(zone)
    day = local.date() if local.hour < DAILY_HOUR else local.date() + dt.timedelta(days=1)
    return dt.datetime.combine(day, dt.time(DAILY_HOUR), zone).astimezone(dt.UTC)
