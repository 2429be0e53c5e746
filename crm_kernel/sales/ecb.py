"""Reads the reference rates of the European Central Bank in the forms it publishes them: XML, CSV, and CSV in a ZIP.

Both the daily files (``eurofxref-daily.xml``, ``eurofxref.zip``) and the histories (``eurofxref-hist.xml``,
``eurofxref-hist.zip``). One euro is so many units of each currency. Writes nothing.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.sales.quotes import MAX_RATE

#: Who publishes them, as ``ExchangeRate.source`` says it.
SOURCE = "ECB"
#: The currency that all are quoted for.
BASE = "EUR"
#: Where the latest rates are, those of the last ninety days, and all since 1999.
ADDRESSES = {
    "latest": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml",
    "quarter": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml",
    "all": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
}
#: Bytes of a file; the whole history is an eighth of it.
LARGEST = 64 * 2**20
_NO_RATE = ("", "N/A")


@dataclass(frozen=True, slots=True)
class Published:
    """On a day, one euro was worth so many units of a currency."""

    currency: str
    day: dt.date
    rate: Decimal


def read_ecb(content: bytes) -> list[Published]:
    """Return the rates of a file, in its order.

    Raises:
        InvalidInput: it is not such a file; ``file`` says where it differs.
    """
    if content[:2] == b"PK":
        content = _unpacked(content)
    try:
        text = content.decode("utf-8-sig")
        return list(_from_xml(text) if text.lstrip()[:1] == "<" else _from_csv(text))
    except (ValueError, ElementTree.ParseError, csv.Error) as error:
        raise _refusal(str(error)) from error


def _unpacked(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            entry = packed.infolist()[0]
            with packed.open(entry) as opened:
                found = opened.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, IndexError, NotImplementedError, RuntimeError) as error:
        raise _refusal(str(error)) from error
    if len(found) > LARGEST:
        raise _refusal(f"more than {LARGEST} bytes")
    return found


def _from_xml(text: str) -> Iterator[Published]:
    if "<!DOCTYPE" in text:  # theirs have none; with one, a small file could unfold to a large one
        raise ValueError("a DOCTYPE")
    days = [node for node in ElementTree.fromstring(text).iter() if node.get("time")]
    if not days:
        raise ValueError("no element with a time")
    for day in days:
        on = dt.date.fromisoformat(day.get("time") or "")
        for node in day:
            yield Published(_currency(node.get("currency")), on, _rate(node.get("rate")))


def _from_csv(text: str) -> Iterator[Published]:
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip() for name in next(rows, [])]
    if not header or header[0] != "Date":
        raise ValueError(_("found the first column “%(name)s”, expected Date", name=header[0] if header else ""))
    names = {place: _currency(name) for place, name in enumerate(header) if place and name}
    for row in rows:
        for place, name in names.items() if row else ():
            value = row[place].strip() if place < len(row) else ""
            if value not in _NO_RATE:
                yield Published(name, _day(row[0].strip()), _rate(value))


def _day(text: str) -> dt.date:
    """Return the day of ``2026-11-20`` (histories) or ``20 November 2026`` (the daily file, in English)."""
    parts = text.split()
    if len(parts) != 3:
        return dt.date.fromisoformat(text)
    return dt.date(int(parts[2]), _MONTHS.index(parts[1]) + 1, int(parts[0]))


def _currency(text: str | None) -> str:
    if text is None or len(text) != 3 or not (text.isascii() and text.isupper()):
        raise ValueError(_("found “%(text)s”, expected a currency code", text=text or ""))
    return text


def _rate(text: str | None) -> Decimal:
    try:
        rate = Decimal(text or "")
    except InvalidOperation as error:
        raise ValueError(_("found the rate “%(text)s”, expected a number", text=text or "")) from error
    if not rate.is_finite() or not 0 < rate <= MAX_RATE or rate != round(rate, 12):
        raise ValueError(
            _(
                "found the rate %(text)s, expected more than 0 and at most %(most)s, with twelve decimals",
                text=text,
                most=MAX_RATE,
            )
        )
    return rate


def _refusal(found: str) -> InvalidInput:
    message = _("Not a file of exchange rates as the European Central Bank publishes them: %(found)s.", found=found)
    return InvalidInput({"file": [message]})


# Not those of the calendar module: they speak the process's language.
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
