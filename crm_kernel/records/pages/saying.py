"""Codes in words: metadata ``show_as`` of a schema field says what its values are called on pages.

``language`` (``fr`` → French), ``record_type`` (``sfa.opportunity`` → Opportunity), ``module`` (``sfa`` → SFA; nothing for
the kernel), ``event`` (``sfa.opportunity_won`` → Opportunity won), ``base_money`` (an amount in the base currency),
``outside`` (a reference in another system; nothing for an id that the loaded module in ``source_plugin`` of the same record
made up), ``person_name`` (a name in the reader's order; with ``kind``, ``language`` and ``sort_name`` of the same record),
``subject`` (on the record's page: the id of what it is about, of the type ``subject_type``, as that record's name and page).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from babel import Locale, UnknownLocaleError
from flask import current_app
from flask_babel import get_locale

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.events.wording import event_label, label_of
from crm_kernel.records.plan import FieldPlan, record_types

#: The id of a record, or a key made up as ``sale:<uuid>``; ``…:refund`` and the like may follow.
_ID = re.compile(r"([a-z_]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:|\Z)")


def language_name(code: str) -> str:
    """Return what the reader's language calls a language; an unknown code is its own name."""
    try:
        name = Locale.parse(code.replace("-", "_")).get_display_name(get_locale()) or code
    except (UnknownLocaleError, ValueError):
        return code
    return name[:1].upper() + name[1:]


def outside_reference(reference: str, item: Mapping[str, Any]) -> str:
    """Return a reference as its source prints it; nothing for an id that a loaded module or the kernel made up.

    Another system's order numbers may look the same: only the record's ``source_plugin`` tells them apart.
    """
    ours = item.get("source_plugin") in runtime_of(current_app).manager.names
    return "" if ours and _ID.match(reference) else reference


def _type_label(name: str) -> str:
    found = record_types().get(name)
    return str(found.label) if found else name


def _module_name(name: str) -> str:
    return "" if name == "kernel" else name.upper()


def values_of(field: FieldPlan) -> Mapping[str, Any] | None:
    """Return the values that a field may have, each with what it is called; None for one of any text."""
    named = _VALUES.get(field.field.metadata.get("show_as", ""))
    return getattr(field.field, "choices", None) if named is None else named()


def choices_with(values: Mapping[str, Any], chosen: Iterable[str]) -> list[dict[str, Any]]:
    """Return a control's choices; first those chosen that are no longer offered, for a form sends only what it shows."""
    missing = {value: value for value in chosen if value not in values}
    return [{"value": value, "label": label} for value, label in {**missing, **values}.items()]


def said_value(field: FieldPlan, value: str) -> str:
    """Return what a text that a filter compares with is called; a code that nothing names is its own name."""
    choices = getattr(field.field, "choices", None)
    if choices is not None:
        return str(choices.get(value, value))
    say = SAID.get(field.field.metadata.get("show_as", ""))
    return (say(value) if say else value) or value


def _type_labels() -> dict[str, str]:
    return _by_label({name: str(found.label) for name, found in record_types().items()})


def _event_labels() -> dict[str, str]:
    return _by_label({event.name: label_of(event) for event in runtime_of(current_app).registry.all("events")})


def _by_label(found: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(found.items(), key=lambda pair: pair[1].casefold()))


#: ``show_as`` → the values that there are, by what they are called: filters offer them. Not ``module``: who tells of a
#: record may be another system, by any name.
_VALUES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "record_type": _type_labels,
    "event": _event_labels,
}

#: ``show_as`` → how a value is said, for texts.
SAID: Mapping[str, Callable[[Any], str]] = {
    "language": language_name,
    "record_type": _type_label,
    "module": _module_name,
    "event": event_label,
}
