"""``crm import``: files into records, and what became of earlier imports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_done,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    yes_option,
)
from crm_cli.import_results import finish
from crm_cli.records import AS, acting, bars, import_

if TYPE_CHECKING:
    from crm_kernel.records.importing.models import ImportRun

_RUN = click.argument("run", type=click.UUID, metavar="RUN")
_COLUMNS = ("id", "started", "state", "name", "by", "created", "updated", "refused")


class _PathOrCommand(click.Group):
    """A group whose first word may also be the file to import: ``crm import accounts.csv --record customer``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if not args or args[0] in known else ["run", *args])


@click.group("import", cls=_PathOrCommand)
def imports() -> None:
    """Import files, and undo, resume and list imports.

    crm import FILE --record customer is short for crm import run FILE --record customer; a file that is named as one of
    the commands below is given as ./undo.
    """


imports.add_command(import_)


@imports.command("runs")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Imports at most.")
@json_option
@instance_options
def list_runs(instance: Instance, limit: int, as_json: bool) -> None:
    """List imports, the newest first."""
    from crm_kernel.records.importing.runs import recent_runs

    with instance.reading() as uow:
        rows = [_described(run) for run in recent_runs(uow, limit=limit)]
    echo_records(as_json, _COLUMNS, rows)


@imports.command("show")
@_RUN
@json_option
@instance_options
def show(instance: Instance, run: UUID, as_json: bool) -> None:
    """Show one import: its files, what became of their rows, what undoing it has left. RUN is the id that runs prints."""
    from crm_kernel.records.importing.error_files import problem_text
    from crm_kernel.records.importing.runs import run_of
    from crm_kernel.records.importing.undoing import kept_rows

    with instance.reading() as uow:
        found = run_of(uow, run)
        kept = [
            {"record_type": row.record_type, "id": row.record_uid, "why": problem_text((row.problems or [{}])[0])}
            for row in kept_rows(uow, found)
        ]
        details = {
            **_described(found),
            "failure": found.failure,
            "files": found.files,
            "checkpoint": found.checkpoint,
            "sources": found.counts,
            "undo": found.undo,
            "kept": kept,
            "expired_rows": found.expired_rows,
        }
    if as_json:
        echo_json(details)
        return
    for name, value in details.items():
        if name not in ("kept", "sources", "files"):
            click.echo(f"{name}\t{'' if value is None else value}")
    echo_records(
        False, ("file", "record_type", "total", "created", "updated", "unchanged", "refused"), details["sources"]
    )
    for row in kept:
        message(f"kept {row['record_type']} {row['id']}: {row['why']}")


@imports.command("errors")
@_RUN
@click.option(
    "--source", type=click.IntRange(0), help="Which source of the mapping, from 0 (default: the first with errors)."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Default: stdout."
)
@instance_options
def errors(instance: Instance, run: UUID, source: int | None, output: Path | None) -> None:
    """Write the refused rows with a column that says why; corrected, the file is imported again as it is."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing.error_files import error_file

    with instance.app().app_context():
        found = error_file(SYSTEM, run, source)
        if output is None:
            sys.stdout.writelines(found.lines)
            return
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(found.lines)
    message(f"The refused rows are in {output}.")


@imports.command("resume")
@_RUN
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def resume(instance: Instance, run: UUID, email: str | None, dry_run: bool, assume_yes: bool, as_json: bool) -> None:
    """Go on with an import that was killed or stopped, after the last row that is in."""
    from crm_kernel.records.importing.continuing import resume as go_on
    from crm_kernel.records.importing.runs import refuse_ended, run_of
    from crm_kernel.unit_of_work import reading

    with instance.app().app_context():
        actor = acting(email)
        with reading(actor, channel="cli") as uow:
            found = run_of(uow, run)
            refuse_ended(found)
            place = f"{found.name}: source {found.checkpoint['source'] + 1}, {found.checkpoint['rows']} rows done"
        if dry_run:
            message(f"{place}. Dry run: nothing was changed.")
            return
        confirm(f"Go on with {place}?", assume_yes=assume_yes)
        with bars() as progress:
            result = go_on(run, actor=actor, progress=progress)
    finish(result, as_json=as_json)


@imports.command("undo")
@_RUN
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def undo(instance: Instance, run: UUID, email: str | None, dry_run: bool, assume_yes: bool, as_json: bool) -> None:
    """Take an import back: changed records get their former values, created ones are deleted.

    What somebody changed since stays as it is, and so does a record that others point at: crm import show lists them.
    """
    from crm_kernel.records.importing.runs import run_of
    from crm_kernel.records.importing.undoing import begin_undo, undo_chunk
    from crm_kernel.records.importing.undoing import undo as take_back
    from crm_kernel.unit_of_work import reading, writing

    with instance.app().app_context():
        actor = acting(email)
        if dry_run:
            with instance.writing(dry_run=True) as uow:
                uow.actor, uow.request_id = actor, f"{run.hex}-undo"
                begin_undo(uow, run)
                while undo_chunk(uow, run):
                    pass
                numbers = dict(run_of(uow, run).undo or {})
        else:
            confirm(f"Take the import {run} back?", assume_yes=assume_yes)
            with writing(actor, channel="cli") as uow:
                begin_undo(uow, run)
            take_back(actor, run)
            with reading(actor, channel="cli") as uow:
                numbers = dict(run_of(uow, run).undo or {})
    if as_json:
        echo_json({"id": run, **numbers})
        return
    would = "would be " if dry_run else ""
    message(f"{numbers['restored']} records {would}restored, {numbers['deleted']} deleted, {numbers['kept']} kept.")
    if numbers["kept"] and not dry_run:
        message(f"Why some were kept: crm import show {run}")


@imports.command("discard")
@_RUN
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def discard(instance: Instance, run: UUID, email: str | None, dry_run: bool, assume_yes: bool, as_json: bool) -> None:
    """Delete a draft with its uploaded file: a file that nobody is going to import need not wait until it expires."""
    from crm_kernel.records.importing import preparing

    with instance.app().app_context():
        actor = acting(email)
    if not dry_run:
        confirm(f"Delete the draft {run} and its file?", assume_yes=assume_yes)
    with instance.writing(dry_run=dry_run, actor=actor) as uow:
        preparing.discard(uow, run)
    echo_done({"id": run}, f"The draft {run} is deleted.", as_json=as_json, dry_run=dry_run)


@imports.command("mappings")
@click.option("--record", "record", metavar="TYPE", help="Only those of these records: customer, sfa.opportunity, …")
@json_option
@instance_options
def list_mappings(instance: Instance, record: str | None, as_json: bool) -> None:
    """List the mappings that users keep on the pages and by the API, by name."""
    from crm_kernel.records.importing import preparing

    with instance.reading() as uow:
        kept = preparing.saved_mappings(uow, record)
        names = preparing.keepers(uow, kept)
        rows = [
            {"id": m.uid, "name": m.name, "record": m.record_type, "by": names[m.user_id], "shared": m.shared}
            for m in kept
        ]
    echo_records(as_json, ("id", "name", "record", "by", "shared"), rows)


@imports.command("delete-mapping")
@click.argument("mapping", type=click.UUID, metavar="MAPPING")
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def delete_mapping(
    instance: Instance, mapping: UUID, email: str | None, dry_run: bool, assume_yes: bool, as_json: bool
) -> None:
    """Delete a mapping that is kept. MAPPING is the id that crm import mappings prints."""
    from crm_kernel.records.importing import preparing

    with instance.app().app_context():
        actor = acting(email)
    if not dry_run:
        confirm(f"Delete the mapping {mapping}?", assume_yes=assume_yes)
    with instance.writing(dry_run=dry_run, actor=actor) as uow:
        preparing.delete_mapping(uow, mapping)
    echo_done({"id": mapping}, f"The mapping {mapping} is deleted.", as_json=as_json, dry_run=dry_run)


def _described(run: ImportRun) -> dict[str, Any]:
    totals = {name: sum(counts.get(name, 0) for counts in run.counts) for name in ("created", "updated", "refused")}
    return {
        "id": run.uid,
        "started": run.started_at,
        "ended": run.finished_at,
        "state": run.state,
        "name": run.name,
        "by": run.actor,
        **totals,
    }
