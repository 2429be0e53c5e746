"""The filter tree as frozen values: what a saved view, a rule or a segment keeps, and how it is written as JSON.

A node says nothing of SQL and nothing of who asks: ``compile_tree`` looks up every name again, for the actor of that
moment, so a tree saved by somebody who sees more never shows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Relative:
    """A time counted from now when the filter runs: ``-30d``, ``today``, ``start_of_month``."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {"relative": self.text}


@dataclass(frozen=True, slots=True)
class Window:
    """The last or the next so many units around now; ``unit`` is ``hours``, ``days``, ``weeks``, ``months`` or ``years``."""

    direction: str
    number: int
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {self.direction: self.number, "unit": self.unit}


#: What is compared with: JSON scalars, a tuple of them, or a time that moves with the clock.
Value = str | int | float | bool | None | tuple[Any, ...] | Relative | Window


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; without parts, every record."""

    parts: tuple[Node, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {"and": [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; without parts, no record."""

    parts: tuple[Node, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {"or": [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a record either fits a condition or its negation, also where a value is missing."""

    part: Node

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {"not": self.part.to_json()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against a value; the field is a name of the catalogue (``amount``, ``bank.risk``)."""

    field: str
    operator: str
    value: Value

    @property
    def parameter(self) -> str:
        """The name it has in a URL."""
        return self.field if self.operator == "eq" else f"{self.field}__{self.operator}"

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        return {"field": self.field, "op": self.operator, "value": _plain(self.value)}


@dataclass(frozen=True, slots=True)
class Has:
    """So many related records, each of which fits ``where`` and lies, by its date ``on``, ``within`` a period."""

    relation: str
    at_least: int = 1
    where: Node | None = None
    on: str | None = None
    within: Value = None
    at_most: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        found: dict[str, Any] = {"has": self.relation, "at_least": self.at_least}
        return found | ({} if self.at_most is None else {"at_most": self.at_most}) | _rest(self)


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a field over related records against a value; of no records it is 0."""

    relation: str
    of: str
    operator: str
    value: Value
    #: Only rows in this currency are summed; needed for amounts of money that have no base amount.
    currency: str | None = None
    where: Node | None = None
    on: str | None = None
    within: Value = None

    def to_json(self) -> dict[str, Any]:
        """Return the form a request writes."""
        found = {"sum": self.relation, "of": self.of, "op": self.operator, "value": _plain(self.value)}
        return found | ({"currency": self.currency} if self.currency else {}) | _rest(self)


Node = And | Or | Not | Comparison | Has | Total


def says_something(node: Node) -> bool:
    """Say whether a condition stands anywhere in a tree; one of empty lists alone says nothing."""
    if isinstance(node, And | Or):
        return any(says_something(part) for part in node.parts)
    if isinstance(node, Comparison):
        return node.value != ()
    return says_something(node.part) if isinstance(node, Not) else True


def _rest(node: Has | Total) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if node.where is not None:
        found["where"] = node.where.to_json()
    if node.on is not None:
        found["on"] = node.on
    if isinstance(node.within, Window) and node.within.direction == "last":
        found["within"] = {node.within.unit: node.within.number}
    elif node.within is not None:
        found["within"] = _plain(node.within)
    return found


def _plain(value: Value) -> Any:
    if isinstance(value, Relative | Window):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
