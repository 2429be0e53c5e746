"""Says events in words: pages speak of labels, with the code behind them where somebody writes rules or receives webhooks."""

from __future__ import annotations

import re

from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.events.event import Event


def label_of(event: type[Event]) -> str:
    """Return what people call an event; one that declares no label is called by the name of its class."""
    return str(event.event_label) or in_words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", event.__name__))


def field_label_of(event: type[Event], name: str) -> str:
    """Return what people call a field of an event."""
    return str(event.field_labels.get(name) or in_words(name.removesuffix("_id")))


def event_named(name: str) -> type[Event] | None:
    """Return the registered event of a wire name; None for one whose module is not loaded."""
    return next((found for found in runtime_of(current_app).registry.all("events") if found.name == name), None)


def event_label(name: str) -> str:
    """Return what people call the event of a wire name; the name itself where nobody knows it."""
    event = event_named(name)
    return label_of(event) if event else name


def event_choice(event: type[Event]) -> str:
    """Return an event as forms offer it: label and code."""
    return str(_("%(label)s (%(code)s)", label=label_of(event), code=event.name))


def in_words(name: str) -> str:
    """Return a name of code as a person would write it: ``closed_on`` → Closed on."""
    return name.replace("_", " ").strip().capitalize()
