"""``crm import`` and ``crm export``: files into records and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    instance_options,
    json_option,
    message,
    yes_option,
)
from crm_cli.import_results import error_rows, finish, verdict_rows

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.importing import ImportResult, Mapping, Mode, RowError, Verdict

AS = click.option(
    "--as", "email", metavar="EMAIL", help="Act as this user, within his permissions (default: the system)."
)


@click.command("run")
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="FOLDER|FILE")
@click.option("--mapping", "mapping_name", metavar="NAME|FILE", help="Mapping file, or the name of a module's mapping.")
@click.option(
    "--record", "record_type", metavar="TYPE", help="Without a mapping: columns are named as fields of this type."
)
@click.option("--suggest", is_flag=True, help="Print a mapping for the file, to be kept and corrected; import nothing.")
@click.option(
    "--duplicates",
    type=click.Choice(["new", "review", "skip", "update"]),
    help="What is done with customers who may be there already, though no key says so (default: as the mapping says, else new).",
)
@click.option("--atomic", is_flag=True, help="All rows or none (default: every 1,000 rows are committed).")
@click.option(
    "--errors",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write refused rows, and values left out of others, to a CSV file.",
)
@click.option(
    "--verdicts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --dry-run: write what would become of each row to a CSV file.",
)
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def import_(
    instance: Instance,
    path: Path,
    mapping_name: str | None,
    record_type: str | None,
    suggest: bool,
    duplicates: str | None,
    atomic: bool,
    errors: Path | None,
    verdicts: Path | None,
    email: str | None,
    dry_run: bool,
    assume_yes: bool,
    as_json: bool,
) -> None:
    """Import a file, or the files of a folder, through a mapping.

    A second import of the same files changes nothing. The run is kept: crm import undo takes it back, crm import resume
    goes on with one that was killed. Exit code 7 says that some rows were refused; the others are in.
    """
    from crm_kernel.records.importing import Mode

    if suggest:
        click.echo(_suggested(instance, path, record_type), nl=False)
        return
    if verdicts and not dry_run:
        raise click.UsageError("--verdicts tells what would become of each row: it goes with --dry-run.")
    mode = Mode.DRY_RUN if dry_run else Mode.ATOMIC if atomic else Mode.CHUNKS
    with instance.app().app_context():
        mapping = _with_duplicates(_mapping(path, mapping_name, record_type), duplicates)
        actor = acting(email)
        if not dry_run:
            confirm(f"Import {path} into {instance.config().database_url}?", assume_yes=assume_yes)
        with error_rows(errors) as report, verdict_rows(verdicts) as tell:
            result = _run(mapping, path, actor, mode, report, tell)
    finish(result, as_json=as_json, dry_run=dry_run, errors=errors)


def _with_duplicates(mapping: Mapping, rule: str | None) -> Mapping:
    """Return a mapping with another rule for duplicates, of the sources whose records may have some."""
    from dataclasses import replace

    from crm_kernel.records.plan import record_types

    if rule is None:
        return mapping
    asked = {name for name, kind in record_types().items() if kind.likely is not None}
    sources = (replace(spec, duplicates=rule) if spec.record_type in asked else spec for spec in mapping.sources)
    return replace(mapping, sources=tuple(sources))


@click.command("export")
@click.argument("record_type", metavar="RECORD_TYPE")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="As in a list's address: status=open, amount__gte=100.",
)
@click.option("--where", metavar="JSON", help="A filter tree of what this lists: crm records fields TYPE")
@click.option("--fields", metavar="A,B", help="Fields to export (default: all).")
@click.option("--sort", metavar="FIELD,…", help="Order; -field for descending, several fields by commas.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "xlsx"]),
    help="Default: by the name of the output, else csv.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Default: stdout."
)
@AS
@instance_options
def export(
    instance: Instance,
    record_type: str,
    filters: tuple[str, ...],
    where: str | None,
    fields: str | None,
    sort: str | None,
    form: str | None,
    output: Path | None,
    email: str | None,
) -> None:
    """Export records as CSV, JSON lines or an Excel workbook; what is written can be imported again.

    RECORD_TYPE is a name such as customer or sfa.opportunity.
    """
    from crm_kernel.records import plan
    from crm_kernel.records.exporting import begin_export

    arguments = [pair(text) for text in filters]
    arguments += [(name, value) for name, value in (("filter", where), ("fields", fields), ("sort", sort)) if value]
    suffixes = {".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx"}
    chosen = form or (suffixes.get(output.suffix, "csv") if output else "csv")
    if chosen == "xlsx" and output is None:
        raise click.UsageError("a workbook needs a file: -o FILE.xlsx")
    with instance.app().app_context():
        found = begin_export(acting(email), plan.record_type(record_type), arguments, channel="cli")
        if chosen == "xlsx" and output is not None:
            with _whole_file(output, "wb") as file:
                found.xlsx(file)
        else:
            _write(found.csv() if chosen == "csv" else found.jsonl(), output)
    message(f"{found.records} records of {record_type} exported{f' to {output}' if output else ''}.")


def _mapping(path: Path, name: str | None, record_type: str | None) -> Mapping:
    from crm_kernel.records import plan
    from crm_kernel.records.importing import load_mapping
    from crm_kernel.records.importing.mapping import plain_mapping

    if name and record_type:
        raise click.UsageError("give --mapping or --record, not both")
    if name:
        return load_mapping(name)
    if not record_type:
        raise click.UsageError(
            "say what the file means: --mapping NAME|FILE, or --record TYPE (--suggest prints a mapping)"
        )
    if path.is_dir():
        raise click.UsageError("--record is for one file; a folder needs --mapping")
    return plain_mapping(path, plan.record_type(record_type).name)


def _suggested(instance: Instance, path: Path, record_type: str | None) -> str:
    from crm_kernel.records.importing.suggesting import suggested_mapping

    if path.is_dir():
        raise click.UsageError("--suggest looks at one file, not at a folder")
    with instance.app().app_context():
        return suggested_mapping(path, record_type)


def acting(email: str | None) -> Actor:
    """Return the user of this address as the one who acts, or the system without an address; opens its own reading."""
    from crm_kernel.access.acting import actor_of
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.access.services import user_by_email
    from crm_kernel.unit_of_work import reading

    if email is None:
        return SYSTEM
    with reading(SYSTEM, channel="cli") as uow:
        actor = actor_of(uow, user_by_email(uow, email).id)
    if actor is None:
        raise click.UsageError(f"--as {email}: this user is deactivated")
    return actor


def _run(
    mapping: Mapping,
    path: Path,
    actor: Actor,
    mode: Mode,
    report: Callable[[RowError], None] | None,
    tell: Callable[[str, int, Verdict, Sequence[RowError]], None] | None,
) -> ImportResult:
    from crm_kernel.records.importing import import_file, import_folder

    run: Any = import_folder if path.is_dir() else import_file
    with bars() as progress:
        result: ImportResult = run(mapping, path, actor=actor, mode=mode, progress=progress, report=report, tell=tell)
    return result


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield what draws one bar per file on stderr if that is a terminal, else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), transient=True) as bars:

        def advance(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)

        yield advance


def pair(text: str) -> tuple[str, str]:
    """Return a field and its value of an option ``FIELD=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r}: expected FIELD=VALUE")
    return name, value


def _write(texts: Iterator[str], output: Path | None) -> None:
    if output is None:
        for text in texts:
            click.echo(text, nl=False)
        return
    with _whole_file(output, "w") as file:
        file.writelines(texts)


@contextmanager
def _whole_file(output: Path, mode: str) -> Iterator[Any]:
    """Open a file under another name until it is whole: an export that fails leaves no half file."""
    part = output.with_name(f"{output.name}.part")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with part.open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
