"""Keeps text from being run as a formula by a spreadsheet, and gives the very text back when the file is read again.

A cell that starts with ``=``, ``+``, ``-``, ``@``, a tab, a line break or their full-width forms (quotes, apostrophes
and spaces before it do not count) gets an apostrophe in front; exactly one is taken off again by the importer.
"""

from __future__ import annotations

import re

_DANGEROUS = re.compile("['\"\\s\u00a0\u3000]*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212\t\r\n]")


def neutralised(text: str) -> str:
    """Return text that no spreadsheet runs."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def restored(text: str) -> str:
    """Return the text that ``neutralised`` was given."""
    return text[1:] if text[:1] == "'" and _DANGEROUS.match(text, 1) else text
