"""The row that every kind of file turns into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of the line it starts on (of the card in a vCard file), and its values by column."""

    number: int
    values: Mapping[str, Any]
