"""Finds records although a name is mistyped: one slip in a word, two in a long one. The same on both databases.

Beside its words, a record's entry keeps the three-letter pieces of its title's words as tokens of the same index. A slip
spoils one half of a word and leaves the pieces of the other: records that hold all pieces of either half are read, few of
them, and then compared letter by letter. What is hidden from the actor is not looked at: only titles have pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import OSA

from crm_kernel.records.pieces import cut, padded
from crm_kernel.records.word_query import Searched, Term, WordQuery

#: Shorter words are too much alike.
SHORTEST = 4


def slips(words: Sequence[str], searched: Searched) -> WordQuery:
    """Return the query for records with words like those given, and some others: ``fits`` tells them apart."""
    return [[[Term(word, searched)], *([Term(piece) for piece in half] for half in _halves(word))] for word in words]


def fits(words: Sequence[str], title: str, body: str, searched: Searched) -> bool:
    """Say whether each word begins a word of an entry that is searched, or is nearly one of its title."""
    named = title.split()
    known = [*named, *body.split()] if searched is Searched.ALL else named
    return all(
        any(found.startswith(word) for found in known) or any(alike(word, name) for name in named) for word in words
    )


def _halves(word: str) -> list[list[str]]:
    """Return what is left whole by a slip: the pieces of the right or of the left half, or both ends around the middle."""
    if len(word) < SHORTEST:
        return []
    full = padded(word)
    middle = len(full) // 2
    ways = [cut(full[:middle]), cut(full[middle:]), [*cut(full[: middle - 1]), *cut(full[middle + 1 :])]]
    return [way for way in ways if way]


def alike(word: str, known: str) -> bool:
    """Say whether two words differ by a slip: a letter wrong, missing, too many, or two swapped; two from eight letters on."""
    most = 0 if len(word) < SHORTEST else 1 if len(word) < 8 else 2
    return most > 0 and OSA.distance(word, known, score_cutoff=most) <= most
