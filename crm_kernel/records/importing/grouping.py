"""Gathers the rows of a file that are one record: the lines of an invoice, told by the columns they share.

Rows of one record usually follow one another and are gathered as they are read. Those of a record that comes in several
places are found by a first pass and kept aside, so that the record is whole when its first row is reached.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Collection
from crm_kernel.records.importing.blaming import text_of
from crm_kernel.records.importing.rows import Row
from crm_kernel.records.importing.sources import Source
from crm_kernel.records.plan import TypePlan

#: Rows of one record.
MAX_GROUP = 10_000
#: Rows kept in memory because their record comes in several places.
MAX_APART = 100_000

_Key = tuple[Any, ...]


def grouped(source: Source, columns: Sequence[str]) -> Source:
    """Return a source whose rows are the records of another one; empty columns make a record of every row.

    Memory: some 70 bytes per record, and the rows of records that come in several places.

    Raises:
        InvalidInput: a column is missing, a record has too many rows, or too many come in several places.
    """
    for column in columns:
        if column not in source.columns:
            found = ", ".join(source.columns)
            raise InvalidInput(
                {source.name: [_("has no column %(column)r; found: %(found)s.", column=column, found=found)]}
            )
    total, apart = _look_through(source, columns)
    kept = _kept(source, columns, apart)

    def read() -> Iterator[Row]:
        begun: set[_Key] = set()
        for key, rows in _runs(source, columns):
            if key in begun:
                continue
            if key in kept:
                begun.add(key)
                rows = kept[key]
            yield replace(rows[0], more=tuple(rows[1:])) if len(rows) > 1 else rows[0]

    detected = {**source.detected, "records": f"{total} ({', '.join(columns)})"}
    return replace(source, total=total, _read=read, detected=detected)


def natural_columns(source: Source, plan: TypePlan) -> tuple[str, ...]:
    """Return what tells the records of a file whose columns are named as an export names them.

    An export has a row for each part of some collections (the lines of a sale); such rows have the id in common.
    """
    several = [c.name for c in plan.collections() if c.writable and has_a_row_each(c.field)]
    spread = any(column.startswith(f"{name}.") for column in source.columns for name in several)
    return ("id",) if spread and "id" in source.columns else ()


def has_a_row_each(field: Any) -> bool:
    """Say whether files with one row per record have instead one row per part of this collection."""
    return isinstance(field, Collection) and bool(field.metadata.get("a_row_each"))


def _runs(source: Source, columns: Sequence[str]) -> Iterator[tuple[_Key, list[Row]]]:
    """Yield the rows that follow one another with the same key; those without any come one by one."""
    for key, rows in itertools.groupby(source.rows(), lambda row: _key_of(row, columns)):
        if not any(key):
            yield from ((key, [row]) for row in rows)
            continue
        found = list(itertools.islice(rows, MAX_GROUP + 1))
        if len(found) > MAX_GROUP:
            raise _too_many(source, found[0].number, _("more than %(most)s rows are one record.", most=MAX_GROUP))
        yield key, found


def _key_of(row: Row, columns: Sequence[str]) -> _Key:
    """Return the values that rows of one record share; lists and objects of JSON lines as text, which can be compared."""
    values = (row.values.get(column) for column in columns)
    return tuple(text_of(value) if isinstance(value, list | dict) else value for value in values)


def _look_through(source: Source, columns: Sequence[str]) -> tuple[int, set[_Key]]:
    """Return the number of records, and the keys of those that come in several places."""
    seen, apart, total = set[int](), set[_Key](), 0
    for key, _rows in _runs(source, columns):
        mark = hash(key)
        if any(key) and mark in seen:
            apart.add(key)
            continue
        seen.add(mark)
        total += 1
    return total, apart


def _kept(source: Source, columns: Sequence[str], apart: set[_Key]) -> dict[_Key, list[Row]]:
    kept: dict[_Key, list[Row]] = {}
    number = 0
    for key, rows in _runs(source, columns) if apart else ():
        if key in apart:
            kept.setdefault(key, []).extend(rows)
            number += len(rows)
        if number > MAX_APART or len(kept.get(key, ())) > MAX_GROUP:
            text = _(
                "too many records come in several places: sort the file by %(columns)s.", columns=", ".join(columns)
            )
            raise _too_many(source, rows[0].number, text)
    return kept


def _too_many(source: Source, line: int, message: str) -> InvalidInput:
    return InvalidInput({source.name: [_("line %(line)s: %(message)s", line=line, message=message)]})
