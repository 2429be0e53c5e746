"""Writes down what a merge does to every row, so that it can be taken back: the only writer of ``merge_item``.

Rows are the database's own (reflected tables), since the module whose rows they are may not be loaded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import insert_rows
from crm_kernel.customers.merging.models import MergeItem
from crm_kernel.data_map.tables import reflected_tables
from crm_kernel.data_map.values import encoder_of, row_as_json

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

Row = Mapping[Any, Any]
MOVED, REMOVED, CHANGED, CREATED = "moved", "removed", "changed", "created"
#: What a record's table has beside its values: raised whenever a row of it is touched.
_VERSIONED = frozenset({"uid", "version", "updated_at"})


class Book:
    """The items of one run, and the reflected tables they speak of."""

    def __init__(self, uow: UnitOfWork, run_id: int, tables: Sequence[str]) -> None:
        self.uow = uow
        self.run_id = run_id
        self.connection = uow.session.connection()
        self._tables = reflected_tables(uow, tables)
        #: What ``MergeRun.steps`` keeps.
        self.steps: list[dict[str, Any]] = []
        #: Table → action → rows.
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def table(self, name: str) -> sa.Table:
        """Return a table as the database has it."""
        if name not in self._tables:
            self._tables |= reflected_tables(self.uow, [name])
        return self._tables[name]

    def moved(self, table: sa.Table, move: Move, keys: sa.Select[Any]) -> int:
        """Note the rows whose keys the select gives (whole numbers), without reading them; returns how many."""
        target: Any = MergeItem.__table__
        chosen = keys.subquery()
        values = sa.select(
            sa.literal(self.run_id),
            sa.literal(table.name),
            sa.literal(MOVED),
            sa.literal(len(self.steps)),
            chosen.c[0],
        )
        names = ["run_id", "table_name", "action", "step", "row_id"]
        # Of an INSERT, psycopg's cursor tells no number once it is closed, which SQLAlchemy does before we ask.
        insert = sa.insert(target).from_select(names, values).execution_options(preserve_rowcount=True)
        found = self.connection.execute(insert).rowcount
        self._step(table, MOVED, found, move)
        return found

    def moved_rows(self, table: sa.Table, move: Move, keys: Sequence[Row]) -> None:
        """Note moved rows by their keys as they are afterwards: keys of several columns, or no numbers."""
        self._note(table, MOVED, [{"row_key": _as_json(table, key)} for key in keys], move)

    def removed(self, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> None:
        """Keep rows that are about to be deleted."""
        items = [{**key_of(table, row._mapping), "before": row_as_json(table, row)} for row in rows]
        self._note(table, REMOVED, items)

    def changed(self, table: sa.Table, changes: Sequence[tuple[Row, Row, Row]]) -> None:
        """Keep ``(key, before, after)`` of changed rows: of the columns that change only."""
        items = [
            {**key_of(table, key), "before": _as_json(table, before), "after": _as_json(table, after)}
            for key, before, after in changes
        ]
        self._note(table, CHANGED, items)

    def created(self, table: sa.Table, keys: Sequence[Row]) -> None:
        """Note rows that exist because of the merge."""
        self._note(table, CREATED, [key_of(table, key) for key in keys])

    def _note(self, table: sa.Table, action: str, items: Sequence[Row], move: Move | None = None) -> None:
        empty = {"run_id": self.run_id, "table_name": table.name, "action": action, "step": len(self.steps)}
        empty |= dict.fromkeys(("row_id", "row_key", "before", "after"))
        insert_rows(self.uow.session, MergeItem.__table__, [{**empty, **item} for item in items])  # type: ignore[arg-type]
        self._step(table, action, len(items), move)

    def _step(self, table: sa.Table, action: str, rows: int, move: Move | None) -> None:
        if rows:
            step = {"action": action, "table": table.name}
            self.steps.append(step | move.as_json(table) if move else step)
            self.counts[table.name][action] += rows


@dataclass(frozen=True, slots=True)
class Move:
    """What moving does to a column."""

    column: str
    old: Any
    new: Any
    #: The member of the JSON object that changes; None for the column itself.
    json_key: str | None = None
    #: The largest key the table had: rows after it were written since. None where keys are no numbers.
    last: int | None = None

    def as_json(self, table: sa.Table) -> dict[str, Any]:
        """Return it as a step keeps it."""
        kind = table.columns[self.column].type
        write: Callable[[Any], Any] = encoder_of(sa.Text()) if self.json_key else encoder_of(kind)
        return {
            "column": self.column,
            "old": write(self.old),
            "new": write(self.new),
            "json_key": self.json_key,
            "last": self.last,
        }


def numbered(table: sa.Table) -> str | None:
    """Return the primary key's column where it is one whole number, else None."""
    columns = list(table.primary_key.columns)
    return columns[0].name if len(columns) == 1 and isinstance(columns[0].type, sa.Integer) else None


def key_of(table: sa.Table, row: Row) -> dict[str, Any]:
    """Return how an item names a row: ``row_id``, or ``row_key`` for any other key."""
    number = numbered(table)
    if number is not None:
        return {"row_id": row[number], "row_key": None}
    return {"row_id": None, "row_key": _as_json(table, {c.name: row[c.name] for c in table.primary_key.columns})}


def advanced(table: sa.Table, uow: UnitOfWork) -> dict[str, Any]:
    """Return what else changes with a row of a record's table: whoever read it before must read it again."""
    if not _VERSIONED.issubset(table.columns.keys()):
        return {}
    return {"version": table.c.version + 1, "updated_at": uow.now}


def _as_json(table: sa.Table, values: Row) -> dict[str, Any]:
    return {name: encoder_of(table.columns[name].type)(value) for name, value in values.items()}


def written(values: Row) -> dict[str, Any]:
    """Return values as a statement takes them: for None, a JSON column would be given the JSON ``null``."""
    return {name: sa.null() if value is None else value for name, value in values.items()}
