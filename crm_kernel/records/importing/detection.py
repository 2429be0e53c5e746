"""Finds out how a text file is written: compression, encoding, separator, decimal sign, order of dates; with the reason.

A guess that could silently change data is not made: what two readings fit is refused with both named.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.errors import InvalidInput

#: Bytes read at a time.
BLOCK = 1 << 20
#: Characters of one line; what is longer is refused before it fills the memory.
MAX_LINE = 1_000_000
#: Bytes that one character takes at most, in any encoding that is found out.
_WIDEST = 4
#: Separators that are recognised, the likeliest first.
SEPARATORS = (";", ",", "\t", "|")
#: How a tab is written where none can be typed.
_TAB = ("tab", "\\t")
#: Names of separators for people.
SEPARATOR_NAMES = {";": _l("semicolon"), ",": _l("comma"), "\t": _l("tab"), "|": _l("bar")}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16 mark"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16 mark"),
)
_COMMA_NUMBER = re.compile(
    r"[-+]?\d{1,3}(?:[\s.\u00a0\u202f']?\d{3})*,(?:\d{1,2}|\d{4,})\s*[€$£%]?\Z|[-+]?\d+,(?:\d{1,2}|\d{4,})\Z"
)
_POINT_NUMBER = re.compile(r"[-+]?\d{1,3}(?:[\s,\u00a0\u202f']?\d{3})*\.\d+\s*[€$£%]?\Z|[-+]?\d+\.\d+\Z")
_DAY_OR_MONTH = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[ T].*)?\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A finding and what it rests on."""

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value} ({self.reason})"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if it is gzip by its first bytes.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise InvalidInput({path.name: [_("cannot be read: %(reason)s.", reason=error.strerror or error)]}) from error


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a file as text, line ends kept as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")


def detect_encoding(path: Path) -> Found:
    """Return the encoding of a file: a mark's, UTF-8 if every byte fits, else Windows-1252. Reads the file once.

    Raises:
        InvalidInput: no text encoding fits, or a line is far too long: what follows it is not read.
    """
    try:
        with open_bytes(path) as file:
            return _encoding_of(path.name, file)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInput({path.name: [_("cannot be unpacked: %(reason)s. Is it complete?", reason=error)]}) from error


def check_declared(path: Path, encoding: str) -> str:
    """Return a declared encoding once it is known to exist.

    Raises:
        InvalidInput: Python knows no such text encoding.
    """
    try:
        "a".encode(encoding)  # knows no codec of bytes such as hex; an empty text would not ask
    except (LookupError, ValueError) as error:
        hint = _("encoding: found %(found)r, expected for example utf-8, utf-16 or cp1252.", found=encoding)
        raise InvalidInput({path.name: [hint]}) from error
    return encoding


def check_separator(name: str, separator: str) -> str:
    """Return a separator as one character; a tab may be said in words, because it can hardly be typed.

    Raises:
        InvalidInput: it is none, or one that CSV needs for something else; ``name`` is the file's.
    """
    found = "\t" if separator.lower() in _TAB else separator
    if len(found) != 1 or found in '"\r\n\0':
        hint = _("separator: found %(found)r, expected one character such as ; or the word tab.", found=separator)
        raise InvalidInput({name: [hint]})
    return found


def announced_separator(line: str) -> str:
    """Return what a first line such as ``sep=;`` says of the separator; empty for any other line."""
    said = line.rstrip("\r\n")[4:] if line.lower().startswith("sep=") else ""
    return said.strip() or said[:1]


def detect_separator(lines: Sequence[str]) -> Found:
    """Return the separator of a CSV file from its first lines: the one that gives every line the same several cells."""
    best, reason = ",", _("only one column")
    widest = 1
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        width = widths[0] if widths else 1
        steady = all(found == width for found in widths[:-1])  # the last line may be cut
        if width > widest and (steady or best == ","):
            best, widest, reason = separator, width, _("%(count)s columns in every line looked at", count=width)
            if not steady:
                reason = _("%(count)s columns in the header", count=width)
    return Found(best, reason)


def detect_decimal(values: Iterable[str]) -> Found | None:
    """Return ``,`` or ``.`` as the decimal sign of the given texts, or None if none of them shows it.

    Raises:
        InvalidInput: some are written one way, some the other; the key is empty.
    """
    comma = point = ""
    for value in values:
        text = value.strip()
        if _COMMA_NUMBER.match(text):
            comma = comma or text
        elif _POINT_NUMBER.match(text):
            point = point or text
    if comma and point:
        message = _('numbers are written both %(a)s and %(b)s: say which with decimal = "," or ".".', a=comma, b=point)
        raise InvalidInput({"": [message]})
    if comma:
        return Found(",", _("found %(found)s", found=comma))
    return Found(".", _("found %(found)s", found=point)) if point else None


def detect_dates(values: Iterable[str]) -> Found | None:
    """Return ``day-first`` or ``month-first`` for dates like 03/04/2026, or None if none is written so.

    Raises:
        InvalidInput: both readings fit every value, or neither does; the key is empty.
    """
    seen = day = month = ""
    for value in values:
        found = _DAY_OR_MONTH.match(value.strip())
        if not found:
            continue
        seen = seen or value
        if int(found[1]) > 12 or found[2] == ".":
            day = day or value
        elif int(found[3]) > 12:
            month = month or value
    if (day and month) or (seen and not day and not month):
        message = _('%(found)s may be day or month first: say which with dates = "%%d/%%m/%%Y".', found=seen)
        raise InvalidInput({"": [message]})
    if day:
        return Found("day-first", _("found %(found)s", found=day))
    return Found("month-first", _("found %(found)s", found=month)) if month else None


def _encoding_of(name: str, file: IO[bytes]) -> Found:
    start = file.read(BLOCK)
    for mark, encoding, reason in _MARKS:
        if start.startswith(mark):
            return Found(encoding, reason)
    if b"\0" in start[:1000]:
        raise InvalidInput(
            {name: [_('holds NUL bytes: no text, or UTF-16 without a mark (then set encoding = "utf-16-le").')]}
        )
    utf8, western, lines = _Trial("utf-8"), _Trial("cp1252"), _Lines(name)
    block = start
    while block:
        lines.feed(block)
        utf8.feed(block)
        western.feed(block)
        block = file.read(BLOCK)
    if utf8.fits():
        return Found("utf-8", _("every byte fits"))
    if western.fits():
        return Found("cp1252", utf8.problem)
    message = _("%(wrong)s nor Windows-1252: is it a text file? Else set encoding in the mapping.", wrong=utf8.problem)
    raise InvalidInput({name: [message]})


def too_long(name: str, line: int) -> InvalidInput:
    """Return the refusal of a line that is longer than ``MAX_LINE``."""
    message = _("longer than %(most)s characters: is the separator or a quote missing?", most=MAX_LINE)
    return InvalidInput({name: [_("line %(line)s: %(message)s", line=line, message=message)]})


class _Lines:
    """Watches, block by block, that no line grows beyond all bounds; the reader counts characters exactly."""

    def __init__(self, name: str) -> None:
        self._name, self._line, self._length = name, 1, 0

    def feed(self, block: bytes) -> None:
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line += block.count(b"\n") or block.count(b"\r")
        self._length = len(block) - 1 - end if end >= 0 else self._length + len(block)
        if self._length > _WIDEST * MAX_LINE:
            raise too_long(self._name, self._line)


class _Trial:
    """Tries one encoding on a file, block by block."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._line = 1
        self.problem = ""

    def feed(self, block: bytes) -> None:
        if not self.problem:
            self._try(block, final=False)
        self._line += block.count(b"\n")

    def fits(self) -> bool:
        if not self.problem:
            self._try(b"", final=True)
        return not self.problem

    def _try(self, block: bytes, *, final: bool) -> None:
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            line = self._line + error.object[: error.start].count(b"\n")
            byte = f"0x{error.object[error.start]:02X}"
            self.problem = _("line %(line)s has the byte %(byte)s, which is no UTF-8", line=line, byte=byte)
