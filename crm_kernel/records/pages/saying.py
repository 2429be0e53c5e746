"""Codes in words: metadata ``show_as`` of a schema field says what its values are called on pages.

``language`` (``fr`` → French), ``record_type`` (``sfa.opportunity`` → Opportunity), ``module`` (``sfa`` → SFA; nothing for
the kernel), ``event`` (``sfa.opportunity_won`` → Opportunity won), ``base_money`` (an amount in the base currency),
``person_name`` (a name in the reader's order; with ``kind``, ``language`` and ``sort_name`` of the same record).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from babel import Locale, UnknownLocaleError
from flask_babel import get_locale

from crm_kernel.events.wording import event_label
from crm_kernel.records.plan import record_types


def language_name(code: str) -> str:
    """Return what the reader's language calls a language; an unknown code is its own name."""
    try:
        name = Locale.parse(code.replace("-", "_")).get_display_name(get_locale()) or code
    except (UnknownLocaleError, ValueError):
        return code
    return name[:1].upper() + name[1:]


def _type_label(name: str) -> str:
    found = record_types().get(name)
    return str(found.label) if found else name


def _module_name(name: str) -> str:
    return "" if name == "kernel" else name.upper()


#: ``show_as`` → how a value is said, for texts.
SAID: Mapping[str, Callable[[Any], str]] = {
    "language": language_name,
    "record_type": _type_label,
    "module": _module_name,
    "event": event_label,
}
