"""Keeps values of records as JSON that reads back as the very same Python values: before-images of imports.

What JSON has no word for is written as an object with one key: ``{"$decimal": "1.5"}``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

_READ: dict[str, Callable[[str], Any]] = {
    "$decimal": Decimal,
    "$time": dt.datetime.fromisoformat,
    "$date": dt.date.fromisoformat,
    "$uuid": UUID,
}


def written(value: Any) -> Any:
    """Return a value as JSON."""
    if isinstance(value, Enum):
        return written(value.value)
    if isinstance(value, Mapping):
        return {str(key): written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    if isinstance(value, Decimal):
        return {"$decimal": f"{value:f}"}
    if isinstance(value, dt.datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, dt.date):
        return {"$date": value.isoformat()}
    return {"$uuid": str(value)} if isinstance(value, UUID) else value


def read(value: Any) -> Any:
    """Return the value that ``written`` was given; tuples come back as lists."""
    if isinstance(value, list):
        return [read(item) for item in value]
    if not isinstance(value, dict):
        return value
    for key, reader in _READ.items():
        if key in value and len(value) == 1:
            return reader(value[key])
    return {key: read(item) for key, item in value.items()}
