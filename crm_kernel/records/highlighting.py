"""Finds which parts of a title a search has found: templates mark them, and escape everything as ever."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from crm_kernel.records.typos import alike
from crm_kernel.text import fold, tokens

#: A word with the accents that may stand behind its letters.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")


def highlighted(title: str, text: str) -> list[tuple[str, bool]]:
    """Return a title in pieces, each with whether the text found it: beginnings of words, and words that are nearly so.

    The pieces make up the title letter by letter.
    """
    typed = tokens(text)
    pieces: list[tuple[str, bool]] = []
    end = 0
    for start, stop in _places(title, typed):
        pieces += [(title[end:start], False), (title[start:stop], True)]
        end = stop
    return [piece for piece in (*pieces, (title[end:], False)) if piece[0]]


def _places(title: str, typed: Sequence[str]) -> Iterator[tuple[int, int]]:
    for found in _WORD.finditer(title):
        word = fold(found[0])
        begun = max((len(start) for start in typed if word.startswith(start)), default=0)
        if begun and len(word) == len(found[0]):
            yield found.start(), found.start() + begun
        elif begun or any(alike(start, word) for start in typed):
            yield found.span()  # "Œ" is two letters when it is folded: the whole word is marked
