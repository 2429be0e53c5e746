"""Gives the rows of one to another: the one primitive of merging, for customers and for rows that become one row.

Rows that a unique key keeps from standing beside one of the other's become that one: its gaps are filled if the rule says
so, what hangs on them is given in turn, then they are removed. All else is one UPDATE, however many rows there are.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.merging.book import Book, Move, Row, advanced, numbered, written
from crm_kernel.data_map.references import COMBINE, FILL_GAPS, MOVE, combining_function
from crm_kernel.data_map.tables import ForeignKey, foreign_keys, unique_keys
from crm_kernel.errors import Conflict

log = logging.getLogger("crm.merging")

#: What makes two rows of a customer the same beside the keys of the database; compared with missing values equal.
SAME: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "contact_point": {"customer_id": ("channel", "value_normalized")},
    "address": {"customer_id": ("purpose", "street", "postal_code", "city", "region", "country_code")},
    "relationship": {
        "from_customer_id": ("to_customer_id", "type", "role", "valid_from", "valid_to"),
        "to_customer_id": ("from_customer_id", "type", "role", "valid_from", "valid_to"),
    },
}


#: States of parts, the worst last.
_STATES: Mapping[str, tuple[str, ...]] = {
    "contact_point": ("valid", "unverified", "soft_bounce", "hard_bounce", "retired", "wrong_person"),
    "address": ("valid", "unverified", "undeliverable"),
}


class Giver:
    """Gives rows and notes in the book what it did."""

    def __init__(self, book: Book) -> None:
        self.book = book
        #: Table → the foreign keys that refer to it.
        self._children: defaultdict[str, list[ForeignKey]] = defaultdict(list)
        for key in foreign_keys(book.uow):
            self._children[key.referred].append(key)

    def give(self, table: sa.Table, column: str, old: Any, new: Any, *, rule: str = MOVE) -> None:
        """Let every row with ``column = old`` have ``new``."""
        for pairs in self._meeting(table, column, old, new):
            self._become_one(table, column, pairs, rule)
        if table.columns[column].primary_key and self._children.get(table.name):
            self._replace(table, column, old, new)
        else:
            self._move(table, column, old, new)

    def _move(self, table: sa.Table, column: str, old: Any, new: Any) -> None:
        mine, number = table.c[column] == old, numbered(table)
        if number is not None and number != column:
            last = self.book.connection.execute(sa.select(sa.func.max(table.c[number]))).scalar()
            move = Move(column, old, new, last=last)
            found = self.book.moved(table, move, sa.select(table.c[number]).where(mine))
        else:
            rows = self.book.connection.execute(sa.select(*table.primary_key.columns).where(mine)).all()
            after = {column: new} if table.columns[column].primary_key else {}
            self.book.moved_rows(table, Move(column, old, new), [{**row._mapping, **after} for row in rows])
            found = len(rows)
        if found:
            values = {column: new, **advanced(table, self.book.uow)}
            self.write(table, sa.update(table).where(mine).values(values))

    def _meeting(
        self, table: sa.Table, column: str, old: Any, new: Any
    ) -> Iterator[list[tuple[sa.Row[Any], sa.Row[Any]]]]:
        """Yield, key by key, the pairs of rows that could not stand beside each other."""
        for key in unique_keys(table):
            if column in key:
                yield self._pairs(table, column, old, new, sorted(key - {column}), nulls_equal=False)
        if same := SAME.get(table.name, {}).get(column):
            yield self._pairs(table, column, old, new, same, nulls_equal=True)

    def _pairs(
        self, table: sa.Table, column: str, old: Any, new: Any, names: Sequence[str], *, nulls_equal: bool
    ) -> list[tuple[sa.Row[Any], sa.Row[Any]]]:
        gone, kept = table.alias("gone"), table.alias("kept")
        equal = [
            gone.c[name].is_not_distinct_from(kept.c[name]) if nulls_equal else gone.c[name] == kept.c[name]
            for name in names
        ]
        ids = [column.name for column in table.primary_key.columns]
        query = (
            sa.select(*(gone.c[name].label(f"gone_{name}") for name in ids), *kept.c)
            .select_from(gone.join(kept, sa.and_(sa.true(), *equal)))
            .where(gone.c[column] == old, kept.c[column] == new)
            .order_by(*(kept.c[name] for name in ids))
        )
        keep: dict[tuple[Any, ...], sa.Row[Any]] = {}
        for row in self.book.connection.execute(query):
            keep.setdefault(tuple(row[: len(ids)]), row)
        if not keep:
            return []
        rows = self._rows(table, keep)
        kept_rows = self._rows(table, [tuple(row._mapping[name] for name in ids) for row in keep.values()])
        return [
            (rows[key], kept_rows[tuple(row._mapping[name] for name in ids)])
            for key, row in keep.items()
            if key in rows
        ]

    def _rows(self, table: sa.Table, keys: Any) -> dict[tuple[Any, ...], sa.Row[Any]]:
        columns = list(table.primary_key.columns)
        found: dict[tuple[Any, ...], sa.Row[Any]] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), 500):
            query = sa.select(table).where(_among(columns, wanted[start : start + 500]))
            for row in self.book.connection.execute(query):
                found[tuple(row._mapping[column.name] for column in columns)] = row
        return found

    def _become_one(
        self, table: sa.Table, column: str, pairs: Sequence[tuple[sa.Row[Any], sa.Row[Any]]], rule: str
    ) -> None:
        for gone, kept in pairs:
            for child in self._children.get(table.name, ()):
                old, new = gone._mapping[child.key], kept._mapping[child.key]
                self.give(self.book.table(child.table), child.column, old, new)
        # Removed before the others are completed: a value that only one row may have is free then.
        self._remove(table, [gone for gone, _kept in pairs])
        for gone, kept in pairs:
            self._settle(table, column, gone._mapping, kept._mapping, rule)

    def _settle(self, table: sa.Table, column: str, gone: Row, kept: Row, rule: str) -> None:
        """Change the row that stays as the rule says."""
        fixed = {column, *(c.name for c in table.primary_key.columns), "uid", "version", "created_at", "updated_at"}
        wanted = _combined(rule, gone, kept) | _stricter(table.name, gone, kept)
        changes = {k: v for k, v in wanted.items() if k not in fixed and kept[k] != v}
        if changes:
            self.change(table, _is(table, kept), changes)

    def _remove(self, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> None:
        if not rows:
            return
        self.book.removed(table, rows)
        columns = list(table.primary_key.columns)
        keys = [tuple(row._mapping[column.name] for column in columns) for row in rows]
        for start in range(0, len(keys), 500):
            self.write(table, sa.delete(table).where(_among(columns, keys[start : start + 500])))

    def _replace(self, table: sa.Table, column: str, old: Any, new: Any) -> None:
        """Give a key that others refer to: the row is written anew under it, they are given, then the old one goes."""
        row = self.book.connection.execute(sa.select(table).where(table.c[column] == old)).first()
        if row is None:
            return
        self.write(table, sa.insert(table).values(written({**row._mapping, column: new})))
        self.book.created(table, [{**row._mapping, column: new}])
        for child in self._children[table.name]:
            self.give(self.book.table(child.table), child.column, old, new)
        self._remove(table, [row])

    def advance(self, table: sa.Table) -> dict[str, Any]:
        """Return what else changes with a row of a record's table."""
        return advanced(table, self.book.uow)

    def remove(self, table: sa.Table, where: sa.ColumnElement[bool]) -> None:
        """Remove rows that make no sense any more, and keep them in the book."""
        rows = self.book.connection.execute(sa.select(table).where(where)).all()
        self._remove(table, rows)

    def change(self, table: sa.Table, where: sa.ColumnElement[bool], values: Row) -> None:
        """Change columns of rows, and keep what they were."""
        rows = self.book.connection.execute(sa.select(table).where(where)).all()
        if not rows:
            return
        self.book.changed(table, [(r._mapping, {n: r._mapping[n] for n in values}, values) for r in rows])
        self.write(table, sa.update(table).where(where).values({**written(values), **advanced(table, self.book.uow)}))

    def write(self, table: sa.Table, statement: sa.Insert | sa.Update | sa.Delete) -> None:
        """Run a statement; where the database refuses it, say by which table alone: it tells values of rows as well.

        Those may be rows that whoever merges must not see. The log has the constraint.

        Raises:
            Conflict: instead of ``IntegrityError``.
        """
        try:
            self.book.connection.execute(statement)
        except sa.exc.IntegrityError as error:
            log.warning("%s does not let two customers be one: %s", table.name, str(error.orig).strip().splitlines()[0])
            raise Conflict(_("The table %(table)s does not let these customers be one.", table=table.name)) from error


def _combined(rule: str, gone: Row, kept: Row) -> dict[str, Any]:
    if rule.startswith(COMBINE):
        try:
            return dict(combining_function(rule)(kept=dict(kept), gone=dict(gone)))
        except (ImportError, AttributeError):
            rule = FILL_GAPS  # the module is gone: what it would have combined is kept in merge_item
    if rule != FILL_GAPS:
        return {}
    return {name: value for name, value in gone.items() if kept[name] is None and value is not None}


def _stricter(table: str, gone: Row, kept: Row) -> dict[str, Any]:
    """Return the worse state of two rows that say the same: what is known of an address stays known."""
    order = _STATES.get(table)
    if order is None or gone["state"] not in order or kept["state"] not in order:
        return {}
    worse = max(gone, kept, key=lambda row: order.index(row["state"]))
    return {"state": worse["state"], **({"state_since": worse["state_since"]} if "state_since" in worse else {})}


def _among(columns: Sequence[sa.Column[Any]], keys: Sequence[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return sa.tuple_(*columns).in_(keys)


def _is(table: sa.Table, row: Row) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == row[column.name] for column in table.primary_key.columns))
