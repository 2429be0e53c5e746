"""How values of reflected tables are written as JSON and back; what JSON does not know is ``{"$bytes": "…"}``.

What one database wrote, the other reads: a ``uid`` is bytes on SQLite and ``uuid`` on PostgreSQL.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa


def encoder_of(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return how values of a column type are written as JSON."""
    if isinstance(kind, sa.JSON):
        return lambda value: None if value is None else {"$json": value}
    return _encoded


def _encoded(value: Any) -> Any:
    match value:
        case bytes() | memoryview():
            return {"$bytes": base64.b64encode(bytes(value)).decode("ascii")}
        case uuid.UUID():
            return {"$uuid": str(value)}
        case dt.datetime():
            return {"$time": value.isoformat()}
        case dt.date():
            return {"$date": value.isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case None | bool() | int() | float() | str():
            return value
    return {"$json": value}


def decoded(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """Return what ``encoder_of`` wrote as a value that a column of this type takes."""
    if not isinstance(value, dict):
        return value
    [(tag, content)] = value.items()
    return _DECODERS[tag](content, kind)


def _time(text: str, kind: sa.types.TypeEngine[Any]) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if getattr(kind, "timezone", False):
        return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
    return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found


def _uid(found: uuid.UUID, kind: sa.types.TypeEngine[Any]) -> Any:
    return found if isinstance(kind, sa.Uuid) else found.bytes


def _bytes(text: str, kind: sa.types.TypeEngine[Any]) -> Any:
    found = base64.b64decode(text)
    return uuid.UUID(bytes=found) if isinstance(kind, sa.Uuid) else found


#: An export of one database can be restored into the other: a uid is bytes here and uuid there.
_DECODERS: Mapping[str, Callable[[Any, sa.types.TypeEngine[Any]], Any]] = {
    "$bytes": _bytes,
    "$uuid": lambda text, kind: _uid(uuid.UUID(text), kind),
    "$time": _time,
    "$date": lambda text, kind: dt.date.fromisoformat(text),
    "$decimal": lambda text, kind: Decimal(text),
    "$json": lambda content, kind: content,
}


def row_as_json(table: sa.Table, row: sa.Row[Any]) -> dict[str, Any]:
    """Return a whole row of a reflected table as JSON."""
    return {c.name: encoder_of(c.type)(value) for c, value in zip(table.columns, row, strict=True)}


def row_from_json(table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``row_as_json`` wrote as values for the columns that the table still has."""
    known = table.columns
    return {name: decoded(value, known[name].type) for name, value in values.items() if name in known}
