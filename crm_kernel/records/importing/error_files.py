"""Writes the rows that an import refused as a file of the same columns and one more, which says why.

Corrected, the file is imported again with the same mapping: the column of errors is left out, and what a spreadsheet
would run as a formula is protected here and given back there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask import Flask, current_app
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.blaming import text_of
from crm_kernel.records.importing.models import ImportRow
from crm_kernel.records.importing.results import RowError, Verdict
from crm_kernel.records.importing.session import opened_source
from crm_kernel.records.importing.sources import ERROR_COLUMN, Row, Source
from crm_kernel.records.importing.spreadsheets import neutralised
from crm_kernel.records.importing.stored_mappings import mapping_from_json
from crm_kernel.records.projection import json_ready
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.importing.models import ImportRun
    from crm_kernel.unit_of_work import UnitOfWork

#: What an error file holds.
_TOLD = (Verdict.REFUSED.value, Verdict.REVIEW.value)
#: Rows of the ledger read at a time.
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ErrorFile:
    """The refused rows of one source, ready to be streamed."""

    name: str
    mimetype: str
    lines: Iterator[str]


def error_file(actor: Actor, uid: UUID, number: int | None = None) -> ErrorFile:
    """Return the refused rows of a run, of its source ``number`` from 0 (the first that has some if not given).

    CSV for CSV and spreadsheets, JSON lines for the rest. Called with no unit of work open; the lines open their own, so
    that a slow reader holds no transaction.

    Raises:
        NotFound: there is no such import, it refused no row, or its file is gone.
        InvalidInput: the file is not the one that was imported.
    """
    with reading(actor) as uow:
        run = runs.run_of(uow, uid)
        chosen = _first(uow, run) if number is None else number
        mapping = mapping_from_json(run.mapping)
        runs.refuse_changed_files(run, mapping)
        opened = [opened_source(spec, Path(run.folder)) for spec in mapping.sources]
        sources = [source for source in opened if source is not None]
        key = run.id
    if chosen is None or not 0 <= chosen < len(sources):
        raise NotFound(_("This import has refused no row."))
    source, app = sources[chosen], current_app._get_current_object()  # type: ignore[attr-defined]
    told = _problems(app, actor, key, chosen)
    stem = Path(source.name.removesuffix(".gz")).stem
    if source.kind in ("csv", "xlsx"):
        return ErrorFile(f"{stem}-errors.csv", "text/csv", _csv_lines(source, _pairs(source, told)))
    return ErrorFile(f"{stem}-errors.jsonl", "application/jsonl", _json_lines(_pairs(source, told)))


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return one problem of a row in words: the column, what was found there, what was expected."""
    error = RowError("", 0, problem["column"], problem["found"], problem["expected"], sentence=problem["sentence"])
    return f"{error.column}: {error.text}" if error.column else error.text


def _first(uow: UnitOfWork, run: ImportRun) -> int | None:
    query = sa.select(sa.func.min(ImportRow.source)).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(_TOLD))
    return uow.session.scalar(query)


def _problems(app: Flask, actor: Actor, run: int, source: int) -> Iterator[tuple[int, str]]:
    """Yield number and problems of the refused rows, in the order of the file."""
    after = 0
    while True:
        with app.app_context(), reading(actor) as uow:
            query = sa.select(ImportRow.id, ImportRow.number, ImportRow.problems).where(
                ImportRow.run_id == run,
                ImportRow.verdict.in_(_TOLD),
                ImportRow.source == source,
                ImportRow.number > after,
            )
            rows = uow.session.execute(query.order_by(ImportRow.number).limit(_PAGE)).all()
        if not rows:
            return
        for _id, after, problems in rows:
            yield after, " · ".join(problem_text(problem) for problem in problems or ())


def _pairs(source: Source, told: Iterator[tuple[int, str]]) -> Iterator[tuple[Row, str]]:
    """Yield the file's rows that are told of, each with its problems."""
    wanted = next(told, None)
    for row in source.rows():
        while wanted is not None and wanted[0] < row.number:
            wanted = next(told, None)
        if wanted is None:
            return
        if wanted[0] == row.number:
            yield row, wanted[1]


def _csv_lines(source: Source, pairs: Iterator[tuple[Row, str]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    columns = [column for column in source.columns if column != ERROR_COLUMN]
    writer.writerow([*columns, ERROR_COLUMN])
    yield "\ufeff" + buffer.getvalue()
    for row, problems in pairs:
        buffer.seek(0)
        buffer.truncate()
        cells = [text_of(row.values.get(column)) for column in columns]
        writer.writerow([neutralised(cell) for cell in (*cells, problems)])
        yield buffer.getvalue()


def _json_lines(pairs: Iterator[tuple[Row, str]]) -> Iterator[str]:
    for row, problems in pairs:
        yield orjson.dumps({**row.values, ERROR_COLUMN: problems}, default=json_ready).decode() + "\n"
