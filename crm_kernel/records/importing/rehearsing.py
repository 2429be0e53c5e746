"""What a rehearsal in chunks remembers: each chunk is taken back, so later ones find nothing of it in the database.

A row about a record that an earlier chunk wrote is told from what that chunk's row said. It is compared as it is spelled:
of two spellings of one value the rehearsal says that they contradict each other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_kernel.records.importing.drafts import Draft


class Earlier:
    """What rows of chunks that were taken back said, by the record they are about; 64 bits for each value of a row."""

    def __init__(self) -> None:
        self._said: dict[int, array[int]] = {}
        self._now: dict[int, array[int]] = {}

    def turn(self) -> None:
        """Begin with the next chunk: what the last one wrote is taken back."""
        self._said.update(self._now)
        self._now.clear()

    def note(self, drafts: Sequence[Draft]) -> None:
        """Remember what rows of this chunk say that are taken; of a record that is known already, nothing more."""
        for draft in drafts:
            mark = hash(draft.match)
            if draft.match and not draft.problems and mark not in self._said:
                self._now.setdefault(mark, array("q", (value for _name, value in _values(draft))))

    def knows(self, draft: Draft) -> bool:
        """Say whether a chunk that was taken back had a row about the same record."""
        return bool(draft.match) and hash(draft.match) in self._said

    def differing(self, draft: Draft) -> str | None:
        """Return the first field that a row gives otherwise than the earlier one, None if it says nothing else."""
        said = set(self._said[hash(draft.match)])
        return next((name for name, value in _values(draft) if value not in said), None)


def _values(draft: Draft) -> Iterator[tuple[str, int]]:
    """Yield field and hash of each value that a row gives; of a collection of each part, of a reference of its text."""
    for name, value in draft.payload.items():
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, UUID):  # a reference that was looked up: its text follows
                yield name, hash((name, _comparable(one)))
    for wanted in draft.wanted:
        yield wanted.target.root, hash((wanted.target.root, wanted.text))


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, Mapping):
        return frozenset((name, _comparable(one)) for name, one in value.items() if not isinstance(one, UUID))
    return tuple(map(_comparable, value)) if isinstance(value, list) else value
