"""One key of a JSON column as a typed SQL expression, with the path written literally into the statement.

An index over an expression is used only where a query holds the very same expression: a bound path, which is what
SQLAlchemy's own accessor sends, never is on SQLite. Keys are therefore checked here and written as they are. Numbers
are kept as integers of ten-thousandths and dates as ISO 8601 texts, so that both databases compare them alike.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal

from crm_kernel.database import Amount, Key

#: What a key looks like; single underscores only, because two separate a filter's operator in addresses.
KEY = re.compile(r"cf(_[a-z0-9]+)+\Z")


class IsoDate(sa.types.TypeDecorator[dt.date]):
    """A date kept as ISO 8601 text, whose order is that of the days."""

    impl = sa.String
    cache_ok = True

    @property
    def python_type(self) -> type[dt.date]:
        """What Python sees."""
        return dt.date

    def process_bind_param(self, value: dt.date | None, dialect: Any) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Any) -> dt.date | None:
        return None if value is None else dt.date.fromisoformat(value)


class ExactNumber(Amount):
    """A number with up to four decimals, shown with as many as it has."""

    cache_ok = True

    def process_result_value(self, value: int | None, dialect: Any) -> Decimal | None:
        found = super().process_result_value(value, dialect)
        return None if found is None else Decimal(f"{found.normalize():f}")


class Values(sa.types.TypeDecorator[list[str]]):
    """A list of chosen values; ``==`` and ``in_`` ask whether it holds all, or any, of the given ones."""

    impl = sa.String
    cache_ok = True

    class Comparator(sa.types.TypeDecorator.Comparator[list[str]]):
        """Compares the list as a whole: values hold no quotes, so a quoted one is found in the JSON text."""

        def __eq__(self, other: Any) -> Any:
            return self.expr.is_(None) if other is None else sa.and_(*(self._holds(value) for value in _several(other)))

        def __ne__(self, other: Any) -> Any:
            return self.expr.is_not(None) if other is None else sa.not_(self == other)

        def in_(self, other: Any) -> Any:
            return sa.or_(sa.false(), *(self == value for value in other))

        def _holds(self, value: str) -> Any:
            return sa.type_coerce(self.expr, sa.String()).contains(f'"{value}"', autoescape=True)

        __hash__ = None  # type: ignore[assignment]

    comparator_factory = Comparator

    @property
    def python_type(self) -> type[list[Any]]:
        """What Python sees."""
        return list

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> list[str] | None:
        return None if value is None else orjson.loads(value)


class json_value(FunctionElement[Any]):
    """``custom ->> 'cf_tier'`` as a value of a type; usable in queries and in indexes.

    Raises:
        ValueError: the key is not one of a custom field.
    """

    name = "json_value"
    inherit_cache = True
    _traverse_internals = [
        *FunctionElement._traverse_internals,
        ("key", InternalTraversal.dp_string),
        ("type", InternalTraversal.dp_type),
    ]

    def __init__(self, column: Any, key: str, type_: Any) -> None:
        if not KEY.match(key):
            raise ValueError(f"{key!r} is no key of a custom field: expected for example cf_tier")
        self.key = key
        super().__init__(column)
        self.type = sa.types.to_instance(type_)


@compiles(json_value, "sqlite")
def _on_sqlite(element: json_value, compiler: Any, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)}, '$.{element.key}')"


@compiles(json_value, "postgresql")
def _on_postgresql(element: json_value, compiler: Any, **options: Any) -> str:
    text = f"({compiler.process(element.clauses, **options)} ->> '{element.key}')"
    kind = element.type.dialect_impl(compiler.dialect)
    if isinstance(kind, sa.Boolean):
        return f"CAST({text} AS BOOLEAN)"
    return f"CAST({text} AS BIGINT)" if _is_whole(element.type) else text


def _is_whole(type_: Any) -> bool:
    return isinstance(type_, sa.Integer) or (
        isinstance(type_, sa.types.TypeDecorator) and isinstance(type_.impl_instance, sa.Integer)
    )


def stored(type_: Any, value: Any) -> Any:
    """Return a Python value as the JSON column keeps it under a type."""
    if value is None or isinstance(type_, Values):
        return None if value is None else list(value)
    if isinstance(type_, sa.types.TypeDecorator):
        return type_.process_bind_param(value, None)  # type: ignore[arg-type]
    return value


def read(type_: Any, value: Any) -> Any:
    """Return what the JSON column keeps as a Python value of a type: the inverse of ``stored``."""
    if value is None or isinstance(type_, Values) or not isinstance(type_, sa.types.TypeDecorator):
        return value
    return type_.process_result_value(value, None)  # type: ignore[arg-type]


def without(column: Any, names: Sequence[str], *, sqlite: bool) -> Any:
    """Return the JSON object of a column with some keys taken out, as an expression."""
    if sqlite:
        return sa.func.json_remove(column, *(f"$.{name}" for name in names), type_=column.type)
    rest = column
    for name in names:
        rest = rest.op("-")(sa.literal(name, sa.String()))
    return rest


def _several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


#: Surrogate keys of records that references point to.
KEY_TYPE = Key
