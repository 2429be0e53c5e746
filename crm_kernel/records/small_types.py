"""Finds records of types that have few: their words are read whole, those of all such types in one query.

Most types of an instance are small (users, teams, roles, rules), and each of the ways of ``hits`` would cost every one of
them a query for most of what is typed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.records.hits import FEW, Asked, Hits
from crm_kernel.records.models import SearchEntry
from crm_kernel.records.plan import said_title
from crm_kernel.records.typos import SHORTEST, fits
from crm_kernel.records.word_query import Searched

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Records that a small type has at the most.
SMALL = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """The folded words of one record."""

    key: int
    title: str
    body: str

    def begins(self, words: Sequence[str], searched: Searched) -> bool:
        """Say whether each word begins one of those that are searched."""
        known = self.title.split() if searched is Searched.TITLES else [*self.title.split(), *self.body.split()]
        return all(any(found.startswith(word) for found in known) for word in words)


def small_types(uow: UnitOfWork, types: Sequence[RecordType]) -> Mapping[str, Sequence[Entry]]:
    """Return the entries of those of the types that have few, by the type's name; one query."""
    parts = [_first_entries(record_type.name) for record_type in types]
    if not parts:
        return {}
    found: dict[str, list[Entry]] = defaultdict(list)
    for name, *entry in uow.session.execute(sa.union_all(*parts)):
        found[name].append(Entry(*entry))
    names = (record_type.name for record_type in types)
    return {name: found[name] for name in names if len(found[name]) <= SMALL}


def hits_among(asked: Asked, entries: Sequence[Entry]) -> Hits:
    """Return the first records that fit, as ``first_hits`` does for types with many; a query where an entry fits."""
    fitting = [entry for entry in entries if entry.begins(asked.words, asked.searched)]
    found = _visible(asked, fitting)
    if len(found) < min(FEW, asked.limit) and any(len(word) >= SHORTEST for word in asked.words):
        others = (entry for entry in entries if entry not in fitting)
        found |= _visible(asked, [e for e in others if fits(asked.words, e.title, e.body, asked.searched)])
    return dict(list(found.items())[: asked.limit])


def _first_entries(name: str) -> sa.Select[Any]:
    entries = sa.select(SearchEntry.record_type, SearchEntry.record_id, SearchEntry.title, SearchEntry.body)
    # The order keeps SQLite on its index: where one type has most of the entries, it reads all of them for any other.
    first = entries.where(SearchEntry.record_type == name).order_by(SearchEntry.record_id).limit(SMALL + 1)
    return sa.select(first.subquery())


def _visible(asked: Asked, entries: Sequence[Entry]) -> dict[Any, str]:
    """Return the visible ones of some records: titles that begin with the text, then the others, each by title."""
    if not entries:
        return {}
    model, text = asked.record_type.model, " ".join(asked.words)
    statement = sa.select(model.id, model.uid, said_title(asked.record_type))
    wanted = statement.where(model.id.in_([entry.key for entry in entries]), asked.visible)
    rows = {row[0]: (row[1], str(row[2])) for row in asked.uow.session.execute(wanted)}
    shown = sorted(entries, key=lambda entry: (not entry.title.startswith(text), entry.title, entry.key))
    return dict(rows[entry.key] for entry in shown if entry.key in rows)
