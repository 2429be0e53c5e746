"""``crm modules``: what there is, what enabling would change, and the verbs of a module's life."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    ExitCode,
    Instance,
    confirm,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    warn,
    yes_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crm_kernel._internal.lifecycle import Change, Run

_NAMES = click.argument("names", nargs=-1, required=True, metavar="MODULE…")
_NAME = click.argument("name", metavar="MODULE")


@click.group("modules")
def modules() -> None:
    """List, enable, disable, upgrade and remove modules; works while modules are broken or gone."""


@modules.command("list")
@json_option
@instance_options
def list_modules(instance: Instance, as_json: bool) -> None:
    """List the modules: installed, loaded, failed, disabled, uninstalled or orphaned, and why."""
    from crm_kernel._internal.lifecycle import module_states, stored_failure

    config = instance.config()
    states = module_states(config)
    echo_records(as_json, ("name", "state", "version", "summary", "reason"), [asdict(state) for state in states])
    failure = stored_failure(config)
    if failure is not None:
        warn(
            f"the newest set of modules could not be served: {failure['reason']}. The workers of the set before go on."
        )


@modules.command("info")
@_NAME
@json_option
@instance_options
def info(instance: Instance, name: str, as_json: bool) -> None:
    """Show what a module is, needs and brings."""
    from crm_kernel._internal.lifecycle import explain

    _show(as_json, asdict(explain(instance.config(), name)))


@modules.command("explain")
@_NAME
@json_option
@instance_options
def explain_module(instance: Instance, name: str, as_json: bool) -> None:
    """Say why a module is loaded, failed, disabled or gone, and what to do about it."""
    from crm_kernel._internal.lifecycle import explain

    found = explain(instance.config(), name)
    if as_json:
        echo_json(asdict(found))
        return
    click.echo(f"{name} is {found.module.state}." + (f" {found.module.reason}" if found.module.reason else ""))
    for other, state in found.dependencies.items():
        click.echo(f"It needs {other}, which is {state}.")
    if found.dependants:
        click.echo(f"Needed by: {', '.join(found.dependants)}.")
    if found.tables:
        click.echo(f"Its tables: {', '.join(found.tables)}.")
    if found.last_failure:
        click.echo(f"The server could not take it up: {found.last_failure}")


@modules.command("plan")
@_NAME
@json_option
@instance_options
def plan(instance: Instance, name: str, as_json: bool) -> None:
    """Show what enabling or upgrading a module would change; changes nothing."""
    from crm_kernel._internal.lifecycle import plan_module

    found = plan_module(instance.config(), name)
    shown = asdict(found)
    if not (as_json or found.sql_problem):
        del shown["sql_problem"]
    _show(as_json, shown)
    if found.conflicts:
        raise click.exceptions.Exit(ExitCode.FINDINGS)


@modules.command("enable")
@_NAMES
@dry_run_option
@json_option
@instance_options
def enable(instance: Instance, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Check, migrate and switch modules on; a running server takes them up by itself."""
    from crm_kernel._internal import lifecycle

    _report(lifecycle.enable(instance.config(), names, run=_run(dry_run)), as_json, dry_run)


@modules.command("upgrade")
@click.argument("names", nargs=-1, metavar="[MODULE…]")
@dry_run_option
@json_option
@instance_options
def upgrade(instance: Instance, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Bring enabled modules (all if none is named) to the version that is installed now."""
    from crm_kernel._internal import lifecycle

    _report(lifecycle.upgrade_modules(instance.config(), names, run=_run(dry_run)), as_json, dry_run)


@modules.command("disable")
@_NAMES
@click.option("--cascade", is_flag=True, help="Disable the modules that need it, too.")
@dry_run_option
@json_option
@instance_options
def disable(instance: Instance, names: tuple[str, ...], cascade: bool, dry_run: bool, as_json: bool) -> None:
    """Switch modules off; their rows stay, their deliveries wait."""
    from crm_kernel._internal import lifecycle

    config = instance.config()
    others = lifecycle.dependants(config, names) if cascade else ()
    _report(lifecycle.disable(config, names, cascade=others, run=_run(dry_run)), as_json, dry_run)


@modules.command("uninstall")
@_NAME
@dry_run_option
@json_option
@instance_options
def uninstall(instance: Instance, name: str, dry_run: bool, as_json: bool) -> None:
    """Mark a disabled module as uninstalled; its tables and rows stay until they are purged."""
    from crm_kernel._internal import lifecycle

    change = lifecycle.uninstall(instance.config(), name, run=_run(dry_run))
    _report([change], as_json, dry_run)
    message(f"Its rows are kept. Remove its code: pip uninstall crm-{name} · delete its rows: crm modules purge {name}")


@modules.command("purge")
@_NAME
@click.option("--export-to", type=click.Path(path_type=Path), help="New folder for the export (default: here).")
@yes_option
@dry_run_option
@json_option
@instance_options
def purge(
    instance: Instance, name: str, export_to: Path | None, assume_yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Export a module's tables to a folder, then delete them; works when its code is gone."""
    from crm_kernel._internal import lifecycle

    config = instance.config()
    folder = export_to or Path(f"{name}-export")
    rehearsed = lifecycle.purge(config, name, folder, run=lifecycle.Run.REHEARSE)
    if not dry_run and not assume_yes:
        _ask_for_name(rehearsed)
    found = rehearsed if dry_run else lifecycle.purge(config, name, folder)
    if as_json:
        echo_json(asdict(found))
    else:
        rows = [{"table": table, "rows": count, "what": "exported, dropped"} for table, count in found.tables.items()]
        rows += [
            {"table": table, "rows": count, "what": "deleted"} for table, count in found.kernel_rows.items() if count
        ]
        echo_records(False, ("table", "rows", "what"), rows)
    message(
        "Dry run: nothing was changed."
        if dry_run
        else f"Exported to {folder}; bring it back with: crm modules restore {folder}"
    )


@modules.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@dry_run_option
@json_option
@instance_options
def restore(instance: Instance, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Bring the export of a purged module back into its empty tables (enable the module first)."""
    from crm_kernel._internal import lifecycle

    written = lifecycle.restore(instance.config(), folder, run=_run(dry_run))
    echo_records(as_json, ("table", "rows"), [{"table": table, "rows": count} for table, count in written.items()])
    if dry_run:
        message("Dry run: nothing was changed.")
        return
    from crm_cli.db import reindexed

    # A purge takes the module's words out of the search index; its rows alone do not bring them back.
    reindexed(instance, prefix=f"{_module_of(folder)}.")


def _module_of(folder: Path) -> str:
    from crm_kernel._internal.lifecycle.archive import read_archive

    return read_archive(folder).module


def _run(dry_run: bool) -> Run:
    from crm_kernel._internal.lifecycle import Run

    return Run.REHEARSE if dry_run else Run.COMMIT


def _ask_for_name(found: Any) -> None:
    rows = sum(found.tables.values())
    message(f"This deletes {len(found.tables)} tables with {rows} rows of {found.module}, after exporting them.")
    if not sys.stdin.isatty():
        confirm("", assume_yes=False)  # says that nobody can answer
    if click.prompt(f"Type {found.module} to go on", err=True) != found.module:
        message("Nothing was changed.")
        raise click.exceptions.Exit(ExitCode.FAILURE)


def _report(changes: Sequence[Change], as_json: bool, dry_run: bool) -> None:
    if as_json:
        echo_json([asdict(change) for change in changes])
    else:
        for change in changes:
            click.echo(_line(change))
        for statement in dict.fromkeys(line for change in changes for line in change.sql):
            click.echo(statement)
    if dry_run:
        message("Dry run: nothing was changed.")


def _line(change: Change) -> str:
    if not change.changed:
        return f"{change.module}: is {change.after} already"
    steps = f", revisions {', '.join(change.revisions)}" if change.revisions else ""
    return f"{change.module}: {change.before} → {change.after}{steps}"


def _show(as_json: bool, found: dict[str, Any]) -> None:
    if as_json:
        echo_json(found)
        return
    for key, value in found.items():
        title = key.replace("_", " ")
        if isinstance(value, dict):
            click.echo(f"{title}:" if value else f"{title}: none")
            for name, item in value.items():
                click.echo(f"  {name}: {', '.join(item) if isinstance(item, list | tuple) else item}")
        elif isinstance(value, list | tuple):
            click.echo(f"{title}:" if value else f"{title}: none")
            for item in value:
                click.echo("  " + str(item).replace("\n", "\n  "))
        else:
            click.echo(f"{title}: {value}")
