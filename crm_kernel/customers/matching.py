"""Brings a submitted list of parts (contact points, addresses, identifiers) together with the stored ones.

A part with a known id is that one; one without an id that says the same as a stored one is that one too, so that
importing a file twice changes nothing; the others are new; stored ones that nobody claims are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flask_babel import gettext as _

from crm_kernel.customers.problems import Problems

Part = TypeVar("Part")
#: Attribute → value of one part as it will be stored.
Row = dict[str, Any]


@dataclass(slots=True)
class Wanted(Generic[Part]):
    """One part as it should be: what was given over what is stored, and the stored one it changes, if any."""

    #: Place in the submitted list, for messages.
    index: int
    row: Row
    part: Part | None
    #: The names that were given, the others keep their value.
    given: frozenset[str]


@dataclass(slots=True)
class PartsPlan(Generic[Part]):
    """What a submitted list means for the stored parts; nothing is written yet."""

    wanted: list[Wanted[Part]] = field(default_factory=list)
    removed: list[Part] = field(default_factory=list)

    @property
    def added(self) -> list[Wanted[Part]]:
        """The parts that are new, in the submitted order."""
        return [wanted for wanted in self.wanted if wanted.part is None]

    def kept(self) -> Iterable[tuple[Part, Row]]:
        """Yield the stored parts that stay with their row."""
        return ((wanted.part, wanted.row) for wanted in self.wanted if wanted.part is not None)


def overlay(
    submitted: Sequence[Mapping[str, Any]], existing: Sequence[Part], defaults: Row, problems: Problems, path: str
) -> list[Wanted[Part]]:
    """Return the submitted parts, each laid over the stored one its ``uid`` names or over the defaults."""
    stored = {part.uid: part for part in existing}  # type: ignore[attr-defined]
    found = []
    for index, values in enumerate(submitted):
        uid = values.get("uid")
        part = stored.pop(uid, None) if uid is not None else None
        if uid is not None and part is None:
            problems.add(f"{path}.{index}.id", _("This customer has no such part, or it is listed twice."))
            continue
        base = {name: getattr(part, name) for name in defaults} if part is not None else dict(defaults)
        given = {name: value for name, value in values.items() if name in defaults}
        found.append(Wanted(index, base | given, part, frozenset(given)))
    return found


def claim(wanted: Sequence[Wanted[Part]], existing: Sequence[Part], key: Callable[[Any], Hashable]) -> PartsPlan[Part]:
    """Return the plan: new parts that say the same as an unclaimed stored one (``key`` is equal) become that one.

    ``key`` is called with stored parts and with objects that have the row's values as attributes.
    """
    claimed = {id(w.part) for w in wanted if w.part is not None}
    free: dict[Hashable, Part] = {}
    for part in existing:
        if id(part) not in claimed:
            free.setdefault(key(part), part)
    for item in wanted:
        if item.part is None and free and (match := free.pop(key(_Attributes(item.row)), None)) is not None:
            item.part = match
            item.row |= {name: getattr(match, name) for name in item.row.keys() - item.given}
            claimed.add(id(match))
    return PartsPlan(list(wanted), [part for part in existing if id(part) not in claimed])


def settle_primary(plan: PartsPlan[Part], problems: Problems, path: str, group: Callable[[Row], Hashable]) -> None:
    """Make exactly one part of every group primary: the one said to be, else the one that was, else the first."""
    groups: dict[Hashable, list[Wanted[Part]]] = {}
    for item in plan.wanted:
        groups.setdefault(group(item.row), []).append(item)
    for members in groups.values():
        said = [item for item in members if "is_primary" in item.given and item.row["is_primary"]]
        for extra in said[1:]:
            problems.add(
                f"{path}.{extra.index}.is_primary",
                _("Number %(first)s of the list is primary already: only one can be.", first=said[0].index + 1),
            )
        kept = [item for item in members if item.row["is_primary"]]
        chosen = (said or kept or members)[0]
        for item in members:
            item.row["is_primary"] = item is chosen


class _Attributes:
    """A row seen as an object, so that one key function serves both."""

    __slots__ = ("_row",)

    def __init__(self, row: Row) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return self._row[name]
