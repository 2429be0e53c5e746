"""Matches the rows of files: which columns hold which fields, and the keys under which pairs are told.

Reads through the importer's sources, so encodings, separators and compression are found out alike. No database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from flask_babel import gettext as _

from crm_kernel.customers.duplicates.matcher import THRESHOLD, match_between, match_within
from crm_kernel.customers.duplicates.profiles import SLOTS, Profile, Profiler
from crm_kernel.customers.duplicates.weights import reasons
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.sources import Source, open_source

_SLOT_OF = {name: slot for slot, names in SLOTS.items() for name in names}
#: Collections of the customer's schema → what stands for a part's value without a kind.
_COLLECTIONS = {"addresses": "", "contact_points": "", "identifiers": "identifier"}
#: Fields that are compared by equality alone.
_PLAIN = ("prefix", "suffix", "job_title", "industry", "website", "language", "timezone", "source", "legal_name")


@dataclass(frozen=True, slots=True)
class Match:
    """Two rows that are one customer: their keys, how probable that is, and what they agree on."""

    a: str
    b: str
    probability: float
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a column's text goes: the slot, and for an identifier its type."""

    slot: str
    type: str = ""

    def text(self, value: str) -> str:
        return f"{self.type}:{value}" if self.slot == "identifier" else value


def match_files(
    paths: Sequence[Path],
    *,
    key: str | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
    region: str | None = None,
) -> list[Match]:
    """Return the duplicates within one file, or the pairs between two, in the order of the rows.

    Args:
        key: column that names a row in the result (default: the row's number, from 1); it is never compared.
        columns: mapping of column → field, as in a mapping of ``crm import``; several columns may hold one field.
            Columns that a file lacks are left out of it. Default: columns are named as fields.
        threshold: least probability told.
        region: ISO 3166 country of phone numbers written without one.

    Raises:
        InvalidInput: a file cannot be read, or names no field; a column or field does not exist.
    """
    sources = [open_source(path) for path in paths]
    targets = _targets(sources, columns, key)
    profiler = Profiler(region)
    sides = [_read(source, targets, key, profiler) for source in sources]
    (keys, profiles), (other_keys, others) = sides[0], sides[-1]
    within = len(sides) == 1
    pairs = (
        match_within(profiles, threshold=threshold) if within else match_between(profiles, others, threshold=threshold)
    )
    return [Match(keys[p.a], other_keys[p.b], round(p.probability, 6), reasons(p.vector)) for p in pairs]


def profiles_in(path: Path, *, columns: Mapping[str, str] | None = None, region: str | None = None) -> list[Profile]:
    """Return the profiles of a file's rows; arguments and errors as for ``match_files``."""
    source = open_source(path)
    return _read(source, _targets([source], columns, None), None, Profiler(region))[1]


def slot_of(field: str) -> tuple[str, str]:
    """Return the (slot, type) a field fills: ``addresses.city`` → ``city``, ``identifiers.siren`` → its type too.

    Raises:
        InvalidInput: no customer has such a field, or it is not compared.
    """
    head, _dot, rest = field.partition(".")
    name = ".".join(part for part in rest.split(".") if not part.isdigit() and part != "value")
    if head in _COLLECTIONS and rest:
        name = name or _COLLECTIONS[head]
        if head == "identifiers":
            return "identifier", name if name != "identifier" else ""
        field = name
    if field in _SLOT_OF:
        return _SLOT_OF[field], ""
    if field in _PLAIN or field.startswith("cf_"):
        return field, ""
    known = ", ".join(dict.fromkeys([*_SLOT_OF, *_PLAIN]))
    raise InvalidInput({field: [_("no field that customers are compared by; known: %(known)s.", known=known)]})


def _targets(sources: Sequence[Source], columns: Mapping[str, str] | None, key: str | None) -> dict[str, _Target]:
    present = dict.fromkeys(chain.from_iterable(source.columns for source in sources))
    for source in sources:
        if key is not None and key not in source.columns:
            raise InvalidInput({source.name: [_no_column(key, source.columns)]})
    if columns:
        for column in columns:
            if column not in present:
                raise InvalidInput({sources[0].name: [_no_column(column, present)]})
        return {column: _Target(*slot_of(field)) for column, field in columns.items() if column != key}
    found = {column: target for column in present if column != key and (target := _by_name(column))}
    if not found:
        raise InvalidInput({sources[0].name: [_("no column is named as a field: say which are with --map.")]})
    return found


def _by_name(column: str) -> _Target | None:
    try:
        return _Target(*slot_of(column))
    except InvalidInput:
        return None


def _no_column(column: str, columns: Mapping[str, Any] | Sequence[str]) -> str:
    return str(_("has no column %(column)r; it has %(columns)s.", column=column, columns=", ".join(columns)))


def _read(
    source: Source, targets: Mapping[str, _Target], key: str | None, profiler: Profiler
) -> tuple[list[str], list[Profile]]:
    keys, profiles = [], []
    for number, row in enumerate(source.rows(), 1):
        values: dict[str, list[str]] = {}
        for column, target in targets.items():
            for text in _texts(row.values.get(column)):
                values.setdefault(target.slot, []).append(target.text(text))
        keys.append(str(row.values[key]) if key is not None else str(number))
        profiles.append(profiler.profile(values))
    return keys, profiles


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and (text := str(value).strip()):
        yield text
