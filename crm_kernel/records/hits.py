"""Finds the first records of a type for what somebody types, in time that hardly grows with their number.

Several ways, the cheapest first, until there are enough: titles that begin with the text, read in their order; the first
hits of the full-text index; where the index has more and the actor may not see all records, those that he sees; and names
that are spelt a little otherwise. Each reads a bounded number of rows. Lists read all hits (``search.matching``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.policy import sees_all, visible
from crm_kernel.records.models import TITLE_START, SearchEntry
from crm_kernel.records.plan import said_title, title_column
from crm_kernel.records.search import entries_found, searched
from crm_kernel.records.typos import SHORTEST, fits, slips
from crm_kernel.records.word_query import MAX_WORDS, Searched, WordQuery, beginnings, conditions
from crm_kernel.text import tokens

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Entries of a type that one way looks at. Whoever types what more records have sees some of them, and types on.
LOOKED_AT = 2_000
#: Records that are looked through for one who may not see all, where the first entries were mostly those of others.
SEEN = 50_000
#: Records that one query asks the visibility of.
TOLD_APART = 200
#: With fewer hits, names that are spelt a little otherwise are looked for as well.
FEW = 3
#: Behind every letter in the order of their codes.
_LAST = "\U0010ffff"

#: Public id → title, in the order in which they are shown.
Hits = Mapping[Any, str]


@dataclass(frozen=True)
class Asked:
    """What is looked for in one record type, and for whom."""

    uow: UnitOfWork
    record_type: RecordType
    words: tuple[str, ...]
    limit: int

    @classmethod
    def of(cls, uow: UnitOfWork, record_type: RecordType, text: str, limit: int) -> Asked:
        """Return what a text asks for."""
        return cls(uow, record_type, tuple(tokens(text)[:MAX_WORDS]), limit)

    @cached_property
    def visible(self) -> sa.ColumnElement[bool]:
        """Which records the actor sees: long for some types, hence made once."""
        return visible(self.uow.actor, self.record_type)

    @cached_property
    def searched(self) -> Searched:
        """Which words of the records may be looked at."""
        return searched(self.uow.actor, self.record_type)

    @property
    def exactly(self) -> WordQuery:
        """The query for the words as they are typed."""
        return beginnings(self.words, self.searched)

    @property
    def hardly(self) -> bool:
        """Whether a single letter is typed, or none: everybody has it somewhere, and the index would read most of itself."""
        return len("".join(self.words)) <= 1

    def hits(self, statement: sa.Select[Any]) -> Hits:
        """Return the public ids and titles that a statement selects."""
        return {row[0]: str(row[1]) for row in self.uow.session.execute(statement)}


def first_hits(asked: Asked, *, forgiving: bool) -> Hits:
    """Return the first records that fit, forgiving slips where fewer than ``FEW`` fit exactly; two to six queries."""
    ways: list[tuple[Callable[[Asked], Hits], int]] = [(way, asked.limit) for way in (titles_begun, _indexed, _own)]
    if forgiving and any(len(word) >= SHORTEST for word in asked.words):
        ways.append((_nearly, min(FEW, asked.limit)))
    found: dict[Any, str] = {}
    for way, enough in ways:
        if len(found) < enough:
            found |= {uid: title for uid, title in way(asked).items() if uid not in found}
    return dict(list(found.items())[: asked.limit])


def titles_begun(asked: Asked) -> Hits:
    """Return visible records whose titles begin with the words typed, by title; of all titles where no word is typed.

    The titles are walked from the text on, and what is read is what is shown; as much as is looked at for one who sees
    few of them.
    """
    model, said, text = asked.record_type.model, said_title(asked.record_type), " ".join(asked.words)
    start = title_start(asked.uow)
    # The index has the first letters only: what is beyond them is compared after it.
    entries = (
        sa.select(SearchEntry.record_id, start.label("start"))
        .where(SearchEntry.record_type == asked.record_type.name, start >= text[:16], start < text[:16] + _LAST)
        .where(*([SearchEntry.title.startswith(text, autoescape=True)] if len(text) > 16 else []))
    )
    if not sees_all(asked.uow.actor, asked.record_type):
        entries = entries.order_by(start, SearchEntry.record_id).limit(LOOKED_AT)
    first = entries.subquery()
    statement = sa.select(model.uid, said).join(first, first.c.record_id == model.id).where(asked.visible)
    return asked.hits(statement.order_by(first.c.start, first.c.record_id).limit(asked.limit))


def title_start(uow: UnitOfWork) -> Any:
    """Return the beginning of an entry's title as its index has it."""
    own = TITLE_START[uow.session.get_bind().dialect.name]
    return sa.literal_column(own.replace("title", "search_entry.title"), sa.Text)


def _indexed(asked: Asked) -> Hits:
    """Return visible records among the first that have the words, by title."""
    model, title, said = asked.record_type.model, title_column(asked.record_type), said_title(asked.record_type)
    first = _first_by_title(asked) if asked.hardly else entries_found(asked.record_type, asked.exactly)
    found = (first if asked.hardly else first.limit(LOOKED_AT)).subquery()
    statement = sa.select(model.uid, said).join(found, found.c.record_id == model.id).where(asked.visible)
    return asked.hits(statement.order_by(title, model.id).limit(asked.limit))


def _first_by_title(asked: Asked) -> sa.Select[Any]:
    """Return those with a word that begins with the one letter, among the first records of the type by title."""
    first = (
        sa.select(SearchEntry.record_id, SearchEntry.title, SearchEntry.body)
        .where(SearchEntry.record_type == asked.record_type.name)
        .order_by(title_start(asked.uow), SearchEntry.record_id)
        .limit(LOOKED_AT)
        .subquery()
    )
    return sa.select(first.c.record_id).where(*conditions(asked.exactly, first.c))


def _own(asked: Asked) -> Hits:
    """Return hits among the records that the actor sees, where others have more of them than are looked at."""
    every = sa.select(SearchEntry.record_id).where(SearchEntry.record_type == asked.record_type.name)
    # In the order of their index, for SQLite does not use it otherwise where most entries are of one type.
    entries = every.order_by(SearchEntry.record_id)
    if not _outnumbered(asked, entries if asked.hardly else entries_found(asked.record_type, asked.exactly)):
        return {}
    seen, model, said = _seen(asked), asked.record_type.model, said_title(asked.record_type)
    fitting = sa.select(seen).where(_entry(asked, seen, sa.literal(1), asked.exactly) == 1)
    first = fitting.order_by(seen.c.title, seen.c.id).limit(asked.limit).subquery()
    statement = sa.select(model.uid, said).join(first, first.c.id == model.id)
    return asked.hits(statement.order_by(first.c.title, first.c.id))


def _nearly(asked: Asked) -> Hits:
    """Return visible records whose titles hold words like those typed, the oldest first."""
    query = slips(asked.words, asked.searched)
    like = entries_found(asked.record_type, query)
    if _outnumbered(asked, like):
        seen = _seen(asked)
        own = sa.select(seen.c.id).where(_entry(asked, seen, SearchEntry.record_id, query) == seen.c.id)
        like = sa.select(SearchEntry.record_id).where(SearchEntry.record_type == asked.record_type.name)
        like = like.where(SearchEntry.record_id.in_(own.limit(LOOKED_AT).scalar_subquery()))
    words = like.add_columns(SearchEntry.title, SearchEntry.body).limit(LOOKED_AT)
    rows = asked.uow.session.execute(words)
    return _of_keys(asked, sorted(key for key, own, body in rows if fits(asked.words, own, body, asked.searched)))


def _of_keys(asked: Asked, keys: Sequence[int]) -> Hits:
    """Return the first visible ones of some records; mostly one query, for few names are alike."""
    model, said = asked.record_type.model, said_title(asked.record_type)
    statement = sa.select(model.uid, said).where(asked.visible).order_by(model.id).limit(asked.limit)
    hits: dict[Any, str] = {}
    for start in range(0, len(keys), TOLD_APART):
        if len(hits) < asked.limit:
            hits |= asked.hits(statement.where(model.id.in_(keys[start : start + TOLD_APART])))
    return hits


def _outnumbered(asked: Asked, entries: sa.Select[Any]) -> bool:
    """Say whether there are more entries than are looked at, of records that the actor may not all see."""
    if sees_all(asked.uow.actor, asked.record_type):
        return False
    count = sa.select(sa.func.count()).select_from(entries.limit(LOOKED_AT + 1).subquery())
    return bool(asked.uow.session.execute(count).scalar_one() > LOOKED_AT)


def _seen(asked: Asked) -> sa.Subquery:
    """Return the records that the actor sees: who sees few has an index for them, an owner's or a team's."""
    model, title = asked.record_type.model, title_column(asked.record_type)
    return sa.select(model.id, title.label("title")).where(asked.visible).limit(SEEN).subquery()


def _entry(asked: Asked, seen: sa.Subquery, what: Any, query: WordQuery) -> Any:
    """Return something of a record's entry if a query finds it: a value, because no database turns that into a join."""
    of_record = (SearchEntry.record_type == asked.record_type.name, SearchEntry.record_id == seen.c.id)
    return sa.select(what).where(*of_record, *conditions(query, SearchEntry)).correlate(seen).scalar_subquery()
