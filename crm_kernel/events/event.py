"""The base class of events and their JSON form.

An event carries ids (public ``uid`` values) and plain facts, never personal values: it is kept longer than the person.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Self


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact: a frozen keyword-only dataclass whose fields are str, int, bool, UUID, Decimal, date or datetime.

    Example::

        @dataclass(frozen=True, slots=True, kw_only=True)
        class OpportunityWon(Event):
            name: ClassVar[str] = "sfa.opportunity_won"
            event_label: ClassVar[Any] = _l("Opportunity won")
            opportunity_id: UUID
            customer_id: UUID | None
    """

    #: Wire name: ``<plugin>.<past tense>``.
    name: ClassVar[str]
    #: What people call it, in their language: ``_l("Opportunity won")``. Without one, the name of the class in words.
    #: Not ``label``: what a fact says may well be called so, and a field would take this for its default.
    event_label: ClassVar[Any] = ""
    #: What people call a field that neither names a record nor is a field of the record the event is about.
    field_labels: ClassVar[Mapping[str, Any]] = types.MappingProxyType({})
    #: Raised when a field changes its meaning; adding an optional field does not.
    version: ClassVar[int] = 1
    #: The field with the customer's public id: deliveries about one customer keep their order.
    customer_field: ClassVar[str] = "customer_id"

    def customer_uid(self) -> uuid.UUID | None:
        """Return the public id of the customer the fact is about, if any."""
        found = getattr(self, self.customer_field, None)
        return found if isinstance(found, uuid.UUID) else None

    def to_json(self) -> dict[str, Any]:
        """Return the payload as JSON-ready values."""
        return {f.name: _encode(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Self:
        """Return the event a payload describes; keys it does not know are left out (they came from a newer version).

        Raises:
            ValueError: a field is missing or of the wrong type; the text names it.
        """
        # mypy asks whether instances, not the class, are hashable
        decoders = _decoders(cls)  # type: ignore[arg-type]
        known = {key: _decoded(cls, key, decoders[key], value) for key, value in payload.items() if key in decoders}
        try:
            return cls(**known)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{cls.name} version {cls.version} does not fit: {error}") from error


def _encode(value: Any) -> Any:
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return value


#: What JSON makes of a field's type, and the way back; types not named here are the same on both sides.
_FROM_TEXT: Mapping[object, Callable[[str], Any]] = {
    uuid.UUID: uuid.UUID,
    Decimal: Decimal,
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
}


def _decoded(cls: type[Event], key: str, decode: Callable[[Any], Any], value: Any) -> Any:
    try:
        return decode(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        # The type, not the value: this text becomes a dead letter's reason and stays longer than its subject.
        found = type(value).__name__
        raise ValueError(f"{cls.name} version {cls.version}: field {key!r}: found {found}, expected {error}") from error


@cache
def _decoders(cls: type[Event]) -> dict[str, Callable[[Any], Any]]:
    hints = typing.get_type_hints(cls)
    return {f.name: _decoder(hints[f.name]) for f in dataclasses.fields(cls)}


def _decoder(hint: Any) -> Callable[[Any], Any]:
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    options = typing.get_args(hint) if union else (hint,)
    expected = " or ".join(getattr(option, "__name__", str(option)) for option in options)

    def decode(value: Any) -> Any:
        for option in options:
            if option in _FROM_TEXT:
                with suppress(TypeError, ValueError, ArithmeticError):
                    return _FROM_TEXT[option](_text(value))
            elif _is(value, option):
                return value
        raise TypeError(expected)

    return decode


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _is(value: Any, option: Any) -> bool:
    if not isinstance(option, type):
        return True
    # bool is an int to Python, not to a reader of the payload.
    return isinstance(value, option) and (option is bool) == isinstance(value, bool)
