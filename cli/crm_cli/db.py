"""``crm db``: bring the database to the installed versions, see where it stands, find drift, write revisions."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from crm_cli.common import (
    ExitCode,
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    progress,
)

if TYPE_CHECKING:
    from crm_kernel.config import Config


@click.group("db")
def db() -> None:
    """Upgrade and check the database; works while modules are broken or gone."""


@db.command("upgrade")
@click.argument("names", nargs=-1, metavar="[MODULE…]")
@dry_run_option
@json_option
@instance_options
def upgrade(instance: Instance, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Apply pending revisions: the kernel's, then those of the enabled modules (or the named ones).

    A database that has nothing in it yet also gets the roles that every instance starts with.
    """
    from crm_kernel._internal import migrations
    from crm_kernel._internal.lifecycle import upgrade_database

    config, chosen, created = instance.config(), names or None, False
    if dry_run:
        applied, sql = migrations.rehearsal(config, chosen)
    else:
        sql = []
        with progress("Upgrading") as advance:
            applied = upgrade_database(config, chosen, report=lambda step: advance(1))
        created = any(step.branch == "kernel" for step in applied) and _first_roles(config)
    if as_json:
        echo_json({"applied": [asdict(step) for step in applied], "sql": sql})
    else:
        for step in applied:
            click.echo(f"{step.branch}: {step.revision} {step.message}")
        for statement in sql:
            click.echo(statement)
    message("Dry run: nothing was changed." if dry_run else f"{len(applied)} revisions applied.")
    if created:
        message(
            "The database is new. Next, its first administrator: crm users create EMAIL --role administrator; "
            f"its modules: crm modules enable {' '.join(config.modules) or 'MODULE'}"
        )


def _first_roles(config: Config) -> bool:
    """Create the roles every instance starts with where there is none at all; say whether that was so."""
    import sqlalchemy as sa

    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.access.models import Role
    from crm_kernel.access.services import ensure_builtin_roles
    from crm_kernel.app import create_app
    from crm_kernel.unit_of_work import writing

    with create_app(config, modules=()).app_context(), writing(SYSTEM, channel="cli") as uow:
        return uow.session.scalar(sa.select(Role.id).limit(1)) is None and bool(ensure_builtin_roles(uow))


@db.command("reindex")
@click.argument("names", nargs=-1, metavar="[TYPE…]")
@dry_run_option
@instance_options
def reindex(instance: Instance, names: tuple[str, ...], dry_run: bool) -> None:
    """Write the search index anew: of all record types that have one, or of the named ones (sfa.opportunity)."""
    for name, count in reindexed(instance, names, dry_run=dry_run).items():
        click.echo(f"{name}: {count}")
    if dry_run:
        message("Dry run: nothing was changed.")


def reindexed(
    instance: Instance, names: tuple[str, ...] = (), *, prefix: str = "", dry_run: bool = False
) -> dict[str, int]:
    """Write the search index of the named record types, or of those whose name starts so; return type → records."""
    import sqlalchemy as sa

    from crm_kernel.records.plan import record_type, record_types
    from crm_kernel.records.search import reindex as write

    app = instance.app()
    with app.app_context():
        known = [found.name for found in record_types().values() if found.search and found.name.startswith(prefix)]
        wanted = [record_type(name) for name in names or known]
    counts: dict[str, int] = {}
    for found in wanted:
        counts[found.name], after = 0, 0
        with instance.reading() as uow:
            counts[found.name] = uow.session.execute(sa.select(sa.func.count()).select_from(found.model)).scalar_one()
        while not dry_run and after is not None:
            with instance.writing() as uow:
                after = write(uow, found, after=after)
    return counts


@db.command("status")
@json_option
@instance_options
def status(instance: Instance, as_json: bool) -> None:
    """Show at which revision the kernel and every module stand."""
    from crm_kernel._internal import migrations

    rows = [asdict(branch) for branch in migrations.status(instance.config())]
    shown = rows if as_json else [{**row, "pending": len(row["pending"])} for row in rows]
    echo_records(as_json, ("branch", "state", "current", "head", "pending", "hint"), shown)


@db.command("check")
@click.argument("names", nargs=-1, metavar="[MODULE…]")
@json_option
@instance_options
def check(instance: Instance, names: tuple[str, ...], as_json: bool) -> None:
    """Compare tables with models: the kernel's and the enabled modules' (or the named ones'). Exit 6 on any difference."""
    from crm_kernel._internal import migrations

    findings = migrations.check_all(instance.config(), names or None)
    rows = [{"branch": branch, "finding": text} for branch, found in findings.items() for text in found]
    echo_records(as_json, ("branch", "finding"), rows)
    if rows:
        raise click.exceptions.Exit(ExitCode.FINDINGS)
    message(f"No differences: {', '.join(findings)}.")


@db.command("revision")
@click.argument("name", metavar="kernel|MODULE")
@click.option("--message", "-m", "text", required=True, help="What the revision does: “Add the stage's colour”.")
@dry_run_option
def revision(name: str, text: str, dry_run: bool) -> None:
    """Write the next revision of a module from its models (for developers); needs no instance."""
    from crm_kernel._internal import migrations

    now = dt.datetime.now(dt.UTC)
    if not dry_run:
        click.echo(str(migrations.revision(name, text, now=now)))
        return
    click.echo(migrations.revision_text(name, text, now=now))
    message("Dry run: nothing was written.")
