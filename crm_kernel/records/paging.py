"""Keyset paging: page k of a list costs what page 1 costs, on both databases, whatever changes meanwhile.

The order is (sort column, key). A missing value sorts after every value going up and before every value going down,
which is PostgreSQL's own rule, so that its indexes serve both directions; SQLite is told so. The cursor holds the
last row's sort value and key; outside of the process it is sealed, because keys and other people's values stay inside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import FieldPlan, TypePlan, side_key
from crm_kernel.records.sealing import seal, unseal

#: Rows on a page unless the request says otherwise, and the most it may ask for.
DEFAULT_LIMIT, MAX_LIMIT = 50, 200


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: one field, then the key in the same direction."""

    record_type: str
    field: FieldPlan
    column: Any
    descending: bool

    @property
    def parameter(self) -> str:
        """How the request spells it: ``-amount``."""
        return f"-{self.field.name}" if self.descending else self.field.name


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page starts: after this value and key."""

    value: Any
    key: int

    def encode(self, order: Order) -> str:
        """Return the cursor as a sealed URL-safe text that only this order of this record type takes."""
        return seal(orjson.dumps([_plain(self.value), self.key]), bound_to=_use(order))


def order_of(plan: TypePlan, sort: str | None) -> Order:
    """Return the order a request asks for, or the type's own.

    Raises:
        InvalidInput: the field is not sortable.
    """
    wanted = sort or plan.record_type.default_sort
    name, descending = wanted.removeprefix("-"), wanted.startswith("-")
    if name not in sortable(plan):
        known = ", ".join(sorted(sortable(plan)))
        raise InvalidInput(
            {"sort": [_("Cannot sort by %(found)s; expected one of: %(known)s.", found=name, known=known)]}
        )
    field = cast(FieldPlan, plan.named(name))
    return Order(plan.record_type.name, field, field.column, descending)


def sortable(plan: TypePlan) -> tuple[str, ...]:
    """Return the names of the fields a list may be sorted by."""
    own = plan.record_type.default_sort.removeprefix("-")
    extensions = (f"{extension.name}.{name}" for extension in plan.extensions for name in extension.sorts)
    return tuple(dict.fromkeys((*plan.record_type.sorts, own, *extensions)))


def decode_cursor(order: Order, text: str) -> Cursor:
    """Return the cursor a request carries.

    Raises:
        InvalidInput: it is damaged, forged, of another instance, or belongs to another list or order.
    """
    try:
        value, key = orjson.loads(unseal(text, bound_to=_use(order)))
        return Cursor(None if value is None else _parsed(order, value), key)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InvalidInput({"cursor": [_("Not a cursor of this list: start again without one.")]}) from error


def page_statements(
    statement: sa.Select[Any], model: type[Any], order: Order, cursor: Cursor | None
) -> list[sa.Select[Any]]:
    """Return the one or two ordered SELECTs whose rows, one after the other, continue after the cursor.

    Rows with and without a value are read apart, so that each part walks the index from where the last page ended
    (an OR over both would make page k read all pages before it).
    """
    column, key = order.column, model.id
    # The same key, of the table that has the value: its index gives the order only by its own columns.
    beside = side_key(order.field.side) if order.field.side is not None else key
    direction = sa.desc if order.descending else sa.asc
    by_value = (direction(column), direction(beside))
    if not order.field.nullable:
        return [_after(statement, order, column, key, cursor).order_by(*by_value)]
    filled = statement.where(column.is_not(None)).order_by(*by_value)
    blank = statement.where(column.is_(None)).order_by(direction(key))
    if cursor is None:
        return [blank, filled] if order.descending else [filled, blank]
    if cursor.value is not None:
        rest = _after(filled, order, column, beside, cursor)
        return [rest] if order.descending else [rest, blank]
    rest = blank.where(key < cursor.key if order.descending else key > cursor.key)
    return [rest, filled] if order.descending else [rest]


def _after(statement: sa.Select[Any], order: Order, column: Any, key: Any, cursor: Cursor | None) -> sa.Select[Any]:
    if cursor is None:
        return statement
    here, there = sa.tuple_(column, key), sa.tuple_(sa.literal(cursor.value, column.type), sa.literal(cursor.key))
    return statement.where(here < there if order.descending else here > there)


def _use(order: Order) -> tuple[str, ...]:
    return ("cursor", order.record_type, order.parameter)


def _plain(value: Any) -> Any:
    return (
        str(value) if isinstance(value, Decimal | UUID) else value.isoformat() if isinstance(value, dt.date) else value
    )


_PARSERS: dict[type, Callable[[Any], Any]] = {
    Decimal: Decimal,
    UUID: UUID,
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
}


def _parsed(order: Order, value: Any) -> Any:
    kind = order.column.type.python_type
    if kind in _PARSERS:
        return _PARSERS[kind](value)
    if kind is object or not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
