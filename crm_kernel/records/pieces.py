"""Cuts words into the three-letter pieces that the search index keeps for mistyped names."""

from __future__ import annotations

from collections.abc import Iterable

#: Begins every piece: a letter to both databases, and one that hardly anybody's word begins with (Tifinagh yaz). With an
#: everyday letter, whoever types it as the beginning of a word would find everything.
MARK = "ⵣ"
#: Words of a title that are cut: names have few.
MOST = 6


def pieces_of(words: Iterable[str]) -> list[str]:
    """Return the pieces of the first words that are long enough, each piece once, in order."""
    long = [word for word in words if len(word) >= 4][:MOST]
    return list(dict.fromkeys(piece for word in long for piece in cut(padded(word))))


def padded(word: str) -> str:
    """Return a word with its beginning and its end marked; letters and digits only, as both databases' indexes want."""
    return f"0{word}1"


def cut(text: str) -> list[str]:
    """Return every three neighbouring letters of a text, marked as pieces: ``marc`` gives ``mar`` and ``arc``."""
    return [MARK + text[start : start + 3] for start in range(len(text) - 2)]
