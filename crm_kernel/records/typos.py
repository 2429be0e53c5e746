"""Finds records although a name is mistyped: one slip in a word, two in a long one. The same on both databases.

Beside its words, a record's entry keeps the three-letter pieces of its title's words as tokens of the same index. A slip
spoils one half of a word and leaves the pieces of the other: records that hold all pieces of either half are read, few of
them, and then compared letter by letter. What is hidden from the actor is not looked at: only titles have pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from rapidfuzz.distance import OSA

from crm_kernel.access.policy import visible
from crm_kernel.database import db
from crm_kernel.records.models import SearchEntry
from crm_kernel.records.pieces import cut, padded
from crm_kernel.records.plan import title_column
from crm_kernel.records.search import MAX_WORDS, Searched, searched
from crm_kernel.text import tokens

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Shorter words are too much alike.
SHORTEST = 4
#: Records that are compared letter by letter per type and query.
COMPARED = 100


def similar_records(uow: UnitOfWork, record_type: RecordType, text: str, *, limit: int) -> list[tuple[Any, str]]:
    """Return (public id, title) of visible records whose titles hold words like those typed, the oldest first; one query."""
    words = tokens(text)[:MAX_WORDS]
    if not any(len(word) >= SHORTEST for word in words):
        return []
    looked_at = searched(uow.actor, record_type)
    model, title = record_type.model, title_column(record_type)
    statement = (
        sa.select(model.uid, title, SearchEntry.title, SearchEntry.body)
        .join(SearchEntry, sa.and_(SearchEntry.record_type == record_type.name, SearchEntry.record_id == model.id))
        .where(_like(words, looked_at), visible(uow.actor, record_type))
        .order_by(model.id)
        .limit(COMPARED)
    )
    found = [
        (uid, str(named))
        for uid, named, own, body in uow.session.execute(statement)
        if _fits(words, own.split(), body.split() if looked_at is Searched.ALL else [])
    ]
    return found[:limit]


def _like(words: Sequence[str], looked_at: Searched) -> sa.ColumnElement[bool]:
    if db.engine.dialect.name == "sqlite":
        query = " AND ".join(f"({_fts5(word, looked_at)})" for word in words)
        return SearchEntry.id.in_(
            sa.text("SELECT rowid FROM search_entry_fts WHERE search_entry_fts MATCH :like_query").bindparams(
                like_query=query
            )
        )
    query = " & ".join(f"({_tsquery(word, looked_at)})" for word in words)
    return sa.text(
        "(setweight(to_tsvector('simple', search_entry.title), 'A') || "
        "setweight(to_tsvector('simple', search_entry.body), 'B')) @@ to_tsquery('simple', :like_query)"
    ).bindparams(like_query=query)  # type: ignore[return-value]


def _fts5(word: str, looked_at: Searched) -> str:
    halves = (" AND ".join(f'body : "{piece}"' for piece in half) for half in _halves(word))
    return " OR ".join((f'{looked_at.fts5}"{word}"*', *(f"({half})" for half in halves)))


def _tsquery(word: str, looked_at: Searched) -> str:
    halves = (" & ".join(f"{piece}:B" for piece in half) for half in _halves(word))
    return " | ".join((f"{word}:*{looked_at.weight}", *(f"({half})" for half in halves)))


def _halves(word: str) -> list[list[str]]:
    """Return what is left whole by a slip: the pieces of the right or of the left half, or both ends around the middle."""
    if len(word) < SHORTEST:
        return []
    full = padded(word)
    middle = len(full) // 2
    ways = [cut(full[:middle]), cut(full[middle:]), [*cut(full[: middle - 1]), *cut(full[middle + 1 :])]]
    return [way for way in ways if way]


def _fits(words: Sequence[str], title: Sequence[str], body: Sequence[str]) -> bool:
    return all(
        any(known.startswith(word) for known in (*title, *body)) or any(_alike(word, known) for known in title)
        for word in words
    )


def _alike(word: str, known: str) -> bool:
    """Say whether two words differ by a slip: a letter wrong, missing, too many, or two swapped; two from eight letters on."""
    most = 0 if len(word) < SHORTEST else 1 if len(word) < 8 else 2
    return most > 0 and OSA.distance(word, known, score_cutoff=most) <= most
