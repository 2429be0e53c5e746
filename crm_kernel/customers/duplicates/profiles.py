"""What of a customer is compared: names, dates, places and numbers, folded once and ready for many comparisons.

Owns the field names a file may be mapped to and how their texts become a ``Profile``. Knows neither databases nor
files. A record's key is carried beside its profile and never compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from crm_kernel.customers.values.emails import EmailParser
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.phones import PhoneKeyParser
from crm_kernel.text import fold, tokens

#: Words of streets that say nothing: what is left tells streets apart.
_STREET_WORDS = frozenset(
    [
        "street",
        "st",
        "road",
        "rd",
        "avenue",
        "ave",
        "av",
        "lane",
        "ln",
        "drive",
        "dr",
        "court",
        "ct",
        "place",
        "pl",
        "crescent",
        "cres",
        "close",
        "circuit",
        "cct",
        "parade",
        "pde",
        "way",
        "terrace",
        "tce",
        "highway",
        "hwy",
        "boulevard",
        "bd",
        "blvd",
        "square",
        "sq",
        "grove",
        "gr",
        "rise",
        "walk",
        "row",
        "mews",
        "rue",
        "chemin",
        "allee",
        "allees",
        "impasse",
        "quai",
        "cours",
        "route",
        "bis",
        "ter",
        "flat",
        "unit",
        "apt",
        "apartment",
        "lot",
        "no",
        "villa",
        "village",
        "the",
        "de",
        "du",
        "des",
        "la",
        "le",
        "les",
        "d",
        "l",
    ]
)
#: Legal forms, left out of the names of organizations.
_LEGAL_FORMS = frozenset(
    [
        "ltd",
        "limited",
        "llc",
        "inc",
        "incorporated",
        "corp",
        "corporation",
        "co",
        "company",
        "plc",
        "gmbh",
        "ag",
        "kg",
        "ug",
        "sa",
        "sas",
        "sasu",
        "sarl",
        "eurl",
        "snc",
        "sci",
        "spa",
        "srl",
        "bv",
        "nv",
        "oy",
        "ab",
        "as",
        "aps",
        "pty",
        "group",
        "groupe",
        "holding",
        "the",
        "et",
        "and",
        "cie",
    ]
)
_DIGITS = re.compile(r"\d+")
_ISO = re.compile(r"(\d{4})\D?(\d{1,2})\D?(\d{1,2})(?:[T ].*)?\Z")
_EUROPEAN = re.compile(r"(\d{1,2})\D(\d{1,2})\D(\d{4})\Z")

#: Slot of a profile → the names of fields that fill it, as in the customer's schema and in mappings of imports.
SLOTS: Mapping[str, tuple[str, ...]] = {
    "given_name": ("given_name",),
    "family_name": ("family_name",),
    "name": ("display_name", "legal_name", "sort_name", "name"),
    "birth_date": ("birth_date",),
    "street": ("street", "street_number"),
    "postal_code": ("postal_code",),
    "city": ("city",),
    "region": ("region",),
    "country": ("country_code",),
    "email": ("email", "primary_email"),
    "phone": ("phone", "mobile", "fax", "primary_phone"),
    "identifier": ("identifier", "identifiers", "external_ref"),
    "kind": ("kind",),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """A customer as the matcher sees it; an empty text or tuple says that nothing is known."""

    given: str = ""
    family: str = ""
    #: Folded words of the whole name, sorted, without legal forms; of persons too.
    words: tuple[str, ...] = ()
    #: ``YYYYMMDD``, also where no such day exists: a mistyped date is compared digit by digit.
    birth: str = ""
    #: Folded words of the street in their order, without ``street`` and its like, and its numbers.
    street: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    postcode: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    emails: tuple[str, ...] = ()
    #: Digits, the national part last: what differs only in how the country is written ends alike.
    phones: tuple[str, ...] = ()
    #: (type, value) of each number others know the customer by.
    identifiers: tuple[tuple[str, str], ...] = ()
    #: (field, folded value) of what has no comparison of its own, in the order of the fields.
    others: tuple[tuple[str, str], ...] = ()
    #: ``person``, ``organization``, ``household``, or empty.
    kind: str = ""


class Profiler:
    """Makes profiles; remembers parsed e-mail addresses and phone numbers, so make one per file, request or scan.

    ``region`` (ISO 3166) completes phone numbers written without a country; without it they are compared as digits.
    """

    def __init__(self, region: str | None = None) -> None:
        self._emails = EmailParser()
        self._phones = PhoneKeyParser(region) if region else None
        # Names and places come again and again, by Zipf's law.
        self._folded = lru_cache(maxsize=50_000)(_joined)

    def profile(self, values: Mapping[str, Iterable[str]]) -> Profile:
        """Return the profile of one customer; ``values`` maps slot (of ``SLOTS``, or any other) → texts.

        A text of ``identifier`` is ``type:value``.
        """
        word = self._word
        given, family = (word(values.get(slot, ())) for slot in ("given_name", "family_name"))
        words = [w for text in values.get("name", ()) for w in tokens(text)]
        if not words and given and family:
            words = tokens(f"{given} {family}")
        street = [word for text in values.get("street", ()) for word in tokens(text)]
        return Profile(
            given=given,
            family=family,
            words=tuple(sorted({word for word in words if word not in _LEGAL_FORMS} or words)),
            birth=_date(_first(values.get("birth_date", ()))),
            street=tuple(word for word in street if not word.isdigit() and word not in _STREET_WORDS),
            numbers=tuple(dict.fromkeys(_leading_digits(word) for word in street if word[0].isdigit())),
            postcode="".join(tokens(_first(values.get("postal_code", ())))),
            city=word(values.get("city", ())),
            region=word(values.get("region", ())),
            country=word(values.get("country", ())),
            emails=tuple(dict.fromkeys(self._email(text) for text in values.get("email", ()) if text.strip())),
            phones=tuple(dict.fromkeys(filter(None, (self._phone(text) for text in values.get("phone", ()))))),
            identifiers=tuple(_identifiers(values)),
            others=tuple((name, word(texts)) for name, texts in values.items() if name not in _KNOWN and word(texts)),
            kind=_first(values.get("kind", ())),
        )

    def _word(self, texts: Iterable[str]) -> str:
        return self._folded(" ".join(texts))

    def _email(self, text: str) -> str:
        try:
            return self._emails(text).normalized
        except ValueProblem:
            return fold("".join(text.split()))

    def _phone(self, text: str) -> str:
        if self._phones is not None:
            try:
                return "".join(_DIGITS.findall(self._phones(text).partition(";")[0]))
            except ValueProblem:
                pass
        return "".join(_DIGITS.findall(text))


class StoredProfiler(Profiler):
    """Makes profiles of stored customers, whose addresses and numbers have their normal form already."""

    def _email(self, text: str) -> str:
        return text

    def _phone(self, text: str) -> str:
        return "".join(_DIGITS.findall(text.partition(";")[0]))


_KNOWN = frozenset(SLOTS)


def _identifiers(values: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, str]]:
    for text in values.get("identifier", ()):
        kind, _colon, value = text.partition(":")
        if compact := "".join(tokens(value)):
            yield kind, compact


def _first(texts: Iterable[str]) -> str:
    return next((text.strip() for text in texts if text and text.strip()), "")


def _joined(text: str) -> str:
    return " ".join(tokens(text))


def _leading_digits(word: str) -> str:
    found = _DIGITS.match(word)
    return found[0].lstrip("0") if found else word


def _date(text: str) -> str:
    if found := _ISO.match(text):
        return f"{found[1]}{int(found[2]):02}{int(found[3]):02}"
    if found := _EUROPEAN.match(text):
        return f"{found[3]}{int(found[2]):02}{int(found[1]):02}"
    return "".join(_DIGITS.findall(text))
