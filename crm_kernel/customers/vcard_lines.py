"""The text level of vCard: bytes to text, text to cards, cards to lines, escapes.

Owns everything below the meaning of a property, for ``vcards``. ``vobject`` takes a line apart into group, name,
parameters and value (and decodes quoted-printable); unfolding and escapes are done here because the three versions
of vCard differ in them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from vobject.base import ParseError, textLineToContentLine

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(rb"CHARSET=\"?([\w.:-]+)", re.IGNORECASE)
_QUOTED_PRINTABLE = re.compile(r"[^:]*QUOTED-PRINTABLE[^:]*:", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([\\,;:nN])")
#: One field of a structured value that ends in ``;``, or in a stray backslash before it.
_FIELD = re.compile(r"((?:\\.|[^\\;])*)\\?;", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One property of a card."""

    #: Prefix that ties lines together (``item1``), lower-case, empty without one.
    group: str
    #: Property name in capitals.
    name: str
    #: Type words in capitals, from ``TYPE=`` and from bare parameters (vCard 2.1).
    types: frozenset[str]
    #: 1 is most preferred, 100 not at all.
    preference: int
    raw: str

    @property
    def text(self) -> str:
        """The value without escapes and outer white space, control characters dropped except line breaks."""
        return _unescaped(self.raw)

    @property
    def parts(self) -> list[str]:
        """The fields of a structured value, without escapes."""
        return [_unescaped(part) for part in _FIELD.findall(self.raw + ";")]


def plain(text: str) -> str:
    """Return ``text`` with ``\\n`` and tab as its only control characters; a lone CR ends a line for many readers."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in lines if char in "\n\t" or unicodedata.category(char) != "Cc")


def text_of(source: str | bytes) -> str:
    """Return ``source`` as text: by its byte order mark, as UTF-8, by the ``CHARSET`` in it, else Windows-1252."""
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    for mark, encoding in _BOMS:
        if source.startswith(mark):
            return source.decode(encoding, "replace").removeprefix("\ufeff")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(source)


def _decoded(source: bytes) -> str:
    named = _CHARSET.search(source)
    try:
        return source.decode(named[1].decode("ascii") if named else "cp1252", "replace")
    except LookupError:
        return source.decode("cp1252", "replace")


def split_cards(text: str) -> Iterator[list[str] | None]:
    """Yield the physical lines of each card, between its BEGIN and END; ``None`` for a card that does not end.

    Text outside of cards is skipped. A card inside of a card (``AGENT`` of vCard 2.1) is dropped from it.
    """
    card: list[str] | None = None
    inside = 0
    for line in re.split(r"\r\n|\r|\n", text):
        mark = line.strip().upper().replace(" ", "")
        if mark == "BEGIN:VCARD" and card and card[-1].strip().upper() == "AGENT:":
            inside += 1
        elif mark == "BEGIN:VCARD":
            if card is not None:
                yield None
            card, inside = [], 0
        elif mark == "END:VCARD" and inside:
            inside -= 1
        elif mark == "END:VCARD" and card is not None:
            yield card
            card = None
        elif card is not None and not inside:
            card.append(line)
    if card is not None:
        yield None


def logical_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each unfolded line with its number in the card (from 1, BEGIN not counted); empty ones are skipped.

    A line that begins with white space continues the one before; so does, in quoted-printable, one after a ``=``.
    """
    start, current = 0, ""
    for number, line in enumerate(lines, start=1):
        if current.endswith("=") and _QUOTED_PRINTABLE.match(current):
            current = current[:-1] + line
        elif line[:1] in (" ", "\t") and current:
            current += line[1:]
        else:
            if current.strip():
                yield start, current
            start, current = number, line
    if current.strip():
        yield start, current


def read_line(text: str) -> Line | None:
    """Return the property in a logical line, ``None`` when it is unreadable."""
    try:
        found = textLineToContentLine(text.strip())
    except (ParseError, LookupError, ValueError):
        return None
    types = frozenset(_words(found.params.get("TYPE", []), found.singletonparams))
    preference = _preference(found.params.get("PREF", []), types)
    return Line((found.group or "").lower(), found.name, types, preference, found.value)


def _words(*lists: list[str]) -> Iterator[str]:
    for values in lists:
        for value in values:
            yield from value.upper().split(",")


def _preference(given: list[str], types: frozenset[str]) -> int:
    if given and given[0].isdecimal():
        return min(int(given[0][:3]), 100)
    return 1 if "PREF" in types else 100


def _unescaped(raw: str) -> str:
    return plain(_ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], raw)).strip()
