"""Runs an import: opens every file, checks the mapping against the loaded modules, then writes chunk by chunk.

Nothing is written before every file has been read to its end once and every field of the mapping is known to exist.
History is not today's work: rows pass the schema, the policy and the plugins' rules for writing, but no action's rules.

Three ways to commit: each chunk of 1,000 rows by itself (a chunk that fails leaves the earlier ones and ends the run),
everything or nothing, or a rehearsal that does all the work and rolls it back. The latter two hold one transaction
open for the whole run; on SQLite nobody else can write meanwhile.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.field_access import refuse_locked
from crm_kernel.access.policy import authorize
from crm_kernel.errors import CrmError, InvalidInput
from crm_kernel.records.custom_fields.current import learn_fields
from crm_kernel.records.importing.chunks import Outcome, SourceRun
from crm_kernel.records.importing.drafting import Drafter
from crm_kernel.records.importing.lookups import Lookups
from crm_kernel.records.importing.mapping import Mapping, SourceSpec, ValuesFrom
from crm_kernel.records.importing.results import SHOWN_ERRORS, ImportResult, Reporter, SourceResult
from crm_kernel.records.importing.sources import Row, Source, inline_source, open_source
from crm_kernel.records.importing.statistics import refresh_statistics
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Rows per transaction, and in memory at a time.
CHUNK = 1_000
#: Objects between two looks for reference cycles, during an import.
PATIENCE = 100_000
#: Rows of a file that values are taken from.
MAX_VALUES = 100_000

#: Is called after every chunk with the file's name, the rows done and the rows it has.
Progress = Callable[[str, int, int], None]


class Mode(StrEnum):
    """How an import commits."""

    CHUNKS = "chunks"
    #: All rows or none: one refused row and nothing is written.
    ATOMIC = "atomic"
    #: Everything is done and rolled back.
    DRY_RUN = "dry-run"


class _RolledBack(Exception):
    """Ends the one transaction of a rehearsal, or of an atomic run with refused rows."""


def import_folder(
    mapping: Mapping,
    folder: Path,
    *,
    actor: Actor,
    mode: Mode = Mode.CHUNKS,
    progress: Progress | None = None,
    report: Reporter | None = None,
) -> ImportResult:
    """Import the files of a folder as a mapping says and return what became of their rows.

    Called inside an app context with no unit of work open; opens its own. Memory does not grow with the files, apart
    from eight bytes or so per distinct key.

    Raises:
        InvalidInput: a file is broken, or the mapping names what does not exist; nothing was written.
        NotFound: a record type is of a module that is not loaded.
        Forbidden: the actor may not create or update records of a type.
    """
    learn_fields(actor)
    lookups = Lookups()
    runs = [_prepared(spec, folder, lookups) for spec in mapping.sources]
    present = [run for run in runs if run is not None]
    _refuse_unauthorised(actor, present)
    with _patient_collector():
        return _imported(mapping, present, lookups, actor, mode, progress, report)


def _imported(
    mapping: Mapping,
    present: Sequence[SourceRun],
    lookups: Lookups,
    actor: Actor,
    mode: Mode,
    progress: Progress | None,
    report: Reporter | None,
) -> ImportResult:
    result = ImportResult(uuid4().hex, mapping.name, mode.value)
    result.sources = [SourceResult(r.source.name, r.spec.record_type, dict(r.source.detected)) for r in present]
    pairs = list(zip(present, result.sources, strict=True))
    if mode is Mode.CHUNKS:
        _in_chunks(pairs, result, lookups, actor, progress, report)
    else:
        _at_once(pairs, result, actor, mode, progress, report)
    return result


def import_file(
    mapping: Mapping,
    file: Path,
    *,
    actor: Actor,
    mode: Mode = Mode.CHUNKS,
    progress: Progress | None = None,
    report: Reporter | None = None,
) -> ImportResult:
    """Import one file by the mapping's source for it: the one that names the file, else the only one.

    Raises:
        InvalidInput: no source, or more than one, could be meant; else as for ``import_folder``.
    """
    named = [spec for spec in mapping.sources if file.name in _names(spec)]
    files = named or [spec for spec in mapping.sources if spec.files]
    if len(files) != 1 and not named:
        known = ", ".join(name for spec in files for name in spec.files)
        raise InvalidInput({file.name: [_("the mapping has no source for it; it has: %(known)s.", known=known)]})
    chosen = replace(mapping, sources=tuple(replace(spec, files=(file.name,)) for spec in files))
    return import_folder(chosen, file.parent, actor=actor, mode=mode, progress=progress, report=report)


@contextmanager
def _patient_collector() -> Iterator[None]:
    """Look for reference cycles less often while chunks come and go: the usual pace takes a fifth of an import's time.

    Rows are freed by their reference counts; what cycles they leave is found a few chunks later.
    """
    usual = gc.get_threshold()
    gc.set_threshold(PATIENCE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _names(spec: SourceSpec) -> set[str]:
    return {found for name in spec.files for found in (name, f"{name}.gz")}


def _prepared(spec: SourceSpec, folder: Path, lookups: Lookups) -> SourceRun | None:
    plan = plan_of(record_type(spec.record_type))
    source = _opened(spec, folder)
    if source is None:
        return None
    files = {c.name: _values_of(folder, c.values_from) for c in spec.columns or () if c.values_from is not None}
    drafter = Drafter(spec, source, plan, lookups, files)
    source.detected.update(drafter.detected)
    return SourceRun(spec, source, drafter, plan, lookups)


def _opened(spec: SourceSpec, folder: Path) -> Source | None:
    if spec.rows:
        return inline_source(_("rows of the mapping"), spec.rows)
    paths = [folder / name for listed in spec.files for name in (listed, f"{listed}.gz")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None and spec.optional:
        return None
    if path is None:
        names = ", ".join(spec.files)
        raise InvalidInput({names: [_("no such file in %(folder)s.", folder=folder)]})
    return open_source(path, format=spec.format, encoding=spec.encoding, separator=spec.separator)


def _values_of(folder: Path, wanted: ValuesFrom) -> dict[str, str]:
    source = _opened(SourceSpec(record_type="", files=(wanted.file,)), folder)
    assert source is not None
    for column in (wanted.key, wanted.value):
        if column not in source.columns:
            found = ", ".join(source.columns)
            raise InvalidInput(
                {source.name: [_("has no column %(column)r; found: %(found)s.", column=column, found=found)]}
            )
    if source.total > MAX_VALUES:
        raise InvalidInput(
            {
                source.name: [
                    _("%(found)s rows, values are taken from at most %(most)s.", found=source.total, most=MAX_VALUES)
                ]
            }
        )
    return {str(row.values[wanted.key]).strip(): str(row.values[wanted.value]).strip() for row in source.rows()}


def _refuse_unauthorised(actor: Actor, runs: Sequence[SourceRun]) -> None:
    verbs = {"upsert": ("create", "update"), "create": ("create",), "update": ("update",)}
    for run in runs:
        for verb in verbs[run.spec.mode]:
            authorize(actor, run.plan.record_type.permission(verb))
        refuse_locked(actor, run.plan.record_type.name, run.fields())


def _chunks(run: SourceRun) -> Iterator[list[Row]]:
    rows = run.source.rows()
    while chunk := list(itertools.islice(rows, CHUNK)):
        yield chunk


def _in_chunks(
    pairs: Sequence[tuple[SourceRun, SourceResult]],
    result: ImportResult,
    lookups: Lookups,
    actor: Actor,
    progress: Progress | None,
    report: Reporter | None,
) -> None:
    for run, found in pairs:
        for number, chunk in enumerate(_chunks(run), 1):
            try:
                with writing(actor, channel="import", request_id=result.run_id) as uow:
                    outcome = run.process(uow, chunk)
                    refresh_statistics(uow, run.plan.record_type, number)
            except (CrmError, sa.exc.SQLAlchemyError) as error:
                lookups.forget()
                result.failure = _stopped(run, chunk, error)
                return
            _note(run, found, outcome, progress, report)


def _at_once(
    pairs: Sequence[tuple[SourceRun, SourceResult]],
    result: ImportResult,
    actor: Actor,
    mode: Mode,
    progress: Progress | None,
    report: Reporter | None,
) -> None:
    chunk: list[Row] = []
    run = None
    try:
        with writing(actor, channel="import", request_id=result.run_id) as uow:
            for run, found in pairs:
                for chunk in _chunks(run):
                    _note(run, found, run.process(uow, chunk), progress, report)
            _end(uow, result, mode)
    except _RolledBack:
        pass
    except (CrmError, sa.exc.SQLAlchemyError) as error:
        result.failure = _stopped(run, chunk, error) if run and chunk else str(error)


def _end(uow: UnitOfWork, result: ImportResult, mode: Mode) -> None:
    if mode is Mode.DRY_RUN:
        uow.session.flush()
        raise _RolledBack
    if result.refused:
        result.failure = _("%(count)s rows are refused, so nothing was written.", count=result.refused)
        raise _RolledBack


def _note(
    run: SourceRun, found: SourceResult, outcome: Outcome, progress: Progress | None, report: Reporter | None
) -> None:
    for verdict, number in outcome.verdicts.items():
        found.count(verdict, number)
    found.errors += outcome.errors[: SHOWN_ERRORS - len(found.errors)]
    found.left_out += len(outcome.warnings)
    found.warnings += outcome.warnings[: SHOWN_ERRORS - len(found.warnings)]
    for error in (*outcome.errors, *outcome.warnings) if report else ():
        report(error)  # type: ignore[misc]
    if progress:
        progress(run.source.name, found.rows, run.source.total)


def _stopped(run: SourceRun, chunk: Sequence[Row], error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    where = {"file": run.source.name, "first": chunk[0].number, "last": chunk[-1].number, "error": text}
    return str(_("%(file)s, rows %(first)s to %(last)s: %(error)s") % where)
