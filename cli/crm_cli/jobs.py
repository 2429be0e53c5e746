"""``crm jobs``: what waits, runs and failed in the background, and what an admin does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from crm_cli.job_queues import queue, queues, run, schedule, schedules

if TYPE_CHECKING:
    from uuid import UUID

    from crm_kernel.jobs.models import JobRow

_STATES = ("ready", "leased", "done", "dead", "cancelled")
_JOB_IDS = click.argument("job_ids", metavar="JOB…", nargs=-1, type=click.UUID)
_MODULE = click.option("--module", help="Only those of this module.")
_NAME = click.option("--name", help="Only those of this job or subscriber.")
_LIMIT = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
_COLUMNS = ("id", "module", "name", "queue", "state", "run_at", "attempts", "failures", "error")


@click.group("jobs")
def jobs() -> None:
    """List background jobs and deliveries of events, retry or cancel them; queues and schedules."""


for _command in (queue, queues, run, schedule, schedules):
    jobs.add_command(_command)


@jobs.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; repeat for several.")
@_MODULE
@_NAME
@click.option("--queue", "queue_name", help="Only those of this queue.")
@click.option("--kind", type=click.Choice(("job", "delivery")), help="Deliveries of events, or the other jobs.")
@click.option("--before", type=click.UUID, metavar="JOB", help="Only older ones: the last id of the page before.")
@_LIMIT
@json_option
@instance_options
def list_jobs(
    instance: Instance,
    states: tuple[str, ...],
    module: str | None,
    name: str | None,
    queue_name: str | None,
    kind: str | None,
    before: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    from crm_kernel.jobs import queries
    from crm_kernel.jobs.models import JobState

    chosen = [JobState[state.upper()] for state in states] or None
    deliveries = {"job": False, "delivery": True}.get(kind or "")
    wanted = queries.JobFilter(
        states=chosen, module=module, name=name, queue=queue_name, deliveries=deliveries, before=before
    )
    with instance.reading() as uow:
        rows = [told(job) for job in queries.jobs(uow, wanted, limit=limit)]
    show(rows, as_json)


@jobs.command("show")
@click.argument("job_id", metavar="JOB", type=click.UUID)
@json_option
@instance_options
def show_one(instance: Instance, job_id: UUID, as_json: bool) -> None:
    """Show one job with its payload, its progress and its whole error."""
    from crm_kernel.jobs import queries

    with instance.reading() as uow:
        row = told(queries.job(uow, job_id))
    if as_json:
        echo_json(row)
    else:
        echo_table(("field", "value"), row.items())


@jobs.command("dead")
@_MODULE
@_NAME
@_LIMIT
@json_option
@instance_options
def dead(instance: Instance, module: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """List the jobs that gave up, newest first, with the reason."""
    from crm_kernel.jobs import queries

    with instance.reading() as uow:
        rows = [told(job) for job in queries.dead_jobs(uow, module=module, name=name, limit=limit)]
    show(rows, as_json)


@jobs.command("backlog")
@json_option
@instance_options
def backlog(instance: Instance, as_json: bool) -> None:
    """Count what waits and what is dead per module; a disabled module's jobs wait until it is enabled."""
    from dataclasses import asdict

    from crm_kernel.jobs import queries

    with instance.reading() as uow:
        rows = [asdict(found) for found in queries.backlogs(uow)]
    echo_records(as_json, ("module", "waiting", "dead", "oldest_due"), rows)


@jobs.command("retry")
@_JOB_IDS
@click.option("--all", "every", is_flag=True, help="All dead ones (of --module, of --name).")
@_MODULE
@_NAME
@dry_run_option
@json_option
@instance_options
def retry(
    instance: Instance,
    job_ids: tuple[UUID, ...],
    every: bool,
    module: str | None,
    name: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make dead, cancelled or waiting jobs due now, with all their attempts before them."""
    from crm_kernel.jobs import deciding, queries

    if bool(job_ids) == every:
        raise click.UsageError("name the jobs, or say --all for all dead ones")
    if not every and (module or name):
        raise click.UsageError("--module and --name go with --all")
    with instance.writing(dry_run=dry_run) as uow:
        if every:
            found = queries.dead_jobs(uow, module=module, name=name, limit=10_000)
            rows = [told(job) for job in deciding.retry_all(uow, [job.uid for job in found])]
        else:
            rows = [told(deciding.retry(uow, job_id)) for job_id in job_ids]
    show(rows, as_json)
    message(f"{len(rows)} jobs {'would be' if dry_run else 'are'} due now.")


@jobs.command("cancel")
@_JOB_IDS
@dry_run_option
@json_option
@instance_options
def cancel(instance: Instance, job_ids: tuple[UUID, ...], dry_run: bool, as_json: bool) -> None:
    """Decide that jobs are not to be done; crm jobs retry takes it back."""
    from crm_kernel.jobs import deciding

    if not job_ids:
        raise click.UsageError("name the jobs to cancel; crm jobs list shows them")
    with instance.writing(dry_run=dry_run) as uow:
        rows = [told(deciding.cancel(uow, job_id)) for job_id in job_ids]
    show(rows, as_json)
    message(f"{len(rows)} jobs {'would be' if dry_run else 'are'} cancelled.")


def told(job: JobRow) -> dict[str, Any]:
    """Return a job as the command line shows it: everything, secrets masked, under ``error`` the whole of it."""
    from crm_kernel.jobs.describing import described, details

    whole = described(job) | details(job)
    return whole | {"error": whole.pop("trace")}


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print jobs as JSON, or as a table with the first line of each error."""
    first_lines = [{**row, "error": (row["error"] or "").partition("\n")[0]} for row in rows]
    echo_records(as_json, _COLUMNS, rows if as_json else first_lines)
