"""Characters nobody sees: pasted direction marks, zero-width spaces, byte order marks.

Owns their removal before a value is parsed; they come from Windows contacts, spreadsheets and web pages.
"""

from __future__ import annotations

import unicodedata

_SPACES = " \t\r\n\f\v\xa0"
_MARKS = "\xad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


def visible(raw: str) -> str:
    """Return ``raw`` without format characters anywhere (Unicode Cf) and without white space at its ends."""
    if raw.isascii():
        return raw.strip()
    return "".join(char for char in raw if unicodedata.category(char) != "Cf").strip()


def trimmed(raw: str) -> str:
    """Return ``raw`` without white space and format characters at its ends; inside they stay (Persian needs them)."""
    return raw.strip(_SPACES + _MARKS)
