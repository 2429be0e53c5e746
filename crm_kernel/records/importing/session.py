"""An import under way in one process: its opened sources, and the place it has reached.

Everything here can be made anew from the mapping and the files: a session that died with its process is opened again at
the checkpoint that its last committed chunk left.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask_babel import gettext as _

from crm_kernel.access.field_access import refuse_locked
from crm_kernel.access.policy import authorize
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.chunks import SourceRun
from crm_kernel.records.importing.drafting import Drafter
from crm_kernel.records.importing.grouping import grouped, natural_columns
from crm_kernel.records.importing.lookups import Lookups
from crm_kernel.records.importing.mapping import Mapping, SourceSpec, ValuesFrom
from crm_kernel.records.importing.rehearsing import Earlier
from crm_kernel.records.importing.results import Outcome, SourceResult
from crm_kernel.records.importing.sources import Row, Source, inline_source, open_source
from crm_kernel.records.importing.statistics import refresh_statistics
from crm_kernel.records.plan import plan_of, record_type

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Rows per transaction, and in memory at a time.
CHUNK = 1_000
#: Rows of a file that values are taken from.
MAX_VALUES = 100_000


#: A source and the rows of it that come next.
Chunk = tuple[SourceRun, list[Row]]


@dataclass(frozen=True, slots=True)
class Place:
    """How far an import is: source of the mapping, and rows of it that are done."""

    source: int = 0
    rows: int = 0


class ImportSession:
    """The sources of a mapping, opened and found sound, and the chunk that comes next."""

    def __init__(self, mapping: Mapping, folder: Path) -> None:
        """Open every file and check the mapping against the loaded modules; writes nothing.

        Raises:
            InvalidInput: a file is broken, or the mapping names what does not exist.
            NotFound: a record type is of a module that is not loaded.
        """
        self.mapping, self.folder, self.lookups = mapping, folder, Lookups()
        prepared = [_prepared(spec, folder, self.lookups) for spec in mapping.sources]
        self.runs = [run for run in prepared if run is not None]
        self.place = Place()
        self._rows: Iterator[Row] = iter(())
        self._begin(0)

    def results(self) -> list[SourceResult]:
        """Return an empty result for every source."""
        return [
            SourceResult(run.source.name, run.spec.record_type, dict(run.source.detected), total=run.source.total)
            for run in self.runs
        ]

    def refuse_unauthorised(self, actor: Actor) -> None:
        """Refuse who may not write what the rows give.

        Raises:
            Forbidden: the actor may not create or update records of a type, or not write a field.
        """
        for run in self.runs:
            for verb in _verbs(run.plan.record_type, run.spec.mode):
                authorize(actor, run.plan.record_type.permission(verb))
            refuse_locked(actor, run.plan.record_type.name, run.fields())

    def rehearse(self) -> None:
        """Remember what chunks say, because each is taken back; before the first of them, or ``go_to``."""
        for run in self.runs:
            run.earlier = Earlier()
        self.tell_every()

    def tell_every(self) -> None:
        """Let outcomes tell the verdict of every row."""
        for run in self.runs:
            run.tells_every = True

    def go_to(self, uow: UnitOfWork, place: Place) -> None:
        """Pass over what is imported already, remembering which records it was about; reads only."""
        self.lookups.forget()
        for number in range(place.source):
            self._begin(number + 1)
        run, left = self.runs[place.source] if place.source < len(self.runs) else None, place.rows
        while run is not None and left > 0:
            passed = list(itertools.islice(self._rows, min(CHUNK, left)))
            if not passed:
                break
            run.recall(uow, passed)
            left -= len(passed)
        self.place = place
        self.lookups.forget()

    def next_chunk(self) -> Chunk | None:
        """Return the next rows with their source, None after the last; ``place`` moves on with ``passed``."""
        while self.place.source < len(self.runs):
            rows = list(itertools.islice(self._rows, CHUNK))
            if rows:
                return self.runs[self.place.source], rows
            self.place = Place(self.place.source + 1, 0)
            self._begin(self.place.source)
        return None

    def imported(self, uow: UnitOfWork, run: SourceRun, rows: Sequence[Row]) -> Outcome:
        """Import a chunk and return what became of its rows; part of the caller's transaction."""
        outcome = run.process(uow, rows)
        refresh_statistics(uow, run.plan.record_type, self.place.rows // CHUNK + 1)
        self.place = Place(self.place.source, self.place.rows + len(rows))
        return outcome

    def _begin(self, source: int) -> None:
        self._rows = self.runs[source].source.rows() if source < len(self.runs) else iter(())


def _verbs(record_type: RecordType, mode: str) -> tuple[str, ...]:
    """Return what it takes to import records in a mode; where nothing is ever changed, ``upsert`` changes nothing."""
    creating = record_type.importing or "create"
    changing = ("update",) if mode == "update" or "update" in record_type.verbs else ()
    return {"upsert": (creating, *changing), "create": (creating,), "update": changing}[mode]


def _prepared(spec: SourceSpec, folder: Path, lookups: Lookups) -> SourceRun | None:
    plan = plan_of(record_type(spec.record_type))
    source = opened_source(spec, folder)
    if source is None:
        return None
    for column in spec.needs:
        _refuse_missing(source, column)
    files = {c.name: _values_of(folder, c.values_from) for c in spec.columns or () if c.values_from is not None}
    drafter = Drafter(spec, source, plan, lookups, files)
    source.detected.update(drafter.detected)
    return SourceRun(spec, source, drafter, plan, lookups)


def path_of(spec: SourceSpec, folder: Path) -> Path | None:
    """Return the file of a source, the first of its names that exists; None for rows of the mapping itself.

    Raises:
        InvalidInput: it is missing and not optional.
    """
    if spec.rows:
        return None
    paths = [folder / name for listed in spec.files for name in (listed, f"{listed}.gz")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None and not spec.optional:
        names = ", ".join(spec.files)
        raise InvalidInput({names: [_("no such file in %(folder)s.", folder=folder)]})
    return path


def opened_source(spec: SourceSpec, folder: Path) -> Source | None:
    """Open the source of a mapping, found sound; None if it may be missing and is.

    Raises:
        InvalidInput: it is broken, or missing.
    """
    if spec.rows:
        return inline_source(_("rows of the mapping"), spec.rows)
    path = path_of(spec, folder)
    if path is None:
        return None
    source = open_source(path, format=spec.format, encoding=spec.encoding, separator=spec.separator, sheet=spec.sheet)
    columns = spec.group or (() if spec.columns is not None else _natural(source, spec.record_type))
    return grouped(source, columns) if columns else source


def _natural(source: Source, name: str) -> tuple[str, ...]:
    return natural_columns(source, plan_of(record_type(name))) if name else ()


def _refuse_missing(source: Source, column: str) -> None:
    if column not in source.columns:
        found = ", ".join(source.columns)
        raise InvalidInput(
            {source.name: [_("has no column %(column)r; found: %(found)s.", column=column, found=found)]}
        )


def _values_of(folder: Path, wanted: ValuesFrom) -> dict[str, str]:
    source = opened_source(SourceSpec(record_type="", files=(wanted.file,)), folder)
    assert source is not None
    for column in (wanted.key, wanted.value):
        _refuse_missing(source, column)
    if source.total > MAX_VALUES:
        raise InvalidInput(
            {
                source.name: [
                    _("%(found)s rows, values are taken from at most %(most)s.", found=source.total, most=MAX_VALUES)
                ]
            }
        )
    return {str(row.values[wanted.key]).strip(): str(row.values[wanted.value]).strip() for row in source.rows()}
