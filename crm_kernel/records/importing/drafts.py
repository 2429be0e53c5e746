"""One row on its way to become a record: its raw input, what is still to be looked up, what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_kernel.records.importing.lookups import Resolver
from crm_kernel.records.importing.rows import Row
from crm_kernel.records.importing.targets import Group, Payload, Target


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a row."""

    root: str
    found: str
    expected: str
    #: The column, where it is not the one of ``root``.
    column: str = ""
    #: ``expected`` says by itself what is wrong; else it only names what was expected.
    sentence: bool = False
    #: Nothing is wrong with the row, but somebody has to say whether it is another record.
    review: bool = False
    #: The line, where it is not the first one of its record.
    row: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference that is still to be looked up: where it goes, who finds it, the text it has on which line."""

    target: Target
    resolver: Resolver
    text: str
    row: int = 0
    #: The part of a collection it goes into.
    part: Payload | None = None

    def put(self, payload: Payload, found: UUID | None) -> None:
        """Put what was found where it belongs."""
        if self.part is None:
            self.target.put(payload, found)
        else:
            self.part[self.target.attribute] = found


@dataclass(slots=True)
class Draft:
    """One row on its way to become a record."""

    row: Row
    payload: Payload
    problems: list[Problem] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    #: Loaded attribute → value, and extension → attribute → value.
    data: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What ``data`` was before it was compared with the stored record; empty for a new one.
    given: dict[str, Any] = field(default_factory=dict)
    #: Collection → which columns its parts are of, in the order of the parts; and from which rows, if not from the first.
    groups: dict[str, list[Group]] = field(default_factory=dict)
    origins: dict[str, list[Row]] = field(default_factory=dict)
    #: Values of the match fields.
    match: tuple[Any, ...] = ()
    #: Key of the stored record it is about.
    key: int | None = None
    #: Public id the new record keeps: it had it where it was exported.
    uid: UUID | None = None
    #: An earlier row of the same file was about the same record.
    repeated: bool = False


def rounds(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """Return the drafts in lists without a record twice: two keys, as two e-mail addresses, may be of one record."""
    found: list[list[Draft]] = []
    met: dict[int | None, int] = {}
    for draft in drafts:
        place = met[draft.key] = met.get(draft.key, -1) + 1
        if place == len(found):
            found.append([])
        found[place].append(draft)
    return found
