"""Flattens marshmallow's nested messages into the one form our errors have: path → texts in the reader's language."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from flask_babel import gettext as _

from crm_kernel.errors import N_

#: What marshmallow says of itself. It has no catalogue, and its classes copy their messages when a schema is declared,
#: before anybody knows the reader: so they are translated here, by what they say.
_PLAIN = frozenset(
    {
        N_("Missing data for required field."),
        N_("Field may not be null."),
        N_("Unknown field."),
        N_("Invalid input type."),
        N_("Invalid type."),
        N_("Invalid value."),
        N_("Invalid input."),
        N_("Not a valid string."),
        N_("Not a valid list."),
        N_("Not a valid mapping type."),
        N_("Not a valid number."),
        N_("Not a valid integer."),
        N_("Not a valid boolean."),
        N_("Not a valid date."),
        N_("Not a valid time."),
        N_("Not a valid datetime."),
        N_("Not a valid UUID."),
        N_("Not a valid URL."),
        N_("Not a valid email address."),
        N_("Number too large."),
        N_("Special numeric values (nan or infinity) are not permitted."),
    }
)
#: Characters of a value that a message quotes at most; a longer one is known by its field.
MAX_QUOTED = 60
#: Unknown names that are compared with the known ones; the others of one message are told without a suggestion.
MAX_SUGGESTED = 5
#: Where its own words do not say what would be right.
_CLEARER = {"Not a valid aware datetime.": N_("Expected a time with its zone, for example 2026-11-30T14:30:00Z.")}
_WITH_VALUES = (
    N_("Must be greater than or equal to {min} and less than or equal to {max}."),
    N_("Must be greater than {min} and less than or equal to {max}."),
    N_("Must be greater than or equal to {min}."),
    N_("Must be less than or equal to {max}."),
    N_("Must be greater than {min}."),
    N_("Must be less than {max}."),
    N_("Must be one of: {choices}."),
    N_("Shorter than minimum length {min}."),
    N_("Longer than maximum length {max}."),
    N_("Length must be between {min} and {max}."),
)


def flatten(messages: Any, prefix: str = "") -> dict[str, list[str]]:
    """Return nested messages as path → messages: ``contact_points.0.value``. Lazy texts become text here."""
    if isinstance(messages, Mapping):
        found: dict[str, list[str]] = {}
        for key, value in messages.items():
            found |= flatten(value, f"{prefix}{key}.")
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return {prefix.rstrip(".").removesuffix("._schema"): [said(str(text)) for text in texts]}


def with_found(errors: Mapping[str, list[str]], given: Any, known: Collection[str]) -> dict[str, list[str]]:
    """Return messages by path that say what was found there, and what a name that is none may have been meant to be.

    ``given`` is what the messages are about, ``known`` the names of its fields. A text that quotes the value already, a value
    that is long, a list or an object, or no value at all, is left as it is.
    """
    found, suggested = {}, 0
    for path, texts in errors.items():
        if path not in given or path in known:
            found[path] = [_with_value(text, _at(given, path.split("."))) for text in texts]
        else:
            suggested += 1
            found[path] = [text + _meant(path, known) for text in texts] if suggested <= MAX_SUGGESTED else list(texts)
    return found


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1) if len(name) <= MAX_QUOTED else []
    return " " + _("Did you mean %(name)s?", name=near[0]) if near else ""


def _at(given: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(given, Mapping):
            given = given.get(name)
        elif isinstance(given, list) and name.isdecimal() and int(name) < len(given):
            given = given[int(name)]
        else:
            return None
    return given


def _with_value(text: str, value: Any) -> str:
    if (
        value in (None, "")
        or not isinstance(value, str | int | float)
        or len(str(value)) > MAX_QUOTED
        or str(value) in text
    ):
        return text
    return str(_("found %(found)r: %(problem)s", found=value, problem=text))


def said(text: str) -> str:
    """Return a message in the current language if it is one of marshmallow's own, else as it is."""
    if text in _CLEARER:
        return str(_(_CLEARER[text]))
    if text in _PLAIN:
        return str(_(text))
    for template, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return str(_(template)).format(**found.groupdict())
    return text


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(text, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text)))) for text in _WITH_VALUES]
