"""Reading vCard files (2.1, 3.0, 4.0) into customers.

Owns what a card means: which property becomes which field of a customer, and what is left out. Lines are taken apart
by ``vobject``; its card model is not used, for it splits at the bare commas of vCard 2.1 and gives up a whole card
for one bad line. Values come out as they were written: the service that creates the customer normalises and
refuses them. Writing is in ``vcard_writer``; its ``write_vcards`` is importable from here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from crm_kernel.customers.values.countries import country_code
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.vcard_lines import Line, logical_lines, read_line, split_cards, text_of
from crm_kernel.customers.vcard_writer import Address, ContactPoint, CustomerDraft, write_vcards
from crm_kernel.errors import N_

__all__ = ["Address", "CardRead", "ContactPoint", "CustomerDraft", "read_vcards", "write_vcards"]

#: Property → channel of the contact point it becomes.
CHANNELS = {"TEL": "phone", "EMAIL": "email", "URL": "url"}

_LABELS = {"CELL": "mobile", "IPHONE": "mobile", "FAX": "fax", "PAGER": "pager", "WORK": "work", "HOME": "home"}
_PURPOSES = {"WORK": "work", "HOME": "home"}
_KINDS = {"ORG": "organization", "ORGANIZATION": "organization", "COMPANY": "organization", "HOUSEHOLD": "household"}

#: Properties about the card and not about the customer: neither read nor reported as ignored.
_ABOUT_THE_CARD = frozenset({"BEGIN", "END", "VERSION", "PRODID", "REV", "SOURCE", "PROFILE", "NAME"})
_READ = frozenset(
    {"N", "FN", "TEL", "EMAIL", "URL", "ADR", "ORG", "TITLE", "ROLE", "NOTE", "UID", "BDAY", "LANG"}
    | {"KIND", "X-ABSHOWAS", "X-ABLABEL", "X-CRM-KIND"}
)
_BIRTHDAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?")


@dataclass(frozen=True, slots=True)
class CardRead:
    """What came of one card of a file."""

    #: Position in the file, from 1.
    position: int
    #: The customer to create, ``None`` when the card is broken.
    customer: CustomerDraft | None = None
    #: Names of properties that have no field in a customer, or ``line <n>`` for unreadable ones; sorted, each once.
    ignored: tuple[str, ...] = ()
    #: Why there is no customer.
    problem: ValueProblem | None = None


@dataclass(slots=True)
class _Card:
    """The lines of one card, and what could not be used of them."""

    lines: list[Line]
    ignored: set[str] = field(default_factory=set)

    def all(self, name: str) -> list[Line]:
        """Lines of a property, the preferred ones first."""
        return sorted((line for line in self.lines if line.name == name), key=lambda line: line.preference)

    def text(self, name: str) -> str:
        """Text of the first such property that has one."""
        return next((text for line in self.all(name) if (text := line.text)), "")

    def parts(self, name: str, count: int) -> list[str]:
        """The first ``count`` fields of a structured property, missing ones empty."""
        found = next((line.parts for line in self.all(name) if any(line.parts)), [])
        return [*found, *[""] * count][:count]


def read_vcards(source: str | bytes) -> list[CardRead]:
    """Return one result per card of ``source``, in order; a broken card does not lose the others.

    Bytes may be UTF-8, UTF-16 with a mark, or what a ``CHARSET`` in them says, else Windows-1252. Contact points come
    with the preferred one of each channel first. Birthdays without a year, pictures, categories, messenger accounts
    and further names are reported as ignored. Text without any card gives an empty list. Costs about 0.5 ms a card.
    """
    return [_read(number, lines) for number, lines in enumerate(split_cards(text_of(source)), start=1)]


def _read(position: int, raw: list[str] | None) -> CardRead:
    if raw is None:
        problem = ValueProblem("card {position} has no END:VCARD: the file may be cut", position=position)
        return CardRead(position, problem=problem)
    card = _card(raw)
    customer = _customer(card)
    if not customer["display_name"]:
        template = N_("card {position} names nobody: expected FN, N, ORG or EMAIL")
        return CardRead(position, ignored=_sorted(card), problem=ValueProblem(template, position=position))
    return CardRead(position, customer, _sorted(card))


def _card(raw: list[str]) -> _Card:
    card = _Card([])
    for number, text in logical_lines(raw):
        line = read_line(text)
        if line is None:
            card.ignored.add(f"line {number}")
        elif line.name in _READ:
            card.lines.append(line)
        elif line.name not in _ABOUT_THE_CARD:
            card.ignored.add(line.name)
    return card


def _sorted(card: _Card) -> tuple[str, ...]:
    return tuple(sorted(card.ignored))


def _customer(card: _Card) -> CustomerDraft:
    family, given, more, prefix, suffix = card.parts("N", 5)
    if more:
        card.ignored.add("N (additional names)")
    organization, *units = card.parts("ORG", 10)
    display = card.text("FN") or _joined(" ", [given, family]) or organization or card.text("EMAIL")
    return {
        "kind": _kind(card, named=bool(family or given), organization=organization, display=display),
        "given_name": given,
        "family_name": family,
        "display_name": " ".join(display.split()),
        "prefix": prefix,
        "suffix": suffix,
        "birth_date": _birth_date(card),
        "job_title": card.text("TITLE") or card.text("ROLE"),
        "organization": organization,
        "department": _joined(", ", units),
        "notes": _joined("\n\n", [line.text for line in card.all("NOTE")]),
        "languages": [line.text for line in card.all("LANG") if line.text],
        "contact_points": list(_contact_points(card)),
        "addresses": list(_addresses(card)),
        "external_ref": card.text("UID"),
    }


def _kind(card: _Card, *, named: bool, organization: str, display: str) -> str:
    said = card.text("KIND") or card.text("X-ABSHOWAS") or card.text("X-CRM-KIND")
    if said.upper() in _KINDS:
        return _KINDS[said.upper()]
    looks_like_one = bool(organization) and not named and display == organization
    return "organization" if looks_like_one and not said else "person"


def _birth_date(card: _Card) -> date | None:
    text = card.text("BDAY")
    if not text:
        return None
    match = _BIRTHDAY.fullmatch(text)
    try:
        return date.fromisoformat("-".join(match.groups() if match else ()))
    except ValueError:
        card.ignored.add("BDAY")
        return None


def _contact_points(card: _Card) -> Iterator[ContactPoint]:
    for name, channel in CHANNELS.items():
        for line in card.all(name):
            value = re.sub(r"^(tel|mailto):", "", line.text, flags=re.IGNORECASE).strip()
            if value:
                yield {"channel": channel, "value": value, "label": _label(card, line, _LABELS)}


def _addresses(card: _Card) -> Iterator[Address]:
    for line in card.all("ADR"):
        if any(line.parts):
            yield _address(card, line)


def _address(card: _Card, line: Line) -> Address:
    box, extended, street, city, region, postal_code, country = [*line.parts, *[""] * 7][:7]
    code = country_code(country) or ""
    if country and not code:
        card.ignored.add(f"ADR country {country!r}")
    return {
        "purpose": _label(card, line, _PURPOSES) or "other",
        "street": _joined("\n", [box, extended, street]),
        "postal_code": postal_code,
        "city": city,
        "region": region,
        "country_code": code,
    }


def _label(card: _Card, line: Line, known: dict[str, str]) -> str:
    """Return the custom label of the line's group (Apple's ``X-ABLabel``), else the first known type."""
    custom = next((text for text in _group_labels(card, line.group) if text), "")
    return custom or next((label for name, label in known.items() if name in line.types), "")


def _group_labels(card: _Card, group: str) -> Iterator[str]:
    for line in card.all("X-ABLABEL") if group else ():
        if line.group == group:
            apple = re.fullmatch(r"_\$!<(.*)>!\$_", line.text)
            yield apple[1].lower() if apple else line.text


def _joined(separator: str, texts: list[str]) -> str:
    return separator.join(text for text in texts if text)
