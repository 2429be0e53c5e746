"""Texts made of columns, as ``{First} {Last}``: taken apart once, put together row by row.

A pattern comes from whoever sends the mapping. ``str.format`` would do what else it can say for every row: reserve the
memory for ``{First:>300000000}``, look at ``{First.__class__}``.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.sources import Source

#: Characters of one text, as many as a cell may have.
MAX_TEXT = 131_072

#: Texts that stay as they are, each with the column that follows it, if one does.
Pattern = tuple[tuple[str, str | None], ...]


def read_pattern(name: str, text: Any, source: Source) -> Pattern:
    """Return the pieces of a text with columns in braces; ``name`` is the field it is for.

    Raises:
        InvalidInput: the file lacks a column, or braces hold something else than the name of one.
    """
    try:
        pieces = list(string.Formatter().parse(str(text)))
    except ValueError as error:
        raise _wrong(name, text, source) from error
    for _literal, column, form, conversion in pieces:
        # JSON lines without a row have no columns
        known = column is None or column in source.columns or not source.columns
        if not known or form or conversion:
            raise _wrong(name, text, source)
    return tuple((literal, column) for literal, column, _form, _conversion in pieces)


def filled(pattern: Pattern, values: Mapping[str, Any]) -> str | None:
    """Return the text of a row, with single spaces; None if it is empty. What a row lacks is an empty text.

    Raises:
        ValueError: it would be too long; says what was expected.
    """
    found = [piece for literal, column in pattern for piece in (literal, _text(values, column))]
    if sum(map(len, found)) > MAX_TEXT:
        raise ValueError(_("columns of together at most %(most)s characters", most=MAX_TEXT))
    return " ".join("".join(found).split()) or None


def _text(values: Mapping[str, Any], column: str | None) -> str:
    value = None if column is None else values.get(column)
    return "" if value is None else str(value)


def _wrong(name: str, text: Any, source: Source) -> InvalidInput:
    message = _(
        "texts.%(name)s: found %(text)r, expected columns in braces: %(found)s.",
        name=name,
        text=text,
        found=", ".join(source.columns),
    )
    return InvalidInput({source.name: [message]})
