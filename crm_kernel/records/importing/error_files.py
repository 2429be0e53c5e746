"""Writes the rows that an import refused as a file of the same columns and one more, which says why.

Corrected, the file is imported again with the same mapping: the column of errors is left out, and what a spreadsheet
would run as a formula is protected here and given back there.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask import Flask, Response, current_app
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.blaming import text_of
from crm_kernel.records.importing.models import ImportRow
from crm_kernel.records.importing.results import NOT_TAKEN, RowError
from crm_kernel.records.importing.session import opened_source
from crm_kernel.records.importing.sources import ERROR_COLUMN, VERDICT_COLUMN, Row, Source
from crm_kernel.records.importing.spreadsheets import neutralised
from crm_kernel.records.importing.stored_mappings import mapping_from_json
from crm_kernel.records.projection import json_ready
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.importing.models import ImportRun
    from crm_kernel.unit_of_work import UnitOfWork

#: What an error file holds.
_TOLD = tuple(verdict.value for verdict in NOT_TAKEN)
#: Rows of the ledger read at a time.
_PAGE = 1_000
#: Lines made at a time.
_LINES = 100


#: A row and what the added columns hold of it.
Told = tuple[Row, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class RowFile:
    """Rows of one source, ready to be streamed."""

    name: str
    mimetype: str
    lines: Iterator[str]


def error_file(actor: Actor, uid: UUID, number: int | None = None) -> RowFile:
    """Return the refused rows of a run, of its source ``number`` from 0 (the first that has some if not given).

    CSV for CSV and spreadsheets, JSON lines for the rest. Called with no unit of work open; the lines open their own, so
    that a slow reader holds no transaction.

    Raises:
        NotFound: there is no such import, it refused no row, or its file is gone.
        Forbidden: it is somebody else's.
        InvalidInput: the file is not the one that was imported.
    """
    with reading(actor) as uow:
        run = runs.run_of(uow, uid)
        runs.authorize_file(actor, run)
        chosen = _first(uow, run) if number is None else number
        sources, key = opened_sources(run), run.id
    if chosen is None or not 0 <= chosen < len(sources):
        raise NotFound(_("This import has refused no row."))
    source, app = sources[chosen], current_app._get_current_object()  # type: ignore[attr-defined]
    told = ((number, texts_of(problems)) for number, _verdict, problems in not_taken(app, actor, key, chosen))
    return row_file(source, "errors", (ERROR_COLUMN,), _told(source, told))


def opened_sources(run: ImportRun) -> list[Source]:
    """Open the files of a run again.

    Raises:
        InvalidInput: they are gone, or not those that the run began with.
    """
    mapping = mapping_from_json(run.mapping)
    runs.refuse_changed_files(run, mapping)
    opened = [opened_source(spec, Path(run.folder)) for spec in mapping.sources]
    return [source for source in opened if source is not None]


def row_file(source: Source, word: str, added: tuple[str, ...], rows: Iterator[Told]) -> RowFile:
    """Return rows of a source as a file of their columns and some more: CSV for CSV and spreadsheets, else JSON lines."""
    stem = Path(source.name.removesuffix(".gz")).stem
    if source.kind in ("csv", "xlsx"):
        return RowFile(f"{stem}-{word}.csv", "text/csv", _in_context(_csv_lines(source, added, rows)))
    return RowFile(f"{stem}-{word}.jsonl", "application/jsonl", _in_context(_json_lines(added, rows)))


def _in_context(lines: Iterator[str]) -> Iterator[str]:
    """Return lines that are made in the application's context, as cards need; whoever reads them has left the request."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def made() -> Iterator[str]:
        while True:
            with app.app_context():
                some = list(itertools.islice(lines, _LINES))
            if not some:
                return
            yield from some

    return made()


def streamed(file: RowFile) -> Response:
    """Return the answer that sends a file of rows, to be kept by who asked alone."""
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
    return Response(file.lines, mimetype=file.mimetype, headers=headers)


def texts_of(problems: Sequence[Mapping[str, Any]] | None) -> str:
    """Return the problems of a row in words."""
    return " · ".join(map(problem_text, problems or ()))


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return one problem of a row in words: the column, what was found there, what was expected."""
    error = RowError("", 0, problem["column"], problem["found"], problem["expected"], sentence=problem["sentence"])
    return f"{error.column}: {error.text}" if error.column else error.text


def _first(uow: UnitOfWork, run: ImportRun) -> int | None:
    query = sa.select(sa.func.min(ImportRow.source)).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(_TOLD))
    return uow.session.scalar(query)


def not_taken(app: Flask, actor: Actor, run: int, source: int) -> Iterator[tuple[int, str, list[Any] | None]]:
    """Yield number, verdict and problems of the refused rows, in the order of the file."""
    after = 0
    while True:
        with app.app_context(), reading(actor) as uow:
            query = sa.select(ImportRow.number, ImportRow.verdict, ImportRow.problems).where(
                ImportRow.run_id == run,
                ImportRow.verdict.in_(_TOLD),
                ImportRow.source == source,
                ImportRow.number > after,
            )
            rows = uow.session.execute(query.order_by(ImportRow.number).limit(_PAGE)).all()
        if not rows:
            return
        for after, verdict, problems in rows:
            yield after, verdict, problems


def _told(source: Source, told: Iterator[tuple[int, str]]) -> Iterator[Told]:
    """Yield the file's rows that are told of, each with its problems; of a record with several rows all of them."""
    wanted, ahead = next(told, None), dict[int, str]()
    for row in source.rows():
        rows = (row, *row.more)  # not in the order of the file where a record comes in several places
        while wanted is not None and wanted[0] <= max(part.number for part in rows):
            ahead[wanted[0]] = wanted[1]
            wanted = next(told, None)
        if any(part.number in ahead for part in rows):
            yield from ((part, (ahead.pop(part.number, ""),)) for part in rows)
        if wanted is None and not ahead:
            return


def _csv_lines(source: Source, added: tuple[str, ...], rows: Iterator[Told]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    columns = [column for column in source.columns if column not in (ERROR_COLUMN, VERDICT_COLUMN)]
    writer.writerow([*columns, *added])
    yield "\ufeff" + buffer.getvalue()
    for row, texts in rows:
        buffer.seek(0)
        buffer.truncate()
        cells = [text_of(row.values.get(column)) for column in columns]
        writer.writerow([neutralised(cell) for cell in (*cells, *texts)])
        yield buffer.getvalue()


def _json_lines(added: tuple[str, ...], rows: Iterator[Told]) -> Iterator[str]:
    for row, texts in rows:
        kept = {name: value for name, value in row.values.items() if name not in (ERROR_COLUMN, VERDICT_COLUMN)}
        yield orjson.dumps({**kept, **dict(zip(added, texts, strict=True))}, default=json_ready).decode() + "\n"
