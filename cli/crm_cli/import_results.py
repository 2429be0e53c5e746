"""Says what an import did: numbers, reasons, the file of refused rows, the exit code."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crm_cli.common import ExitCode, echo_json, echo_table, message

if TYPE_CHECKING:
    from crm_kernel.records.importing import ImportResult, RowError, Verdict

_COUNTS = ("created", "updated", "unchanged", "skipped", "review", "refused")


@contextmanager
def error_rows(path: Path | None) -> Iterator[Callable[[RowError], None] | None]:
    """Yield what writes refused rows and values left out to the file."""
    if path is None:
        yield None
        return
    from crm_kernel.records.exporting import csv_text

    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "row", "column", "found", "expected", "verdict"])

        def write(error: RowError) -> None:
            values = (error.file, error.row, error.column, error.found, error.expected, error.verdict)
            writer.writerow([csv_text(value) for value in values])

        yield write


@contextmanager
def verdict_rows(path: Path | None) -> Iterator[Callable[[str, int, Verdict, Sequence[RowError]], None] | None]:
    """Yield what writes every row with its verdict, and what is wrong with it or was left out of it, to the file."""
    if path is None:
        yield None
        return
    from crm_kernel.records.exporting import csv_text

    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "row", "verdict", "problems"])

        def write(name: str, row: int, verdict: Verdict, wrong: Sequence[RowError]) -> None:
            problems = " · ".join(_problem(error, row) for error in wrong)
            writer.writerow([csv_text(value) for value in (name, row, verdict.value, problems)])

        yield write


def _problem(error: RowError, row: int) -> str:
    """Return a problem in words, with its line where that is not the first one of its record."""
    place = ", ".join(part for part in (f"row {error.row}" if error.row != row else "", error.column) if part)
    return f"{place}: {error.text}" if place else error.text


def finish(result: ImportResult, *, as_json: bool, dry_run: bool = False, errors: Path | None = None) -> None:
    """Print what became of the rows, and end with the exit code that says whether all are in."""
    _show(result, as_json)
    _say_end(result, dry_run, errors)


def _show(result: ImportResult, as_json: bool) -> None:
    found = result.to_json()
    if as_json:
        echo_json(found)
        return
    rows = [[source["file"], source["record_type"], *(source[name] for name in _COUNTS)] for source in found["sources"]]
    echo_table(["file", "record type", *_COUNTS], rows)
    for source in result.sources:
        for what, how in source.detected.items():
            message(f"{source.file}: {what} {how}")
        for error in source.errors:
            message(f"{error.where}: {error.text}")
        for left in source.warnings:
            message(f"{left.file}, row {left.row}, {left.column}: left out {left.found!r}: {left.expected}")


def _say_end(result: ImportResult, dry_run: bool, errors: Path | None) -> None:
    if dry_run:
        message("Dry run: nothing was changed.")
    if result.failure:
        message(f"Stopped: {result.failure}")
        if result.mode == "chunks":
            message(f"What was done stays. Go on with: crm import resume {result.run_id}")
        raise click.exceptions.Exit(ExitCode.FAILURE)
    for source in result.sources:
        if not source.rows:
            message(f"{source.file} has no rows: there is nothing to import from it.")
    hint = f"all of them are in {errors}" if errors else "--errors FILE lists them all"
    if result.left_out:
        message(
            f"{result.left_out} values were left out of rows that were taken: correct them and import again; {hint}."
        )
    if result.refused:
        message(f"{result.refused} rows were refused; {hint}.")
    if result.held_back:
        message(f"{result.held_back} rows were held back, they may be records that are there already; {hint}.")
    if result.refused or result.held_back:
        raise click.exceptions.Exit(ExitCode.PARTIAL)
    if not dry_run and result.mode == "chunks":
        message(f"Take it back with: crm import undo {result.run_id}")
