"""Flattens marshmallow's nested messages into the one form our errors have: path → texts in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def said(text: str) -> str:
    """Return a message in the current language if it is one of marshmallow's own, else as it is."""
    if text in _PLAIN:
        return str(_(text))
    for template, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return str(_(template)).format(**found.groupdict())
    return text


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(text, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text)))) for text in _WITH_VALUES]
