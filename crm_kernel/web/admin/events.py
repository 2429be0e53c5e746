"""The pages of events: what happened, who was told, which deliveries gave up and why, and what to do about them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_babel import format_datetime, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.audit_reading.labels import channel_label
from crm_kernel.events import queries, services
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.wording import event_choice, event_label
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.text import fold
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.admin.event_facts import told_fields
from crm_kernel.web.edge import permission
from crm_kernel.web.job_presenting import STATES

#: Events, and dead deliveries, on one page.
_PAGE = 50
#: Most dead deliveries one click makes due again.
_MOST = 1000


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages of events."""
    blueprint.add_url_rule("/events", view_func=event_list)
    blueprint.add_url_rule("/events/dead", view_func=dead_list)
    blueprint.add_url_rule("/events/dead/retry", view_func=retry_dead, methods=["POST"])
    blueprint.add_url_rule("/events/<uuid:uid>", view_func=event_detail)
    blueprint.add_url_rule("/events/<uuid:uid>/retry", view_func=retry_event, methods=["POST"])
    blueprint.add_url_rule("/events/<uuid:uid>/replay", view_func=replay, methods=["POST"])
    blueprint.add_url_rule("/events/<uuid:uid>/discard", view_func=discard, methods=["POST"])


@permission("event.read")
def event_list() -> str:
    """List events, newest first, with the states of their deliveries; two queries."""
    uow, name = current_uow(), request.args.get("name", "").strip()
    before = request.args.get("before", type=UUID)
    found = queries.events(uow, queries.EventFilter(name=name or None, before=before), limit=_PAGE + 1)
    shown = found[:_PAGE]
    deliveries = queries.deliveries_of(uow, [stored.id for stored in shown])
    more: dict[str, Any] = {"name": name} if name else {}
    return render_template(
        "admin/events.html",
        events=[{**_described(stored), "states": _counted(deliveries[stored.id])} for stored in shown],
        name=name,
        names=_names(name),
        next_url=url_for("admin.event_list", **more, before=shown[-1].uid) if len(found) > _PAGE else None,
        command=f"crm events list --name '{name}'" if name else "crm events list",
    )


@permission("event.read")
def dead_list() -> str:
    """List the deliveries that gave up, oldest first, with the reason; one query."""
    uow, subscriber = current_uow(), request.args.get("subscriber", "").strip()
    found = queries.dead_deliveries(uow, subscriber=subscriber or None, limit=_PAGE)
    option = f" --subscriber {subscriber}" if subscriber else ""
    return render_template(
        "admin/dead_deliveries.html",
        rows=[{"event": _described(stored), **_delivery(job)} for job, stored in found],
        subscriber=subscriber,
        most=len(found) == _PAGE,
        may_change=uow.actor.may("event.update"),
        commands=[f"crm events dead{option}", f"crm events retry --all{option}"],
    )


@permission("event.read")
def event_detail(uid: UUID) -> str:
    """Show one event with its fields and every delivery of it; two queries and one per type of record it names."""
    uow = current_uow()
    stored = queries.event(uow, uid)
    deliveries = [_delivery(job) for job in queries.deliveries_of(uow, [stored.id])[stored.id]]
    return render_template(
        "admin/event.html",
        event=_described(stored),
        facts=_facts(stored),
        fields=told_fields(uow, stored),
        payload=json.dumps(stored.payload, indent=2, ensure_ascii=False),
        deliveries=deliveries,
        subscribers=[{"value": name, "label": name} for name in services.listening_to(stored)],
        dead=[delivery for delivery in deliveries if delivery["state"] == "dead"],
        may_change=uow.actor.may("event.update"),
    )


@permission("event.update")
def retry_dead() -> Response:
    """Make dead deliveries due again, of one subscriber if it is named."""
    retried = services.retry_dead(current_uow(), subscriber=request.form.get("subscriber") or None, limit=_MOST)
    _say_due(retried)
    return redirect(url_for("admin.dead_list"), 303)


@permission("event.update")
def retry_event(uid: UUID) -> Response:
    """Make an event's dead deliveries due again."""
    _say_due(services.retry_dead(current_uow(), event_uid=uid))
    return redirect(url_for("admin.event_detail", uid=uid), 303)


@permission("event.update")
def replay(uid: UUID) -> Response:
    """Deliver an event once more to one subscriber."""
    subscriber = request.form.get("subscriber", "")
    services.replay_event(current_uow(), uid, subscriber=subscriber)
    flash(_("The event will be delivered to %(subscriber)s once more.", subscriber=subscriber), "success")
    return redirect(url_for("admin.event_detail", uid=uid), 303)


@permission("event.update")
def discard(uid: UUID) -> Response:
    """Decide that an event's dead deliveries, or those to one subscriber, are not to be made."""
    given_up = services.discard_dead(current_uow(), uid, subscriber=request.form.get("subscriber") or None)
    text = ngettext("%(num)s delivery is discarded.", "%(num)s deliveries are discarded.", len(given_up))
    flash(text, "success")
    return redirect(url_for("admin.event_detail", uid=uid), 303)


def _say_due(retried: Sequence[JobRow]) -> None:
    flash(ngettext("%(num)s delivery is due now.", "%(num)s deliveries are due now.", len(retried)), "success")


def _names(chosen: str) -> list[dict[str, str]]:
    """Return the events a list may be narrowed to, by label; the chosen one also when its module is gone."""
    known = {event.name: event_choice(event) for event in runtime_of(current_app).registry.all("events")}
    named = known if chosen in known or not chosen else {**known, chosen: chosen}
    return [{"value": name, "label": named[name]} for name in sorted(named, key=lambda name: fold(named[name]))]


def _described(stored: StoredEvent) -> dict[str, Any]:
    return {
        "uid": stored.uid,
        "name": stored.name,
        "label": event_label(stored.name),
        "at": format_datetime(stored.occurred_at, "short"),
        "actor": stored.actor,
        "url": url_for("admin.event_detail", uid=stored.uid),
    }


def _facts(stored: StoredEvent) -> list[dict[str, Any]]:
    return [
        {"label": _("When"), "text": format_datetime(stored.occurred_at), "kind": "datetime"},
        {"label": _("Who"), "text": stored.actor},
        {"label": _("Channel"), "text": channel_label(stored.channel)},
        {"label": _("Version"), "text": str(stored.version), "kind": "number"},
        {"label": _("Request"), "text": stored.request_id},
    ]


def _delivery(job: JobRow) -> dict[str, Any]:
    state = JobState(job.state)
    label, color = STATES[state]
    return {
        "subscriber": job.name,
        "state": state.name.lower(),
        "label": label,
        "color": color,
        "attempts": f"{job.failures} / {job.max_attempts}",
        "at": format_datetime(job.finished_at or job.run_at, "short"),
        "error": (job.error or "").partition("\n")[0],
        "url": url_for("jobs.detail", uid=job.uid),
    }


def _counted(deliveries: Sequence[JobRow]) -> list[dict[str, Any]]:
    counts = Counter(JobState(job.state) for job in deliveries)
    return [{"text": f"{counts[s]} {STATES[s][0]}", "color": STATES[s][1]} for s in STATES if counts[s]]
