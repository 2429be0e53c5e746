"""Runs an import: opens every file, checks the mapping against the loaded modules, then writes chunk by chunk.

Nothing is written before every file has been read to its end once and every field of the mapping is known to exist.
History is not today's work: rows pass the schema, the policy and the plugins' rules for writing, but no action's rules.

Three ways to commit: each chunk of 1,000 rows by itself (a chunk that fails leaves the earlier ones and stops the run,
which can be resumed), everything or nothing, or a rehearsal that does all the work and rolls it back. The latter two
hold one transaction open for the whole run; on SQLite nobody else can write meanwhile.
"""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.errors import CrmError, InvalidInput
from crm_kernel.records.custom_fields.current import learn_fields
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.mapping import Mapping, SourceSpec
from crm_kernel.records.importing.models import RunState
from crm_kernel.records.importing.results import ImportResult, Outcome, Reporter, VerdictReporter
from crm_kernel.records.importing.savepoints import rehearsed
from crm_kernel.records.importing.session import Chunk, ImportSession, Place
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.importing.chunks import SourceRun

log = logging.getLogger("crm.imports")

#: Objects between two looks for reference cycles, during an import.
PATIENCE = 100_000

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


@dataclass(slots=True)
class Driver:
    """One import under way, with who does it and who is told."""

    session: ImportSession
    actor: Actor
    result: ImportResult
    progress: Progress | None = None
    report: Reporter | None = None
    tell: VerdictReporter | None = None
    #: Key of the stored run; 0 without one.
    run: int = 0
    #: The place that the last committed chunk reached.
    reached: Place = field(default_factory=Place)
    #: What the stored run asked for when this was made.
    errand: runs.Errand | None = None
    #: Errors that do not stop the run: whoever drives it tries the chunk again later.
    passing: tuple[type[Exception], ...] = ()

    def unit(self) -> AbstractContextManager[UnitOfWork]:
        """Open a unit of work of the run."""
        return writing(self.actor, channel="import", request_id=self.result.run_id)

    def act_as(self, actor: Actor) -> None:
        """Go on as an actor; if he is not what the one before him was, references are looked up anew.

        Raises:
            Forbidden: he may not write what the rows give.
        """
        self.session.refuse_unauthorised(actor)
        if actor != self.actor:
            self.session.lookups.forget()
        self.actor = actor

    def begin(self, uow: UnitOfWork) -> None:
        """Store the run."""
        run = runs.begin_run(uow, self.session.mapping, self.session.folder, self.result)
        self.run, self.errand = run.id, runs.errand_of(run)

    def in_chunks(self, until: float = math.inf) -> bool:
        """Commit chunk after chunk, until a time of ``time.monotonic``; return whether there may be more to do.

        A chunk that fails stops the run; the chunks before it stay.
        """
        while time.monotonic() < until:
            chunk = None
            try:
                chunk = self.session.next_chunk()
                with self.unit() as uow:
                    outcome = self._chunk(uow, chunk)
            except self.passing:
                raise
            except Exception as error:
                # Whatever it is, nobody would take the run on: it must not say that it is running.
                self._stop(stopped_text(chunk, error), error)
                return False
            if chunk is None or outcome is None:
                return False
            self.reached = self.session.place
            self._tell(chunk[0], outcome)
        return True

    def at_once(self, mode: Mode) -> None:
        """Do everything in one transaction."""
        chunk = None
        try:
            with self.unit() as uow:
                if mode is Mode.ATOMIC:
                    self.begin(uow)
                while (chunk := self.session.next_chunk()) is not None:
                    self._at_once(uow, chunk)
                self._end(uow, mode)
        except _RolledBack:
            pass
        except (CrmError, sa.exc.SQLAlchemyError) as error:
            self.result.failure = stopped_text(chunk, error)

    def _chunk(self, uow: UnitOfWork, chunk: Chunk | None) -> Outcome | None:
        run = runs.locked_run(uow, self.run)
        if not runs.is_under_way(run):  # somebody has stopped it
            return None
        runs.refuse_stranger(run, self.reached, self.errand)
        if chunk is None:
            runs.end_run(uow, run)
            return None
        source = self.session.place.source
        outcome = self._rehearsed(uow, chunk) if run.state == RunState.REHEARSING else self._imported(uow, chunk)
        runs.note_chunk(uow, run, source, outcome)
        runs.note_place(run, self.session.place)
        return outcome

    def _imported(self, uow: UnitOfWork, chunk: Chunk) -> Outcome:
        return self.session.imported(uow, *chunk)

    def _rehearsed(self, uow: UnitOfWork, chunk: Chunk) -> Outcome:
        with rehearsed(uow):
            outcome = self.session.imported(uow, *chunk)
        self.session.lookups.forget()
        outcome.written.clear()
        return outcome

    def _at_once(self, uow: UnitOfWork, chunk: Chunk) -> None:
        source = self.session.place.source
        outcome = self._imported(uow, chunk)
        if self.run:
            runs.note_chunk(uow, runs.locked_run(uow, self.run), source, outcome)
        self._tell(chunk[0], outcome)

    def _end(self, uow: UnitOfWork, mode: Mode) -> None:
        if mode is Mode.DRY_RUN:
            uow.session.flush()
            raise _RolledBack
        if self.result.refused:
            self.result.failure = _("%(count)s rows are refused, so nothing was written.", count=self.result.refused)
            raise _RolledBack
        run = runs.locked_run(uow, self.run)
        runs.note_place(run, self.session.place)
        runs.end_run(uow, run)

    def _stop(self, failure: str, error: Exception) -> None:
        self.result.failure = failure
        self.session.lookups.forget()
        if isinstance(error, runs.TakenOver):
            return
        with suppress(CrmError, sa.exc.SQLAlchemyError), self.unit() as uow:  # the database may be gone for all
            runs.stop_run(uow, runs.locked_run(uow, self.run), failure)

    def _tell(self, run: SourceRun, outcome: Outcome) -> None:
        found = self.result.sources[self.session.runs.index(run)]
        found.add(outcome.verdicts, outcome.errors, outcome.warnings)
        for error in (*outcome.errors, *outcome.warnings) if self.report else ():
            self.report(error)  # type: ignore[misc]
        for row, verdict, wrong in outcome.told() if self.tell else ():
            self.tell(run.source.name, row.number, verdict, wrong)  # type: ignore[misc]
        if self.progress:
            self.progress(run.source.name, found.rows, run.source.total)


def import_folder(
    mapping: Mapping,
    folder: Path,
    *,
    actor: Actor,
    mode: Mode = Mode.CHUNKS,
    progress: Progress | None = None,
    report: Reporter | None = None,
    tell: VerdictReporter | None = None,
) -> ImportResult:
    """Import the files of a folder as a mapping says and return what became of their rows.

    Called inside an app context with no unit of work open; opens its own. Memory does not grow with the files, apart
    from some 70 bytes per distinct key. But for a rehearsal the run is stored, and can be undone.
    ``tell`` hears of every row, chunk by chunk.

    Raises:
        InvalidInput: a file is broken, or the mapping names what does not exist; nothing was written.
        NotFound: a record type is of a module that is not loaded.
        Forbidden: the actor may not create or update records of a type.
    """
    learn_fields(actor)
    session = ImportSession(mapping, folder)
    session.refuse_unauthorised(actor)
    result = ImportResult(uuid7().hex, mapping.name, mode.value, session.results())
    driver = Driver(session, actor, result, progress, report, tell)
    if tell:
        session.tell_every()
    with patient_collector():
        if mode is not Mode.CHUNKS:
            driver.at_once(mode)
            return result
        with driver.unit() as uow:
            driver.begin(uow)
        driver.in_chunks()
    return result


def import_file(
    mapping: Mapping,
    file: Path,
    *,
    actor: Actor,
    mode: Mode = Mode.CHUNKS,
    progress: Progress | None = None,
    report: Reporter | None = None,
    tell: VerdictReporter | None = None,
) -> ImportResult:
    """Import one file by the mapping's source for it: the one that names the file, else the only one.

    Raises:
        InvalidInput: no source, or more than one, could be meant; else as for ``import_folder``.
    """
    chosen = mapping_for(mapping, file)
    return import_folder(chosen, file.parent, actor=actor, mode=mode, progress=progress, report=report, tell=tell)


def mapping_for(mapping: Mapping, file: Path) -> Mapping:
    """Return a mapping with its source for one file alone.

    Raises:
        InvalidInput: no source, or more than one, could be meant.
    """
    named = [spec for spec in mapping.sources if file.name in _names(spec)]
    files = named or [spec for spec in mapping.sources if spec.files]
    if len(files) != 1 and not named:
        known = ", ".join(name for spec in files for name in spec.files)
        raise InvalidInput({file.name: [_("the mapping has no source for it; it has: %(known)s.", known=known)]})
    return replace(mapping, sources=tuple(replace(spec, files=(file.name,)) for spec in files))


@contextmanager
def patient_collector() -> Iterator[None]:
    """Look for reference cycles less often while chunks come and go: the usual pace takes a fifth of an import's time.

    Rows are freed by their reference counts; what cycles they leave is found a few chunks later.
    """
    usual = gc.get_threshold()
    gc.set_threshold(PATIENCE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def stopped_text(chunk: Chunk | None, error: Exception) -> str:
    """Return why a run stopped, with the rows of the chunk that failed; an error that nobody foresaw is logged."""
    text = str(getattr(error, "orig", None) or error)
    if not isinstance(error, CrmError | sa.exc.SQLAlchemyError):
        log.error("an import failed", exc_info=error)
        text = _("An unexpected error; the administrator finds it in the log.")
    if chunk is None:
        return text
    run, rows = chunk
    where = {"file": run.source.name, "first": rows[0].number, "last": rows[-1].number, "error": text}
    return str(_("%(file)s, rows %(first)s to %(last)s: %(error)s") % where)


def _names(spec: SourceSpec) -> set[str]:
    return {found for name in spec.files for found in (name, f"{name}.gz")}
