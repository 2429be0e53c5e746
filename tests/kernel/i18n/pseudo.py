"""A pseudo-language for tests: every translated text stands between ⟦ and ⟧, so what stands outside was hard-coded.

Owns the fake catalogue and the reading of a page. What a page shows of the data is no text of the program: it is taken
out by comparing with the values in the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

import sqlalchemy as sa

from crm_kernel.database import db

_INNERMOST = re.compile(r"⟦[^⟦⟧]*⟧")
_WORD = re.compile(r"[^\W\d_]{2,}")
#: Attributes that people see or hear.
_SPOKEN = {"aria-label", "title", "placeholder", "alt", "aria-description", "aria-roledescription"}
_SILENT = {"script", "style", "code", "kbd"}
#: How the English locale writes dates and times; they come from Babel and not from the catalogue.
_FORMATTED = re.compile(
    r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b"
    r"|\b(January|February|March|April|May|June|July|August|September|October|November|December)\b"
    r"|\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b|\b[AP]M\b|\b[A-Z]{3}\b"
)


class PseudoTranslations:
    """Answers every request for a translation with the message between brackets."""

    def ugettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ungettext(self, singular: str, plural: str, number: int) -> str:
        return self.ugettext(singular if number == 1 else plural)

    def upgettext(self, _context: str, message: str) -> str:
        return self.ugettext(message)

    def unpgettext(self, _context: str, singular: str, plural: str, number: int) -> str:
        return self.ungettext(singular, plural, number)


class _Page(HTMLParser):
    """Collects what a page says: the text of its elements, the attributes that are spoken, the words of its charts."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._inside: list[str] = []
        self._chart = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._chart = ("type", "application/json") in attrs
        if tag in _SILENT:
            self._inside.append(tag)
        for name, value in attrs:
            if value and (name in _SPOKEN or name.startswith(("data-text", "data-one", "data-many"))):
                self.said.append(value)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._chart and self._inside:
            self.said += _drawn(json.loads(data))
        elif not self._inside and data.strip():
            self.said.append(data.strip())


def _drawn(option: Any) -> Iterator[str]:
    """Yield the words of a chart: names and texts, not its settings."""
    if isinstance(option, dict):
        for key, value in option.items():
            if isinstance(value, str) and key in ("name", "text", "formatter"):
                yield value
            elif isinstance(value, list) and key == "data":
                yield from (item for item in value if isinstance(item, str))
            yield from _drawn(value)
    elif isinstance(option, list):
        for part in option:
            yield from _drawn(part)


def hard_coded(html: str, data: re.Pattern[str]) -> Iterator[str]:
    """Yield the texts of a page that neither passed the catalogue nor are data, whole, as they stand there."""
    page = _Page()
    page.feed(html)
    for text in page.said:
        left = " ".join(text.split())
        while _INNERMOST.search(left):
            left = _INNERMOST.sub(" ", left)
        left = _FORMATTED.sub(" ", data.sub(" ", left))
        if _WORD.search(left):
            yield text


def values_in_database(names: Iterable[str]) -> re.Pattern[str]:
    """Return what finds every text of the database in a page, and ``names``.

    Lower-case words are not taken: they are codes (``won``, ``email``), for which a page has labels.
    """
    found = set(names)
    existing = set(sa.inspect(db.session.connection()).get_table_names())
    for table in (table for table in db.metadata.sorted_tables if table.name in existing):
        columns = [column for column in table.columns if isinstance(column.type, sa.String | sa.Text)]
        for row in db.session.execute(sa.select(*columns)) if columns else ():
            found.update(value for value in row if isinstance(value, str) and not re.fullmatch("[a-z_.]*", value))
    spoken = sorted({" ".join(text.split()) for text in found if _WORD.search(text)}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, spoken)) or '(?!)'})(?!\w)")


def speak_pseudo(monkeypatch: Any) -> None:
    """Make every translation of this test a pseudo one."""
    from flask_babel import Domain

    monkeypatch.setattr(Domain, "get_translations", lambda _self: PseudoTranslations())
