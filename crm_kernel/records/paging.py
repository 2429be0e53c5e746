"""Keyset paging: page k of a list costs what page 1 costs, on both databases, whatever changes meanwhile.

The order is (sort columns, key). A missing value sorts after every value going up and before every value going down,
which is PostgreSQL's own rule, so that its indexes serve both directions; SQLite is told so. The cursor holds the
last row's sort values and key; outside of the process it is sealed, because keys and other people's values stay inside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import FieldPlan, TypePlan, side_key
from crm_kernel.records.sealing import MAX_CONTENT, seal, unseal

#: Rows on a page unless the request says otherwise, and the most it may ask for.
DEFAULT_LIMIT, MAX_LIMIT = 50, 200
#: Fields that one list is sorted by; nobody tells more apart.
MOST_SORTS = 5


@dataclass(frozen=True, slots=True)
class SortKey:
    """One field of an order and its direction."""

    field: FieldPlan
    column: Any
    descending: bool

    @property
    def parameter(self) -> str:
        """How the request spells it: ``-amount``."""
        return f"-{self.field.name}" if self.descending else self.field.name


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: one field or several, then the key in the direction of the first.

    An index over the first is walked; rows that are equal in it are sorted by the others, which costs as much as there
    are such rows.
    """

    record_type: str
    keys: tuple[SortKey, ...]

    @property
    def field(self) -> FieldPlan:
        """The first field."""
        return self.keys[0].field

    @property
    def column(self) -> Any:
        """The column of the first field."""
        return self.keys[0].column

    @property
    def descending(self) -> bool:
        """The direction of the first field, and of the key."""
        return self.keys[0].descending

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, the first one first."""
        return tuple(key.field.name for key in self.keys)

    @property
    def parameter(self) -> str:
        """How the request spells it: ``-amount,name``."""
        return ",".join(key.parameter for key in self.keys)

    def cursor_at(self, item: Mapping[str, Any], key: int) -> Cursor:
        """Return the cursor behind a row: its fields by name, and its key."""
        value, *others = (item[name] for name in self.names)
        return Cursor(value, key, tuple(others))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page starts: after these values, the first field's and the others', and this key."""

    value: Any
    key: int
    others: tuple[Any, ...] = ()

    def encode(self, order: Order) -> str:
        """Return the cursor as a sealed URL-safe text that only this order of this record type takes.

        Raises:
            InvalidInput: its values are longer than an address can carry.
        """
        content = orjson.dumps([*(_plain(value) for value in (self.value, *self.others)), self.key])
        if len(content) > MAX_CONTENT:
            raise InvalidInput({"sort": [_("The values of these fields are too long to be sorted by together.")]})
        return seal(content, bound_to=_use(order))


def order_of(plan: TypePlan, sort: str | None) -> Order:
    """Return the order a request asks for (``-amount,name``), or the type's own.

    Raises:
        InvalidInput: a field is not sortable or named twice, or there are too many.
    """
    wanted = [part.strip() for part in (sort or plan.record_type.default_sort).split(",")]
    keys = tuple(_sort_key(plan, part) for part in wanted)
    if len({key.field.name for key in keys}) < len(keys):
        raise InvalidInput({"sort": [_("A field can be sorted by once.")]})
    if len(keys) > MOST_SORTS:
        message = _("Found %(found)s fields, expected at most %(most)s.", found=len(keys), most=MOST_SORTS)
        raise InvalidInput({"sort": [message]})
    return Order(plan.record_type.name, keys)


def _sort_key(plan: TypePlan, wanted: str) -> SortKey:
    name, descending = wanted.removeprefix("-"), wanted.startswith("-")
    if name not in sortable(plan):
        known = ", ".join(sorted(sortable(plan)))
        raise InvalidInput(
            {"sort": [_("Cannot sort by %(found)s; expected one of: %(known)s.", found=name[:80], known=known)]}
        )
    field = cast(FieldPlan, plan.named(name))
    return SortKey(field, field.column, descending)


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
        *values, key = orjson.loads(unseal(text, bound_to=_use(order)))
        pairs = zip(order.keys, values, strict=True)
        value, *others = (None if value is None else _parsed(sort, value) for sort, value in pairs)
        return Cursor(value, key, tuple(others))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InvalidInput({"cursor": [_("Not a cursor of this list: start again without one.")]}) from error


def row_order(order: Order, model: type[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Return the whole order of a list, for rows that are not read page by page."""
    return (*(_directed(sort) for sort in order.keys), _key_direction(order)(model.id))


def page_statements(
    statement: sa.Select[Any], model: type[Any], order: Order, cursor: Cursor | None
) -> list[sa.Select[Any]]:
    """Return the one or two ordered SELECTs whose rows, one after the other, continue after the cursor.

    Rows with and without a value of the first field are read apart, so that each part walks the index from where the last
    page ended (an OR over both would make page k read all pages before it).
    """
    first, key = order.keys[0], model.id
    # The same key, of the table that has the value: its index gives the order only by its own columns.
    beside = side_key(first.field.side) if first.field.side is not None else key
    direction, others = _key_direction(order), [_directed(sort) for sort in order.keys[1:]]
    by_value = (direction(first.column), *others, direction(beside))
    if not first.field.nullable:
        return [_after(statement, order, key, cursor).order_by(*by_value)]
    filled = statement.where(first.column.is_not(None)).order_by(*by_value)
    blank = statement.where(first.column.is_(None)).order_by(*others, direction(key))
    if cursor is None:
        return [blank, filled] if order.descending else [filled, blank]
    if cursor.value is not None:
        rest = _after(filled, order, beside, cursor)
        return [rest] if order.descending else [rest, blank]
    rest = blank.where(_behind(order, order.keys[1:], cursor.others, key, cursor.key))
    return [rest, filled] if order.descending else [rest]


def _after(statement: sa.Select[Any], order: Order, key: Any, cursor: Cursor | None) -> sa.Select[Any]:
    if cursor is None:
        return statement
    first = order.keys[0]
    value = sa.literal(cursor.value, first.column.type)
    if len(order.keys) == 1:
        here, there = sa.tuple_(first.column, key), sa.tuple_(value, sa.literal(cursor.key))
        return statement.where(here < there if order.descending else here > there)
    # The first condition alone tells the database where to enter the index.
    entered = first.column <= value if order.descending else first.column >= value
    behind = _behind(order, order.keys, (cursor.value, *cursor.others), key, cursor.key)
    return statement.where(entered, behind)


def _behind(order: Order, keys: Sequence[SortKey], values: Sequence[Any], key: Any, last: int) -> Any:
    """Return the condition that a row stands behind one with these values and this key."""
    if not keys:
        return key < last if order.descending else key > last
    rest = _behind(order, keys[1:], values[1:], key, last)
    column, value = keys[0].column, values[0]
    if value is None:
        same = sa.and_(column.is_(None), rest)
        return sa.or_(column.is_not(None), same) if keys[0].descending else same
    literal = sa.literal(value, column.type)
    further = column < literal if keys[0].descending else column > literal
    found = sa.or_(further, sa.and_(column == literal, rest))
    return sa.or_(found, column.is_(None)) if keys[0].field.nullable and not keys[0].descending else found


def _directed(sort: SortKey) -> sa.ColumnElement[Any]:
    if sort.descending:
        return cast("sa.ColumnElement[Any]", sort.column.desc().nulls_first())
    return cast("sa.ColumnElement[Any]", sort.column.asc().nulls_last())


def _key_direction(order: Order) -> Callable[[Any], Any]:
    return sa.desc if order.descending else sa.asc


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


def _parsed(sort: SortKey, value: Any) -> Any:
    kind = sort.column.type.python_type
    if kind in _PARSERS:
        return _PARSERS[kind](value)
    if kind is object or not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
