"""How the kernel compares words: one folding and one tokenizer for search, sorting and matching.

Owns the two functions that decide whether two words are "the same". Full-text search stores and queries with them
on SQLite and on PostgreSQL alike, so neither database's own accent or token rules matter. Must not know customers,
databases or languages. A change here makes every stored index and sort name stale: re-index after it.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters that Unicode does not decompose although people type them without the stroke or as two letters.
_LETTERS = str.maketrans(
    {
        "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ĸ": "k", "ŋ": "ng",
        "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th", "ƒ": "f", "ɓ": "b", "ɗ": "d", "ɖ": "d", "ɛ": "e", "ɔ": "o",
        "ƀ": "b", "ǥ": "g", "ɨ": "i", "ɉ": "j", "ƙ": "k", "ƞ": "n", "ɵ": "o", "ƥ": "p", "ƭ": "t", "ʉ": "u",
        "ⱥ": "a", "ȼ": "c", "ɇ": "e", "ɍ": "r", "ɏ": "y", "ƶ": "z", "ƴ": "y",
    }
)  # fmt: skip

#: Not ``\w+``: the underscore is a separator for FTS5 and for PostgreSQL, and "dupont" must find "jean_dupont".
_TOKEN = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """Return ``text`` without case, accents and look-alike letters: ``Łódź Straße ﬁn`` becomes ``lodz strasse fin``.

    Spaces and punctuation stay. Folding twice changes nothing, and the result holds no combining mark of any script
    (marks are no ``\\w``, they would cut Hindi or Thai words into pieces). German umlauts lose their dots and are
    not spelt out (``Müller`` becomes ``muller``, not ``mueller``). Costs 0.1 µs for ASCII, a few µs for the rest.
    """
    if text.isascii():
        return text.lower()
    folded = _without_marks(_without_marks(text).casefold())
    return unicodedata.normalize("NFC", folded.translate(_LETTERS))


def tokens(text: str) -> list[str]:
    """Return the folded words of ``text`` in order, repeats kept: ``L'Oréal_2`` gives ``["l", "oreal", "2"]``.

    A word is a run of letters and digits; everything else, the underscore included, separates.
    """
    return _TOKEN.findall(fold(text))


def _without_marks(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if unicodedata.category(char)[0] != "M")
