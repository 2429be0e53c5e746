"""Writes what a rehearsal said of every row, as a file of the same columns and two more: the verdict, and what is wrong.

The file can be imported as it is: both columns are left out. Once the import begins, nothing is known of its rehearsal.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, current_app
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.error_files import RowFile, Told, not_taken, opened_sources, row_file, texts_of
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.results import LEFT_OUT, NOT_TAKEN, Verdict
from crm_kernel.records.importing.sources import ERROR_COLUMN, VERDICT_COLUMN, Source
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Rows of the ledger read at a time.
_PAGE = 1_000

#: Number, verdict and problems of a row.
_Said = tuple[int, str, list[Any] | None]


def has_verdicts(run: ImportRun) -> bool:
    """Say whether what would become of rows is known: a rehearsal has ended, if half-way, and nothing has begun since."""
    return run.state == RunState.DRAFT and run.finished_at is not None and bool(run.mapping.get("sources"))


def verdict_file(actor: Actor, uid: UUID) -> RowFile:
    """Return the rows of the first file of a rehearsed run, each with what would become of it.

    Rows that a rehearsal which was stopped has not reached are left out. Called with no unit of work open; the lines open
    their own, so that a slow reader holds no transaction.

    Raises:
        NotFound: there is no such import, or what would become of its rows is not known (any more).
        Forbidden: it is somebody else's.
        InvalidInput: the file is not the one that was rehearsed.
    """
    with reading(actor) as uow:
        run = runs.run_of(uow, uid)
        runs.authorize_file(actor, run)
        if not has_verdicts(run) or run.expired_at is not None:
            raise NotFound(_("What would become of the rows is not known: check the file first."))
        sources, key = opened_sources(run), run.id
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    said = [_of_verdict(app, actor, key, verdict) for verdict in (*_TAKEN, LEFT_OUT)]
    in_order = heapq.merge(*said, not_taken(app, actor, key, 0), key=lambda one: one[0])
    return row_file(sources[0], "verdicts", (VERDICT_COLUMN, ERROR_COLUMN), _rows(sources[0], in_order))


_TAKEN = tuple(verdict.value for verdict in Verdict if verdict not in NOT_TAKEN)


def _of_verdict(app: Flask, actor: Actor, run: int, verdict: str) -> Iterator[_Said]:
    """Yield the rows of one verdict as they were stored, which is in the order of the file; each page by the index."""
    after = 0
    columns = (ImportRow.id, ImportRow.number, ImportRow.problems)
    while True:
        with app.app_context(), reading(actor) as uow:
            query = sa.select(*columns).where(
                ImportRow.run_id == run, ImportRow.verdict == verdict, ImportRow.id > after, ImportRow.source == 0
            )
            rows = uow.session.execute(query.order_by(ImportRow.id).limit(_PAGE)).all()
        if not rows:
            return
        after = rows[-1].id
        yield from ((row.number, verdict, row.problems) for row in rows)


def _rows(source: Source, said: Iterator[_Said]) -> Iterator[Told]:
    """Yield the file's rows with their verdict and problems; of a record with several rows each has the record's verdict."""
    following = next(said, None)
    verdicts, problems = dict[int, str](), dict[int, list[Any]]()
    for row in source.rows():
        rows = (row, *row.more)  # not in the order of the file where a record comes in several places
        while following is not None and following[0] <= max(part.number for part in rows):
            number, verdict, found = following
            problems.setdefault(number, []).extend(found or ())
            if verdict != LEFT_OUT:
                verdicts[number] = verdict
            following = next(said, None)
        known = [verdicts.pop(part.number) for part in rows if part.number in verdicts]
        if known:
            yield from ((part, (known[0], texts_of(problems.pop(part.number, ())))) for part in rows)
        if following is None and not verdicts:
            return
