"""``crm jobs queues|queue|schedules|schedule|run``: the rhythm of background work and an admin's decisions about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import Instance, dry_run_option, echo_json, echo_records, instance_options, json_option, message

if TYPE_CHECKING:
    from crm_kernel.jobs.models import JobSchedule

_QUEUE_COLUMNS = ("name", "due", "later", "running", "dead", "oldest_due", "paused", "per_minute", "burst")
_SCHEDULE_COLUMNS = ("id", "job", "cron", "timezone", "next_at", "last_at", "paused")


@click.command("queues")
@json_option
@instance_options
def queues(instance: Instance, as_json: bool) -> None:
    """List the queues: what is due, later, running and dead in each, its rate and whether it is paused."""
    from crm_kernel.jobs.queues import queue_depths

    with instance.reading() as uow:
        rows = [asdict(depth) for depth in queue_depths(uow)]
    echo_records(as_json, _QUEUE_COLUMNS, rows)


@click.command("queue")
@click.argument("name")
@click.option("--per-minute", type=click.IntRange(0), help="Begin at most so many jobs a minute; 0 for no limit.")
@click.option(
    "--burst", type=click.IntRange(1), default=1, show_default=True, help="So many at once after a quiet time."
)
@click.option("--pause", is_flag=True, help="Begin none until --resume.")
@click.option("--resume", is_flag=True, help="Go on after --pause.")
@dry_run_option
@json_option
@instance_options
def queue(
    instance: Instance,
    name: str,
    per_minute: int | None,
    burst: int,
    pause: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Limit, pause or resume a queue, for all workers together."""
    from crm_kernel.jobs import queues as services

    if pause and resume:
        raise click.UsageError("--pause and --resume exclude each other")
    if per_minute is None and not pause and not resume:
        raise click.UsageError("say --per-minute, --pause or --resume; crm jobs queues shows what is set")
    with instance.writing(dry_run=dry_run) as uow:
        if per_minute is not None:
            services.limit_queue(uow, name, per_minute=per_minute or None, burst=burst)
        if pause or resume:
            (services.pause_queue if pause else services.resume_queue)(uow, name)
        uow.session.flush()
        rows = [asdict(depth) for depth in services.queue_depths(uow) if depth.name == name]
    echo_records(as_json, _QUEUE_COLUMNS, rows)


@click.command("schedules")
@click.option("--job", help="Only those of this job.")
@json_option
@instance_options
def schedules(instance: Instance, job: str | None, as_json: bool) -> None:
    """List what is done again and again, the next first; times are UTC, the expression is in the zone shown."""
    from crm_kernel.jobs.queries import schedules as found

    with instance.reading() as uow:
        rows = [described(row) for row in found(uow) if job in (None, row.job)]
    echo_records(as_json, _SCHEDULE_COLUMNS, rows)


@click.group("schedule")
def schedule() -> None:
    """Add, change, pause, resume or remove schedules."""


@schedule.command("add")
@click.argument("job")
@click.argument("cron")
@click.option("--timezone", default="site", show_default=True, help="site, user or a name such as Europe/Paris.")
@click.option("--user", metavar="EMAIL", help="Whose schedule it is; it rests while the user is deactivated.")
@click.option("--payload", default="{}", show_default=True, help="What every run is given, as JSON.")
@dry_run_option
@json_option
@instance_options
def add(
    instance: Instance, job: str, cron: str, timezone: str, user: str | None, payload: str, dry_run: bool, as_json: bool
) -> None:
    """Run JOB at the times CRON names: minute, hour, day of month, month, day of week ("30 7 * * 1-5")."""
    from crm_kernel.jobs.schedules import schedule_job

    with instance.writing(dry_run=dry_run) as uow:
        owner = _user_id(uow, user)
        made = schedule_job(uow, job, cron, payload=_object(payload), timezone=timezone, user_id=owner)
        row = described(made)
    _show(row, as_json)


@schedule.command("set")
@click.argument("schedule_id", metavar="ID", type=click.UUID)
@click.argument("cron")
@click.option("--timezone", help="site, user or a name such as Europe/Paris; as it is without this.")
@dry_run_option
@json_option
@instance_options
def set_times(
    instance: Instance, schedule_id: UUID, cron: str, timezone: str | None, dry_run: bool, as_json: bool
) -> None:
    """Let a schedule run at the times CRON names and no longer at those its module declares; names the next runs."""
    from crm_kernel.jobs import schedules as services

    with instance.writing(dry_run=dry_run) as uow:
        zone = timezone or services.schedule(uow, schedule_id).timezone
        runs = services.preview(uow, schedule_id, cron, zone)
        row = described(services.reschedule(uow, schedule_id, cron, zone))
    _show(row, as_json)
    message("Next runs: " + ", ".join(f"{run:%Y-%m-%d %H:%M%z}" for run in runs))


@schedule.command("restore")
@click.argument("schedule_id", metavar="ID", type=click.UUID)
@dry_run_option
@json_option
@instance_options
def restore(instance: Instance, schedule_id: UUID, dry_run: bool, as_json: bool) -> None:
    """Let a schedule run at the times its module declares again."""
    from crm_kernel.jobs.schedules import restore_schedule

    with instance.writing(dry_run=dry_run) as uow:
        row = described(restore_schedule(uow, schedule_id))
    _show(row, as_json)


@schedule.command("pause")
@click.argument("schedule_id", metavar="ID", type=click.UUID)
@dry_run_option
@json_option
@instance_options
def pause_one(instance: Instance, schedule_id: UUID, dry_run: bool, as_json: bool) -> None:
    """Let a schedule rest."""
    from crm_kernel.jobs.schedules import pause_schedule

    with instance.writing(dry_run=dry_run) as uow:
        row = described(pause_schedule(uow, schedule_id))
    _show(row, as_json)


@schedule.command("resume")
@click.argument("schedule_id", metavar="ID", type=click.UUID)
@dry_run_option
@json_option
@instance_options
def resume_one(instance: Instance, schedule_id: UUID, dry_run: bool, as_json: bool) -> None:
    """Let a paused schedule go on with its next time."""
    from crm_kernel.jobs.schedules import resume_schedule

    with instance.writing(dry_run=dry_run) as uow:
        row = described(resume_schedule(uow, schedule_id))
    _show(row, as_json)


@schedule.command("remove")
@click.argument("schedule_id", metavar="ID", type=click.UUID)
@dry_run_option
@json_option
@instance_options
def remove(instance: Instance, schedule_id: UUID, dry_run: bool, as_json: bool) -> None:
    """Remove a schedule that was added; one that a module declares can only be paused."""
    from crm_kernel.jobs import schedules as services

    with instance.writing(dry_run=dry_run) as uow:
        row = described(services.schedule(uow, schedule_id))
        services.unschedule(uow, schedule_id)
    _show(row, as_json)


@click.command("run")
@click.argument("job")
@click.option("--payload", default="{}", show_default=True, help="What it is given, as JSON.")
@click.option("--queue", help="Instead of its own queue.")
@click.option("--priority", type=click.IntRange(-100, 100), help="Instead of its own; lower numbers run first.")
@dry_run_option
@json_option
@instance_options
def run(
    instance: Instance,
    job: str,
    payload: str,
    queue: str | None,
    priority: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a job into its queue now; a worker does it (crm worker --once does what is due here)."""
    from crm_kernel.jobs.queries import job_uid
    from crm_kernel.jobs.services import enqueue

    with instance.writing(dry_run=dry_run) as uow:
        uid = job_uid(uow, enqueue(uow, job, _object(payload), queue=queue, priority=priority))
    if as_json:
        echo_json({"id": uid, "name": job})
    message(f"Job {uid} {'would be' if dry_run else 'is'} in its queue. Look at it with: crm jobs show {uid}")


def described(row: JobSchedule) -> dict[str, Any]:
    """Return a schedule as the command line shows it."""
    return {
        "id": row.uid,
        "job": row.job,
        "module": row.module,
        "cron": row.cron,
        "timezone": row.zone,
        "declared": row.name == row.job,
        "changed": row.own_time,
        "payload": row.payload,
        "next_at": row.next_at,
        "last_at": row.last_at,
        "paused": row.paused,
    }


def _show(row: dict[str, Any], as_json: bool) -> None:
    echo_records(as_json, _SCHEDULE_COLUMNS, [row])


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--payload") from error
    if not isinstance(found, dict):
        raise click.BadParameter('found no object, expected for example {"days": 30}', param_hint="--payload")
    return found


def _user_id(uow: Any, email: str | None) -> int | None:
    if email is None:
        return None
    from crm_kernel.access.services import user_by_email

    found: int = user_by_email(uow, email).id
    return found
