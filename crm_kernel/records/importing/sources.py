"""Reads CSV, JSON lines and vCard files as streams of rows, after a first pass that has found them sound.

Opening a source reads the whole file once: encoding, header, ragged rows, over-long lines, NUL. So a file that is
broken in its last line is refused before its first row is written. Memory stays flat whatever the file's size.
"""

from __future__ import annotations

import csv
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import detection
from crm_kernel.records.importing.json_lines import read_object
from crm_kernel.records.importing.rows import Row
from crm_kernel.records.importing.spreadsheets import restored

#: Characters of one card; what is longer is refused before it fills the memory.
MAX_CARD = 10_000_000
#: Columns of one file.
MAX_COLUMNS = 2_000
#: Records looked at to find out how the file is written.
SAMPLE = 1_000

#: Columns of files of rows that say what is wrong with a row, and what becomes of it; never imported.
ERROR_COLUMN, VERDICT_COLUMN = "import_error", "import_verdict"

__all__ = ["ERROR_COLUMN", "FORMATS", "VERDICT_COLUMN", "Row", "Source", "format_of", "inline_source", "open_source"]

FORMATS = ("csv", "jsonl", "vcard", "xlsx")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".vcf": "vcard",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file that has been found sound: its columns, its number of rows, and how to read them."""

    name: str
    columns: tuple[str, ...]
    total: int
    #: Values by column of the first rows, for finding out how numbers and dates are written.
    sample: tuple[Mapping[str, Any], ...]
    _read: Callable[[], Iterator[Row]]
    detected: dict[str, str] = field(default_factory=dict)
    #: ``csv``, ``xlsx``, ``jsonl``, ``vcard``, or ``rows`` for those of the mapping itself.
    kind: str = "rows"

    def rows(self) -> Iterator[Row]:
        """Read the file anew, row by row."""
        return self._read()


def open_source(
    path: Path,
    *,
    format: str | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
) -> Source:
    """Read a file once from beginning to end and return it as a source.

    Args:
        format: ``csv``, ``jsonl``, ``vcard`` or ``xlsx``; from the file's name if not given (``.gz`` aside).
        encoding, separator: found out if not given.
        sheet: of a workbook; the first if not given.

    Raises:
        InvalidInput: the file is missing or broken; the text names file, line, what was found and what is expected.
    """
    kind = format or format_of(path)
    if kind == "xlsx":
        return _open_xlsx(path, sheet)
    if encoding:
        found = detection.Found(detection.check_declared(path, encoding), _("as the mapping says"))
    else:
        found = detection.detect_encoding(path)
    text = _Text(path, found)
    if kind == "csv":
        return _open_csv(text, separator)
    return _open_jsonl(text) if kind == "jsonl" else _open_vcard(text)


def inline_source(name: str, rows: Sequence[Mapping[str, Any]]) -> Source:
    """Return rows written in a mapping itself as a source."""
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    filled = [Row(number, {c: row.get(c) for c in columns}) for number, row in enumerate(rows, 1)]
    return Source(name, columns, len(filled), tuple(row.values for row in filled), lambda: iter(filled))


def format_of(path: Path) -> str:
    """Return the format that a file's name tells.

    Raises:
        InvalidInput: the name tells none.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _SUFFIXES:
        known = ", ".join(sorted(_SUFFIXES))
        raise InvalidInput(
            {path.name: [_("unknown kind of file; expected one of %(known)s, also with .gz.", known=known)]}
        )
    return _SUFFIXES[suffix]


class _Text:
    """A text file of a known encoding, read line by line within bounds."""

    def __init__(self, path: Path, encoding: detection.Found) -> None:
        self.path, self.name, self.encoding = path, path.name, encoding
        self.detected = {"encoding": str(encoding)}

    def problem(self, line: int, message: str) -> InvalidInput:
        return InvalidInput({self.name: [_("line %(line)s: %(message)s", line=line, message=message)]})

    def lines(self) -> Iterator[str]:
        with detection.open_text(self.path, self.encoding.value) as stream:
            for number in itertools.count(1):
                line = self._line(stream, number)
                if not line:
                    return
                yield line

    def _line(self, stream: TextIO, number: int) -> str:
        try:
            line = stream.readline(detection.MAX_LINE + 1)
        except UnicodeError as error:
            raise self._misread(number, error) from error
        except (EOFError, OSError, zlib.error) as error:
            raise self.problem(number, _("cannot be read: %(reason)s.", reason=error)) from error
        if len(line) > detection.MAX_LINE:
            raise detection.too_long(self.name, number)
        if "\0" in line:
            raise self.problem(number, _("holds a NUL character: expected text."))
        return line

    def _misread(self, number: int, error: UnicodeError) -> InvalidInput:
        encoding = self.encoding.value
        if isinstance(error, UnicodeDecodeError):
            line = number + error.object[: error.start].count(b"\n")
            message = _(
                "the byte 0x%(byte)s is not valid %(encoding)s: correct encoding in the mapping, or leave it out to have it found.",
                byte=f"{error.object[error.start]:02X}",
                encoding=encoding,
            )
            return self.problem(line, message)
        return self.problem(number, _("not valid %(encoding)s: %(reason)s.", encoding=encoding, reason=error))


def _open_csv(text: _Text, separator: str | None) -> Source:
    first = list(itertools.islice(text.lines(), 20))
    if not first:
        raise InvalidInput({text.name: [_("empty: expected a header line.")]})
    announced = detection.announced_separator(first[0])
    skipped = 1 if announced else 0
    if separator or announced:
        character = detection.check_separator(text.name, separator or announced)
        found = detection.Found(character, _("as the mapping says") if separator else _("the file's first line"))
    else:
        found = detection.detect_separator(first)
    records = _csv_records(text, found.value, skipped)
    header = _header(text, next(records)[1])
    named = [(place, column) for place, column in enumerate(header) if column]

    def read() -> Iterator[Row]:
        for number, cells in itertools.islice(_csv_records(text, found.value, skipped), 1, None):
            yield Row(number, {column: restored(cells[place]) for place, column in named})

    sample, total = [], 0
    for number, cells in records:
        if len(cells) != len(header):
            raise text.problem(number, _ragged(cells, header))
        total += 1
        if total <= SAMPLE:
            sample.append({column: restored(cells[place]) for place, column in named})
    name = detection.SEPARATOR_NAMES.get(found.value, repr(found.value))
    detected = {**text.detected, "separator": f"{name} ({found.reason})"}
    columns = tuple(column for _place, column in named)
    return Source(text.name, columns, total, tuple(sample), read, detected, "csv")


def _open_xlsx(path: Path, sheet: str | None) -> Source:
    from crm_kernel.records.importing.sheets import row_of, sheet_names, sheet_rows

    name = sheet or sheet_names(path)[0]
    records = sheet_rows(path, name)
    number, cells = next(records, (1, []))
    text = _Text(path, detection.Found("", ""))
    header = _header(text, [str(cell) for cell in cells], number)
    if not any(header):
        raise InvalidInput({path.name: [_("the sheet %(name)r is empty: expected a header line.", name=name)]})
    named = [(place, column) for place, column in enumerate(header) if column]

    def read() -> Iterator[Row]:
        for number, cells in itertools.islice(sheet_rows(path, name), 1, None):
            yield row_of(number, cells, named)

    sample, total = [], 0
    for number, cells in records:
        if any(cell not in ("", None) for cell in cells[len(header) :]):
            raise text.problem(number, _ragged(cells, header))
        total += 1
        if total <= SAMPLE:
            sample.append(row_of(number, cells, named).values)
    columns = tuple(column for _place, column in named)
    return Source(path.name, columns, total, tuple(sample), read, {"sheet": name}, "xlsx")


def _csv_records(text: _Text, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of every record that is not blank."""
    reader = csv.reader(itertools.islice(text.lines(), skipped, None), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + skipped + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise text.problem(line, _("no sound CSV (%(reason)s): look at the quotes.", reason=error)) from error
        if cells and any(cells):
            yield line, cells


def _ragged(cells: Sequence[str], header: Sequence[str]) -> str:
    text = _("found %(found)s cells, expected %(expected)s as in the header: put text with separators in quotes.")
    return str(text % {"found": len(cells), "expected": len(header)})


def _header(text: _Text, cells: Sequence[str], line: int = 1) -> tuple[str, ...]:
    header = tuple(" ".join(cell.removeprefix("\ufeff").split()) for cell in cells)
    if len(header) > MAX_COLUMNS:
        raise text.problem(
            line, _("%(found)s columns, expected at most %(most)s.", found=len(header), most=MAX_COLUMNS)
        )
    named = [column for column in header if column]
    for place, column in enumerate(named):
        if column in named[:place]:
            raise text.problem(line, _("the column %(column)r is there twice: rename one of them.", column=column))
    return header


def _open_jsonl(text: _Text) -> Source:
    def read() -> Iterator[Row]:
        for number, line in enumerate(text.lines(), 1):
            if line.strip():
                yield Row(number, _object(text, number, line))

    columns: dict[str, None] = {}
    sample, total = [], 0
    for row in read():
        total += 1
        if len(columns) < MAX_COLUMNS:
            columns.update(dict.fromkeys(row.values))
        if total <= SAMPLE:
            sample.append(row.values)
    return Source(text.name, tuple(columns), total, tuple(sample), read, text.detected, "jsonl")


def _object(text: _Text, number: int, line: str) -> dict[str, Any]:
    try:
        return read_object(line)
    except ValueError as error:
        raise text.problem(number, str(error)) from error


def _open_vcard(text: _Text) -> Source:
    from crm_kernel.records.importing.cards import COLUMNS, read_cards, settled_cards

    total, ignored, sample = 0, set[str](), list[Mapping[str, Any]]()
    for row in read_cards(_cards(text), ignored):
        total = row.number
        if total <= SAMPLE:
            sample.append(row.values)
    if not total:
        raise InvalidInput({text.name: [_("holds no vCard: expected BEGIN:VCARD.")]})
    if ignored:
        text.detected["ignored"] = ", ".join(sorted(ignored))
    return Source(text.name, COLUMNS, total, tuple(sample), lambda: settled_cards(_cards(text)), text.detected, "vcard")


def _cards(text: _Text) -> Iterator[str]:
    """Yield the text of one card after the other; what stands between cards is left out."""
    lines: list[str] = []
    size = 0
    for number, line in enumerate(text.lines(), 1):
        mark = line.strip().upper()
        if mark == "BEGIN:VCARD" and lines:
            yield "".join(lines)
            lines, size = [], 0
        if lines or mark == "BEGIN:VCARD":
            lines.append(line)
            size += len(line)
        if size > MAX_CARD:
            raise text.problem(number, _("a card longer than %(most)s characters.", most=MAX_CARD))
        if mark == "END:VCARD" and lines:
            yield "".join(lines)
            lines, size = [], 0
    if lines:
        yield "".join(lines)
