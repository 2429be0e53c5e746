"""Which amount of a record type is worth what the exchange rates say, and of which of its records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """An amount whose worth in the base currency stands beside it: names of the model's attributes.

    Open records follow the rates and can be valued anew (``crm rates revalue``); closed ones keep the worth of their day.
    """

    #: Predicate over the model: the records that are open.
    open: Callable[[], ColumnElement[bool]]
    amount: str = "amount"
    currency: str = "currency"
    base_amount: str = "base_amount"
    #: The rate that was used, and the day it was asked for; both empty while no rate is known.
    rate: str = "rate"
    rate_on: str = "rate_on"
