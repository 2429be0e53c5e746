"""The row that every kind of file turns into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Settled(str):
    """A text that was a number or a date of its own right: nothing is to be found out about how it is written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A value that is wrong and was left out of its row, so that the rest can be taken."""

    #: The file's own name of the place: ``TEL``.
    name: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of the line it starts on (of the card in a vCard file), and its values by column."""

    number: int
    values: Mapping[str, Any]
    left_out: tuple[LeftOut, ...] = ()
    #: The further rows of the same record, where a file has several for one.
    more: tuple[Row, ...] = ()
    #: What is wrong with the row as a whole, by whoever read it; empty if it can be taken.
    problem: str = ""
