"""``crm events``: what has happened, who was told, and how to tell those again who could not take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    message,
)
from crm_cli.jobs import told as described_job

if TYPE_CHECKING:
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.jobs.models import JobRow

_EVENT_ID = click.argument("event_id", metavar="EVENT", type=click.UUID)
_SUBSCRIBER = click.option("--subscriber", help="Only deliveries to this subscriber.")
_LIMIT = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
_DEAD_COLUMNS = ("job", "event", "name", "subscriber", "failures", "finished_at", "error")


@click.group("events")
def events() -> None:
    """List events and their deliveries, retry dead deliveries, describe the events there are."""


@events.command("list")
@click.option("--name", help="Only this event, or all of a module: 'sfa.*'.")
@click.option("--customer", type=click.UUID, help="Only events about this customer.")
@click.option("--before", type=click.UUID, metavar="EVENT", help="Only older ones: the last id of the page before.")
@_LIMIT
@json_option
@instance_options
def list_events(
    instance: Instance, name: str | None, customer: UUID | None, before: UUID | None, limit: int, as_json: bool
) -> None:
    """List events, newest first, with the states of their deliveries."""
    from crm_kernel.events import queries

    wanted = queries.EventFilter(name=name, customer_uid=customer, before=before)
    with instance.reading() as uow:
        found = queries.events(uow, wanted, limit=limit)
        deliveries = queries.deliveries_of(uow, [stored.id for stored in found])
        rows = [{**_described(stored), "deliveries": _counted(deliveries[stored.id])} for stored in found]
    shown = rows if as_json else [{**row, "deliveries": _summed(row["deliveries"])} for row in rows]
    echo_records(as_json, ("id", "occurred_at", "name", "customer_id", "actor", "deliveries"), shown)


@events.command("show")
@_EVENT_ID
@json_option
@instance_options
def show(instance: Instance, event_id: UUID, as_json: bool) -> None:
    """Show one event, its fields, and every delivery of it."""
    from crm_kernel.events import queries

    with instance.reading() as uow:
        stored = queries.event(uow, event_id)
        deliveries = [_delivery(job) for job in queries.deliveries_of(uow, [stored.id])[stored.id]]
        shown = {**_described(stored), "deliveries": deliveries}
    if as_json:
        echo_json(shown)
        return
    fields = {key: value for key, value in shown.items() if key not in ("payload", "deliveries")}
    echo_table(
        ("field", "value"), [*fields.items(), *((f"payload.{key}", value) for key, value in shown["payload"].items())]
    )
    message(f"{len(deliveries)} deliveries")
    columns = ("job", "subscriber", "state", "failures", "run_at", "error")
    echo_table(columns, [[row[column] for column in columns] for row in deliveries])


@events.command("dead")
@_SUBSCRIBER
@_LIMIT
@json_option
@instance_options
def dead(instance: Instance, subscriber: str | None, limit: int, as_json: bool) -> None:
    """List deliveries that gave up, oldest first, with the reason."""
    from crm_kernel.events import queries

    with instance.reading() as uow:
        found = queries.dead_deliveries(uow, subscriber=subscriber, limit=limit)
        rows = [{**_delivery(job), "event": stored.uid, "name": stored.name} for job, stored in found]
    shown = rows if as_json else [{**row, "error": (row["error"] or "").partition("\n")[0]} for row in rows]
    echo_records(as_json, _DEAD_COLUMNS, shown)


@events.command("retry")
@click.argument("event_id", metavar="[EVENT]", type=click.UUID, required=False)
@click.option("--all", "every", is_flag=True, help="All dead deliveries (of --subscriber).")
@_SUBSCRIBER
@dry_run_option
@json_option
@instance_options
def retry(
    instance: Instance, event_id: UUID | None, every: bool, subscriber: str | None, dry_run: bool, as_json: bool
) -> None:
    """Deliver again what is dead: of one event, or all with --all; done deliveries are never repeated."""
    from crm_kernel.events import services

    if (event_id is None) != every:
        raise click.UsageError("name the event, or say --all for all dead deliveries")
    with instance.writing(dry_run=dry_run) as uow:
        retried = services.retry_dead(uow, subscriber=subscriber, event_uid=event_id, limit=10_000)
        rows = [_delivery(job) for job in retried]
    echo_records(as_json, ("job", "subscriber", "state", "run_at", "out_of_order"), rows)
    message(f"{len(rows)} deliveries {'would be' if dry_run else 'are'} due now.")


@events.command("replay")
@_EVENT_ID
@click.option("--subscriber", required=True, help="Who is to get it once more.")
@dry_run_option
@json_option
@instance_options
def replay(instance: Instance, event_id: UUID, subscriber: str, dry_run: bool, as_json: bool) -> None:
    """Deliver an event once more to one subscriber, also if that has had it: for a module enabled later."""
    from crm_kernel.events import queries, services

    with instance.writing(dry_run=dry_run) as uow:
        services.replay_event(uow, event_id, subscriber=subscriber)
        key = queries.event(uow, event_id).id
        jobs = [job for job in queries.deliveries_of(uow, [key])[key] if job.name == subscriber]
        found = _delivery(max(jobs, key=lambda job: job.id))
    if as_json:
        echo_json(found)
    message(f"{event_id} {'would be' if dry_run else 'will be'} delivered to {subscriber} once more.")


@events.command("discard")
@_EVENT_ID
@_SUBSCRIBER
@dry_run_option
@json_option
@instance_options
def discard(instance: Instance, event_id: UUID, subscriber: str | None, dry_run: bool, as_json: bool) -> None:
    """Give up the dead deliveries of an event (to --subscriber); the audit log keeps who decided it."""
    from crm_kernel.events import services

    with instance.writing(dry_run=dry_run) as uow:
        rows = [_delivery(job) for job in services.discard_dead(uow, event_id, subscriber=subscriber)]
    echo_records(as_json, ("job", "subscriber", "state", "error"), rows)
    message(f"{len(rows)} deliveries {'would be' if dry_run else 'are'} discarded.")


@events.command("catalogue")
@json_option
@instance_options
def catalogue(instance: Instance, as_json: bool) -> None:
    """Describe the events that the enabled modules emit: version, fields, subscribers."""
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.events.catalogue import catalogue as described

    found = described(runtime_of(instance.app()))
    if as_json:
        echo_json(found)
        return
    rows = [
        (event.name, event.version, event.summary, ", ".join(map(str, event.fields)), ", ".join(event.subscribers))
        for event in found
    ]
    echo_table(("event", "version", "what", "fields", "subscribers"), rows)


def _described(stored: StoredEvent) -> dict[str, Any]:
    return {
        "id": stored.uid,
        "name": stored.name,
        "version": stored.version,
        "occurred_at": stored.occurred_at,
        "customer_id": stored.customer_uid,
        "actor": stored.actor,
        "channel": stored.channel,
        "request_id": stored.request_id,
        "causation_depth": stored.causation_depth,
        "payload": stored.payload,
    }


def _delivery(job: JobRow) -> dict[str, Any]:
    shown = described_job(job)
    kept = ("module", "state", "run_at", "attempts", "failures", "max_attempts", "finished_at", "out_of_order", "error")
    return {"job": job.id, "subscriber": job.name, **{key: shown[key] for key in kept}}


def _counted(deliveries: Sequence[JobRow]) -> dict[str, int]:
    from crm_kernel.jobs.services import state_name

    return dict(sorted(Counter(state_name(job.state) for job in deliveries).items()))


def _summed(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())
