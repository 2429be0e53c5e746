"""What is looked for in the words of records, and how each database writes it.

A query is a list of words, all of which a record must have; each word has alternatives, and each alternative terms that
stand together. The full-text indexes of both databases take it, and so does the text of one entry (``conditions``), for
where looking at a few records is cheaper than the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa

#: Words of a query beyond these are not looked at: nobody types more, and each costs an index walk.
MAX_WORDS = 8


class Searched(Enum):
    """Which words of an entry are looked at: the column's name for FTS5, the weight for PostgreSQL."""

    ALL = ("", "")
    TITLES = ("title : ", "A")

    def __init__(self, fts5: str, weight: str) -> None:
        self.fts5, self.weight = fts5, weight


@dataclass(frozen=True, slots=True)
class Term:
    """The beginning of a word among those ``searched``, or a piece of a title's word: pieces stand behind the body."""

    text: str
    searched: Searched | None = None

    def fts5(self) -> str:
        """Return the term as FTS5 wants it."""
        return f'{self.searched.fts5}"{self.text}"*' if self.searched else f'"{self.text}"'

    def tsquery(self) -> str:
        """Return the term as PostgreSQL wants it."""
        return f"{self.text}:*{self.searched.weight}" if self.searched else self.text

    def within(self, entry: Any) -> sa.ColumnElement[bool]:
        """Return the predicate over the title and the body of an entry; pieces are all of one length."""
        words: sa.ColumnElement[str] = sa.literal(" ") + entry.title
        if self.searched is not Searched.TITLES:
            words = words + " " + entry.body
        return words.contains(f" {self.text}", autoescape=True)


#: Word → alternatives → terms that stand together.
WordQuery = Sequence[Sequence[Sequence[Term]]]


def beginnings(words: Sequence[str], searched: Searched) -> WordQuery:
    """Return the query for records of which a word begins with each of those given."""
    return [[[Term(word, searched)]] for word in words]


def index_query(query: WordQuery, dialect: str) -> str:
    """Return a query as the full-text index of a database takes it."""
    if dialect == "sqlite":
        return _written(query, Term.fts5, " AND ", " OR ")
    return _written(query, Term.tsquery, " & ", " | ")


def conditions(query: WordQuery, entry: Any) -> list[sa.ColumnElement[bool]]:
    """Return the predicates that an entry which a query finds fulfils, one per word."""
    return [sa.or_(*(sa.and_(*(term.within(entry) for term in terms)) for terms in word)) for word in query]


def _written(query: WordQuery, term: Any, both: str, either: str) -> str:
    words = (either.join(f"({both.join(map(term, terms))})" for terms in word) for word in query)
    return both.join(f"({word})" for word in words)
