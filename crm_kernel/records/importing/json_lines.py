"""Reads one line of a JSON lines file as an object whose values can be stored, and told of."""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask_babel import gettext as _

#: NUL as JSON writes it in a text: an odd number of backslashes before it.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
#: Lists and objects in each other.
_MOST_NESTED = 50


def read_object(line: str) -> dict[str, Any]:
    """Return the object of a line.

    Raises:
        ValueError: it is no JSON object, holds a NUL character, or is nested too deeply to be written again.
    """
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(_("not valid JSON: %(reason)s.", reason=error)) from error
    if not isinstance(found, dict):
        raise ValueError(_("expected a JSON object, found %(found)s.", found=type(found).__name__))
    if _NUL.search(line):
        raise ValueError(_("holds a NUL character: expected text."))
    if line.count("[") + line.count("{") > _MOST_NESTED and _depth(found) > _MOST_NESTED:
        raise ValueError(_("lists and objects are nested more than %(most)s deep.", most=_MOST_NESTED))
    return found


def _depth(found: Any) -> int:
    """Return how deep lists and objects are nested, counting as far as one beyond the bound."""
    depth, level = 0, [found]
    while level and depth <= _MOST_NESTED:
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        depth += 1
    return depth
