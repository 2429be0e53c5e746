"""Describes the events that the loaded modules emit, for the manual and ``crm events catalogue``."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from dataclasses import dataclass

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import Runtime
from crm_kernel.events.event import Event


@dataclass(frozen=True, slots=True)
class EventField:
    """One field: its name, its type as written in JSON (``uuid``, ``decimal``, ``date``, …), and whether it may be null."""

    name: str
    type: str
    optional: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.type}{'?' if self.optional else ''}"


@dataclass(frozen=True, slots=True)
class EventDescription:
    """One event: who emits it, what it says, who listens."""

    name: str
    version: int
    module: str
    summary: str
    fields: tuple[EventField, ...]
    #: Names of the active subscribers.
    subscribers: tuple[str, ...]


def catalogue(runtime: Runtime) -> list[EventDescription]:
    """Return every registered event, by name; touches no database."""
    registry = runtime.registry
    listening: dict[str, list[str]] = {}
    for subscriber in c.active(registry.all("subscribers"), runtime.manager.names):
        listening.setdefault(subscriber.event.name, []).append(subscriber.name)
    return [
        describe(event, module=registry.owner("events", event.name), subscribers=sorted(listening.get(event.name, [])))
        for event in sorted(registry.all("events"), key=lambda event: str(event.name))
    ]


def describe(event: type[Event], *, module: str, subscribers: typing.Iterable[str] = ()) -> EventDescription:
    """Return the description of one event class."""
    hints = typing.get_type_hints(event)
    fields = tuple(_field(field.name, hints[field.name]) for field in dataclasses.fields(event))
    # A dataclass without docstring gets its signature as one: that says nothing the fields do not say.
    text = inspect.cleandoc(event.__doc__ or "")
    summary = "" if text.startswith(f"{event.__name__}(") else text.partition("\n")[0]
    return EventDescription(event.name, event.version, module, summary, fields, tuple(subscribers))


def _field(name: str, hint: object) -> EventField:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    named = [getattr(option, "__name__", str(option)).lower() for option in options if option is not types.NoneType]
    return EventField(name, " | ".join(named), len(named) < len(options))
