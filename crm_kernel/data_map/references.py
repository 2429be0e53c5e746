"""How a column says that it points at a customer where no foreign key can, and how two customers' rows become one's.

Both stand in ``column.info``: ``{"reference": CustomerReference(…)}`` and ``{"merge": "move"}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

#: The rows of the one that goes are given to the one that stays.
MOVE = "move"
#: The row of the one that stays wins; what it has no row for moves.
KEEP_TARGET = "keep_target"
#: The row of the one that stays is completed with what only the other has.
FILL_GAPS = "fill_gaps"
#: Start of ``combine=package.module:function``.
COMBINE = "combine="
#: The column keeps telling what was true when it was written: an audit row, an event.
STAY = "stay"
#: Rules of foreign keys; those of other references are ``move`` and ``stay``.
RULES = (MOVE, KEEP_TARGET, FILL_GAPS, STAY)

KEY, UID = "customer.id", "customer.uid"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerReference:
    """A column that names customers without a foreign key: an id beside a type, or an id inside a JSON object.

    It is stored in the data map, so that merging, erasing and exporting find the rows when the module is gone.
    """

    #: Whether the column holds public ids (``uid``) or keys.
    holds: Literal["uid", "key"] = "uid"
    #: The column of the same table that says ``customer`` where this one names a customer; None if it always does.
    type_column: str | None = None
    #: The member of the JSON object that holds the id; None for a column that is the id.
    json_key: str | None = None
    #: ``move``: the id of the one that stays is written; ``stay``: history, which keeps the old id.
    merge: Literal["move", "stay"] = "move"

    @property
    def points_to(self) -> str:
        """What is stored of the target: ``customer.uid`` or ``customer.id``."""
        return UID if self.holds == "uid" else KEY


def is_rule(text: str) -> bool:
    """Say whether a text is a merge rule; the function that a ``combine=`` names is not looked for."""
    return text in RULES or (text.startswith(COMBINE) and ":" in text)


def combining_function(rule: str) -> Any:
    """Return the function that ``combine=package.module:function`` names: ``(kept, gone) -> columns to change``.

    Raises:
        ImportError: the module is not there.
        AttributeError: it has no such function.
    """
    module, _colon, name = rule.removeprefix(COMBINE).partition(":")
    return getattr(import_module(module), name)
