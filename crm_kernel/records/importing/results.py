"""What an import did, row by row in verdicts and in sum; everything here can be printed as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from crm_kernel.records.importing.rows import Row

#: Errors a result carries itself; all of them go to the reporter.
SHOWN_ERRORS = 20


class Verdict(StrEnum):
    """What became of one row."""

    CREATED = "created"
    UPDATED = "updated"
    #: The stored record says the same already.
    UNCHANGED = "unchanged"
    #: The mapping's mode, or ``distinct``, leaves this row out.
    SKIPPED = "skipped"
    #: The row is wrong; nothing of it was written.
    REFUSED = "refused"
    #: The row may be about a record that is there; somebody has to say, nothing of it was written.
    REVIEW = "review"


#: Verdicts of rows that are not imported though they could be, once they are mended or somebody has said so.
NOT_TAKEN = (Verdict.REFUSED, Verdict.REVIEW)
#: What stands in the place of a verdict where only a value was left out of a row.
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row was refused, or a value left out of it: where, what was found there, what was expected."""

    file: str
    #: Number of the line (of the card in a vCard file) the row starts on, from 1.
    row: int
    #: The file's column; the field's path where no column gives it.
    column: str
    found: str
    expected: str
    #: False: this value alone was left out, the rest of the row was taken.
    refused: bool = True
    #: ``expected`` is a whole sentence that says what is wrong; else it only names what was expected.
    sentence: bool = False
    #: Nothing is wrong, but the row was not imported: it may be a duplicate.
    review: bool = False

    @property
    def verdict(self) -> str:
        """The verdict of its row; ``left out`` where only a value was."""
        if self.review:
            return Verdict.REVIEW.value
        return Verdict.REFUSED.value if self.refused else LEFT_OUT

    @property
    def where(self) -> str:
        """The file, the row and the column, if one is to blame."""
        return ", ".join(part for part in (self.file, f"row {self.row}", self.column) if part)

    @property
    def text(self) -> str:
        """What was found and what is wrong with it, each said once."""
        if self.sentence:
            return f"found {self.found!r}: {self.expected}" if self._is_news else self.expected
        return f"found {self.found!r}, expected {self.expected}"

    @property
    def _is_news(self) -> bool:
        return bool(self.found) and self.found not in self.expected


@dataclass(frozen=True, slots=True)
class Written:
    """What was done to one record, as undoing it needs to know."""

    verdict: Verdict
    #: Number of the row in its file; 0 for a record that a lookup created.
    row: int
    record_type: str
    uid: UUID
    #: Attribute → value before and after an update, of what differs.
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Outcome:
    """The verdicts and errors of one chunk."""

    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    errors: list[RowError] = field(default_factory=list)
    warnings: list[RowError] = field(default_factory=list)
    #: What was done to which record, in order.
    written: list[Written] = field(default_factory=list)
    #: Whether ``settled`` is kept: rehearsals tell what becomes of each row, an import only counts.
    tells_every: bool = False
    #: Every row with its verdict, in the order in which they were decided.
    settled: list[tuple[Row, Verdict]] = field(default_factory=list)

    def settle(self, verdict: Verdict, rows: Sequence[Row]) -> None:
        """Count rows with a verdict."""
        self.verdicts[verdict] += len(rows)
        if self.tells_every:
            self.settled += [(row, verdict) for row in rows]

    def told(self) -> Iterator[tuple[Row, Verdict, list[RowError]]]:
        """Yield every row in the order of the file, with its verdict and what is wrong with it or was left out of it."""
        wrong: dict[int, list[RowError]] = {}
        for error in (*self.errors, *self.warnings):
            wrong.setdefault(error.row, []).append(error)
        for row, verdict in sorted(self.settled, key=lambda pair: pair[0].number):
            yield row, verdict, [error for part in (row, *row.more) for error in wrong.get(part.number, ())]


#: Is called with every error and every value left out, as they are found.
Reporter = Callable[[RowError], None]
#: Is called with a file's name and every row of it: its number, its verdict, what is wrong with it or was left out of it.
VerdictReporter = Callable[[str, int, Verdict, Sequence[RowError]], None]


@dataclass(slots=True)
class SourceResult:
    """What became of one source of a mapping."""

    file: str
    record_type: str
    #: What was found out about the file: ``encoding``, ``separator``, ``decimal``, ``dates`` → value and reason.
    detected: dict[str, str] = field(default_factory=dict)
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    errors: list[RowError] = field(default_factory=list)
    #: Number of values left out of rows that were taken, and the first of them.
    left_out: int = 0
    warnings: list[RowError] = field(default_factory=list)
    #: Number of rows the file has.
    total: int = 0

    @property
    def rows(self) -> int:
        """Number of rows looked at."""
        return sum(self.verdicts.values())

    def count(self, verdict: Verdict, rows: int = 1) -> None:
        """Add rows with a verdict."""
        self.verdicts[verdict] += rows

    def add(self, verdicts: Mapping[Verdict, int], errors: Sequence[RowError], warnings: Sequence[RowError]) -> None:
        """Add what became of a chunk; of errors and warnings the first are kept."""
        for verdict, number in verdicts.items():
            self.count(verdict, number)
        self.errors += errors[: SHOWN_ERRORS - len(self.errors)]
        self.left_out += len(warnings)
        self.warnings += warnings[: SHOWN_ERRORS - len(self.warnings)]

    def counts(self) -> dict[str, Any]:
        """Return the numbers alone, as a run keeps them."""
        numbers = {verdict.value: number for verdict, number in self.verdicts.items()}
        return {
            "file": self.file,
            "record_type": self.record_type,
            "total": self.total,
            "left_out": self.left_out,
            "detected": self.detected,
            **numbers,
        }

    @classmethod
    def from_counts(cls, counts: Mapping[str, Any]) -> SourceResult:
        """Return the result whose numbers a run has kept."""
        verdicts = {verdict: int(counts.get(verdict.value, 0)) for verdict in Verdict}
        return cls(
            counts["file"], counts["record_type"], dict(counts["detected"]), verdicts,
            left_out=counts["left_out"], total=counts["total"],
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the source's result as JSON-ready values."""
        numbers = {verdict.value: number for verdict, number in self.verdicts.items()}
        return {
            "file": self.file,
            "record_type": self.record_type,
            "rows": self.rows,
            **numbers,
            "detected": self.detected,
            "left_out": self.left_out,
            "errors": [asdict(error) for error in self.errors],
            "warnings": [asdict(warning) for warning in self.warnings],
        }


@dataclass(slots=True)
class ImportResult:
    """What an import did, or would do."""

    #: The request id of every transaction of the run: names its audit rows and its bulk events.
    run_id: str
    mapping: str
    mode: str
    sources: list[SourceResult] = field(default_factory=list)
    #: Why the run stopped before its end; what was counted until then is committed unless the mode says otherwise.
    failure: str | None = None

    def total(self, verdict: Verdict) -> int:
        """Return the number of rows with a verdict in all sources."""
        return sum(source.verdicts[verdict] for source in self.sources)

    @property
    def refused(self) -> int:
        """Number of refused rows."""
        return self.total(Verdict.REFUSED)

    @property
    def held_back(self) -> int:
        """Number of rows held back because they may be duplicates."""
        return self.total(Verdict.REVIEW)

    @property
    def left_out(self) -> int:
        """Number of values left out of rows that were taken."""
        return sum(source.left_out for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        numbers = {verdict.value: self.total(verdict) for verdict in Verdict}
        return {
            "run_id": self.run_id,
            "mapping": self.mapping,
            "mode": self.mode,
            "failure": self.failure,
            **numbers,
            "left_out": self.left_out,
            "sources": [source.to_json() for source in self.sources],
        }
