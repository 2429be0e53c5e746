"""Takes a merge back, step by step from the last to the first; what was done since stays, and is counted.

Nothing here knows a customer: it reads the items of the run and writes the rows as they were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.customers.merging.book import CHANGED, CREATED, MOVED, REMOVED, Row, advanced, numbered, written
from crm_kernel.customers.merging.json_member import is_member, with_member
from crm_kernel.customers.merging.models import MergeItem
from crm_kernel.data_map.tables import foreign_keys, reflected_tables
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
            if table is None or step.get("column", "") not in ("", *table.c.keys()):  # its module dropped it since
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
            return self._move_each(table, number, still, values)
        mine = sa.select(MergeItem.row_id).where(MergeItem.run_id == self.run.id, MergeItem.step == number)
        moved = self._tried(sa.update(table).where(table.c[key].in_(mine), still).values(values))
        if moved is None:
            self._move_each(table, number, still, values)
        else:
            total = self.connection.execute(sa.select(sa.func.count()).select_from(mine.subquery())).scalar_one()
            self.since[table.name][MISSING] += total - moved.rowcount
        self._count_written(table, table.c[key], still, step["last"])

    def _move_each(self, table: sa.Table, number: int, still: sa.ColumnElement[bool], values: Row) -> None:
        for item in self._items(number):
            moved = self._tried(sa.update(table).where(self._is(table, item), still).values(values))
            self.since[table.name][KEPT if moved is None else MISSING] += moved is None or not moved.rowcount

    def _count_written(self, table: sa.Table, key: Any, still: sa.ColumnElement[bool], last: int | None) -> None:
        if last is not None:
            query = sa.select(sa.func.count()).select_from(table).where(still, key > last)
            self.since[table.name][WRITTEN] += self.connection.execute(query).scalar_one()

    def _restore(self, table: sa.Table, number: int, _step: Row) -> None:
        for item in self._items(number):
            row = row_from_json(table, item.before)
            if advanced(table, self.uow):
                row |= {"version": row["version"] + 1, "updated_at": self.uow.now}
            taken = self._tried(sa.insert(table).values(written(row)))
            if taken is None and row.get("is_primary"):  # another one is since
                taken = self._tried(sa.insert(table).values(written({**row, "is_primary": False})))
                self.since[table.name][KEPT] += taken is not None
            self.since[table.name][MISSING] += taken is None  # its key or place was taken

    def _change_back(self, table: sa.Table, number: int, _step: Row) -> None:
        for item in self._items(number):
            query = sa.select(table).where(self._is(table, item)).with_for_update()
            row = self.connection.execute(query).first()
            before, after = row_from_json(table, item.before), row_from_json(table, item.after)
            if row is None or not before:
                self.since[table.name][MISSING] += 1
                continue
            now = row._mapping
            found = {name: _as_before(name, now[name], before[name], after[name]) for name in before}
            back = {name: value for name, (value, _stays) in found.items() if value != now[name]}
            given = self._give_back(table, item, back)
            self.since[table.name][KEPT] += not given or any(stays for _value, stays in found.values())

    def _give_back(self, table: sa.Table, item: Any, values: Row) -> bool:
        """Write values and say whether all were taken: one by one where the place of one was taken since."""
        change, forward = sa.update(table).where(self._is(table, item)), advanced(table, self.uow)
        if not values or self._tried(change.values({**written(values), **forward})) is not None:
            return True
        for name, value in written(values).items():
            self._tried(change.values({name: value, **forward}))
        return False

    def _tried(self, statement: sa.Insert | sa.Update | sa.Delete) -> sa.CursorResult[Any] | None:
        """Run a statement and return its result; None where a key or a rule of the table does not let it, and nothing changed."""
        try:
            with self.connection.begin_nested():
                return self.connection.execute(statement)
        except sa.exc.IntegrityError:
            return None

    def _delete(self, table: sa.Table, number: int, _step: Row) -> None:
        """Delete rows that exist because of the merge, but for those that rows written since refer to."""
        children = [key for key in foreign_keys(self.uow) if key.referred == table.name]
        needed = [sa.exists().where(_column(key.table, key.column) == table.c[key.key]) for key in children]
        for item in self._items(number):
            mine = self._is(table, item)
            stays = self.connection.execute(sa.select(sa.literal(1)).where(mine, sa.or_(sa.false(), *needed))).first()
            if stays or self._tried(sa.delete(table).where(mine)) is None:
                self.since[table.name][KEPT] += 1

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


def _column(table: str, name: str) -> sa.ColumnClause[Any]:
    # By another name: a table may refer to itself.
    return sa.table(table, sa.column(name)).alias("written_since").c[name]


def _as_before(name: str, now: Any, before: Any, after: Any) -> tuple[Any, bool]:
    """Return what a value becomes, and whether a change since stays; custom fields are given back each by itself."""
    if now == after:
        return before, False
    if name != "custom" or not all(value is None or isinstance(value, dict) for value in (now, before, after)):
        return now, True
    was, left, found = before or {}, after or {}, dict(now or {})
    given = [member for member in {*was, *left} if was.get(member) != left.get(member)]
    stays = [member for member in given if found.get(member) != left.get(member)]
    for member in set(given).difference(stays):
        found[member] = was.get(member)
    found = {member: value for member, value in found.items() if value is not None}
    return found or (None if before is None else {}), bool(stays)
