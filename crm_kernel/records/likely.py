"""What a record that is about to be created may be: one that is there, or another one of the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

#: Least probability at which a record is taken for the new one unasked; below it somebody has to say.
SURE = 0.9


@dataclass(frozen=True, slots=True)
class Likely:
    """A record that a new one may be, with the probability that it is."""

    title: str
    probability: float
    #: Key and public id of a stored record; None for an earlier one of the rows asked about.
    key: int | None = None
    uid: UUID | None = None
    #: Place of that earlier row.
    place: int | None = None
    #: However probable: what agrees is not enough to take the one for the other unasked.
    doubtful: bool = False
