"""Takes a merge back, step by step from the last to the first; what was done since stays, and is counted.

Nothing here knows a customer: it reads the items of the run and writes the rows as they were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.customers.merging.book import CHANGED, CREATED, MOVED, REMOVED, Row, advanced, numbered
from crm_kernel.customers.merging.json_member import is_member, with_member
from crm_kernel.customers.merging.models import MergeItem
from crm_kernel.data_map.tables import reflected_tables
from crm_kernel.data_map.values import decoded, row_from_json

if TYPE_CHECKING:
    from crm_kernel.customers.merging.models import MergeRun
    from crm_kernel.unit_of_work import UnitOfWork

#: What could not be given back, or stays: rows written to the survivor since, values changed since, rows deleted since.
WRITTEN, KEPT, MISSING = "written", "kept", "missing"


class Undoer:
    """Takes back the steps of one run."""

    def __init__(self, uow: UnitOfWork, run: MergeRun) -> None:
        self.uow = uow
        self.run = run
        self.connection = uow.session.connection()
        self._tables = reflected_tables(uow, {step["table"] for step in run.steps})
        #: Table → what → rows.
        self.since: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def undo(self) -> Mapping[str, Mapping[str, int]]:
        """Take everything back and return what stayed otherwise than it was."""
        undo = {MOVED: self._move_back, REMOVED: self._restore, CHANGED: self._change_back, CREATED: self._delete}
        for number in reversed(range(len(self.run.steps))):
            step = self.run.steps[number]
            table = self._tables.get(step["table"])
            if table is None:  # its module was purged since
                self.since[step["table"]][MISSING] += len(self._items(number))
                continue
            undo[step["action"]](table, number, step)
        told = {table: {what: n for what, n in counts.items() if n} for table, counts in self.since.items()}
        return {table: counts for table, counts in told.items() if counts}

    def _move_back(self, table: sa.Table, number: int, step: Row) -> None:
        column, member = table.c[step["column"]], step["json_key"]
        old, new = (step[n] if member else decoded(step[n], column.type) for n in ("old", "new"))
        still = is_member(column, member, new) if member else column == new
        value = with_member(column, member, old, self.connection) if member else old
        values = {column.name: value, **advanced(table, self.uow)}
        key = numbered(table)
        if key is None or key == column.name:
            items = self._items(number)
            found = sum(self._move_one(table, item, still, values) for item in items)
            self.since[table.name][MISSING] += len(items) - found
            return
        mine = sa.select(MergeItem.row_id).where(MergeItem.run_id == self.run.id, MergeItem.step == number)
        found = self.connection.execute(sa.update(table).where(table.c[key].in_(mine), still).values(values)).rowcount
        total = self.connection.execute(sa.select(sa.func.count()).select_from(mine.subquery())).scalar_one()
        self.since[table.name][MISSING] += total - found
        self._count_written(table, table.c[key], still, step["last"])

    def _count_written(self, table: sa.Table, key: Any, still: sa.ColumnElement[bool], last: int | None) -> None:
        if last is not None:
            query = sa.select(sa.func.count()).select_from(table).where(still, key > last)
            self.since[table.name][WRITTEN] += self.connection.execute(query).scalar_one()

    def _move_one(self, table: sa.Table, item: Any, still: sa.ColumnElement[bool], values: Row) -> int:
        found = self.connection.execute(sa.update(table).where(self._is(table, item), still).values(values))
        return found.rowcount

    def _restore(self, table: sa.Table, number: int, _step: Row) -> None:
        for item in self._items(number):
            row = row_from_json(table, item.before)
            if advanced(table, self.uow):
                row |= {"version": row["version"] + 1, "updated_at": self.uow.now}
            try:
                with self.connection.begin_nested():
                    self.connection.execute(sa.insert(table).values(row))
            except sa.exc.IntegrityError:  # its key or place was taken since
                self.since[table.name][MISSING] += 1

    def _change_back(self, table: sa.Table, number: int, _step: Row) -> None:
        for item in self._items(number):
            row = self.connection.execute(sa.select(table).where(self._is(table, item))).first()
            if row is None:
                self.since[table.name][MISSING] += 1
                continue
            before, after = row_from_json(table, item.before), row_from_json(table, item.after)
            back = {name: value for name, value in before.items() if row._mapping[name] == after[name]}
            self.since[table.name][KEPT] += len(back) < len(before)
            if back:
                values = {**back, **advanced(table, self.uow)}
                self.connection.execute(sa.update(table).where(self._is(table, item)).values(values))

    def _delete(self, table: sa.Table, number: int, _step: Row) -> None:
        for item in self._items(number):
            self.connection.execute(sa.delete(table).where(self._is(table, item)))

    def _items(self, number: int) -> list[Any]:
        item: Any = MergeItem.__table__
        query = sa.select(item).where(item.c.run_id == self.run.id, item.c.step == number).order_by(item.c.id.desc())
        return list(self.connection.execute(query))

    def _is(self, table: sa.Table, item: Any) -> sa.ColumnElement[bool]:
        if item.row_id is not None:
            mine: sa.ColumnElement[bool] = table.c[str(numbered(table))] == item.row_id
            return mine
        key = row_from_json(table, item.row_key)
        return sa.and_(*(table.c[name] == value for name, value in key.items()))
