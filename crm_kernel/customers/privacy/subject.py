"""Finds every row about a customer, from the database itself: no module's code is asked, so none can be forgotten.

What belongs to whom is read from the foreign keys. A key to the customer that cascades, or forbids deleting, makes the
row the customer's own; one that is set to NULL makes it a row that stays without naming anybody (a sale). The rows below
those (a sale's lines) share their fate. The data map adds which columns are personal, for how long rows must be kept,
and references that are no keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.data_map.columns import CoveredColumn, covered_columns
from crm_kernel.data_map.references import STAY, UID
from crm_kernel.data_map.tables import reflected_tables

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

CUSTOMER = "customer"
#: What tables of the machinery call the record that a row of theirs is about.
HISTORY = "record_uid"
_FORGETS = ("SET NULL", "SET DEFAULT")

Where = sa.ColumnElement[bool]
#: The customers that rows are about: their keys, or the column of a query around it that holds the key of one.
Whose = Collection[int] | sa.Column[int]


class Fate(StrEnum):
    """What erasing a customer does to a row."""

    ERASED = "erased"
    #: The row stays, and names nobody any more.
    ANONYMISED = "anonymised"


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key along which rows belong to a customer: ``table.column`` → ``parent.parent_column``."""

    column: str
    parent: str
    parent_column: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one table that are about a customer."""

    table: sa.Table
    #: ``kernel`` or the module's name.
    plugin: str
    fate: Fate
    where: Where
    #: Columns that point at a customer.
    pointing: tuple[str, ...]
    #: Names of the columns that hold personal data.
    personal: frozenset[str]
    #: How long such rows are kept, in the words of whoever declared the table; empty if nobody did.
    retention: str

    def ids(self, column: str) -> sa.Select[Any]:
        """Return a column of these rows, as a select."""
        return sa.select(self.table.c[column]).where(self.where)


@dataclass(frozen=True, slots=True)
class SubjectMap:
    """The tables of this database that are about customers; read once, used for any number of them."""

    tables: Mapping[str, sa.Table]
    covered: Mapping[str, Sequence[CoveredColumn]]
    #: Fate → table → the links that lead to it, tables nearest the customer first.
    links: Mapping[Fate, Mapping[str, Sequence[Link]]] = field(default_factory=dict)

    @classmethod
    def read(cls, uow: UnitOfWork) -> SubjectMap:
        """Read the catalogue of the database and the data map; a few statements per table on SQLite."""
        names = sa.inspect(uow.session.connection()).get_table_names()
        tables = reflected_tables(uow, names)
        _complete_keys(uow, tables)
        covered: dict[str, list[CoveredColumn]] = {}
        for column in covered_columns(uow):
            covered.setdefault(column.table, []).append(column)
        return cls(tables, covered, _links(tables))

    def parts(self, customer_ids: Collection[int]) -> list[Part]:
        """Return the rows about some customers: their own first, then what is attached to any of these rows."""
        own = self.own(customer_ids)
        notes = self._attached(own)
        return [*own, *notes, *self._attached(notes)]  # a file on a note on a customer; nothing is on files

    def own(self, customer_ids: Whose) -> list[Part]:
        """Return the rows that foreign keys make the customers' own, and those that stay without naming them."""
        found = []
        for fate in Fate:
            for name in self.links[fate]:
                where = self._where(name, fate, customer_ids)
                if fate is Fate.ANONYMISED and name in self.links[Fate.ERASED]:
                    where = where & sa.not_(self._where(name, Fate.ERASED, customer_ids))
                found.append(self._part(name, fate, where))
        return found

    def reached(self) -> set[str]:
        """Return the names of all tables that are about customers."""
        return {name for links in self.links.values() for name in links} | {c.table for c in self.attachments()}

    def attachments(self) -> Iterator[CoveredColumn]:
        """Yield the columns by which rows are attached to any record: an id that must be there and moves with it."""
        for column in self.references():
            plain = column.points_to == UID and column.json_key is None and column.merge_rule != STAY
            if plain and column.type_column and not self.tables[column.table].c[column.column].nullable:
                yield column

    def histories(self) -> Iterator[tuple[sa.Table, str, frozenset[str]]]:
        """Yield the tables that tell what was done with records, by ``record_uid``, and their personal columns."""
        for name, columns in self.covered.items():
            personal = frozenset(column.column for column in columns if column.personal)
            if personal and HISTORY in self.tables[name].c and name not in self.reached():
                yield self.tables[name], HISTORY, personal

    def _attached(self, to: Sequence[Part]) -> list[Part]:
        uids = [part.ids("uid") for part in to if "uid" in part.table.c]
        if not uids:
            return []
        return [
            self._part(column.table, Fate.ERASED, self.tables[column.table].c[column.column].in_(sa.union_all(*uids)))
            for column in self.attachments()
        ]

    def references(self) -> Iterator[CoveredColumn]:
        """Yield the columns that name a customer without a foreign key."""
        for columns in self.covered.values():
            yield from (column for column in columns if column.points_to and not column.is_foreign_key)

    def plugin_of(self, table: str) -> str:
        """Return whose table it is: the data map's word, else the part of its name before the first underscore."""
        known = self.covered.get(table)
        if known:
            return known[0].plugin
        prefix = table.partition("_")[0]
        plugins = {column.plugin for columns in self.covered.values() for column in columns}
        return prefix if prefix in plugins else "kernel"

    def _part(self, name: str, fate: Fate, where: Where) -> Part:
        table, columns = self.tables[name], self.covered.get(name, ())
        return Part(
            table=table,
            plugin=self.plugin_of(name),
            fate=fate,
            where=where,
            pointing=tuple(key.parent.name for key in _keys(table) if _target(key)[0] == CUSTOMER),
            personal=frozenset(column.column for column in columns if column.personal),
            retention=next((column.retention for column in columns if column.retention), ""),
        )

    def _where(self, name: str, fate: Fate, ids: Whose) -> Where:
        table = self.tables[name]
        if name == CUSTOMER:
            return _one_of(table.c.id, ids)
        return sa.or_(*(self._along(table, link, fate, ids) for link in self.links[fate][name]))

    def _along(self, table: sa.Table, link: Link, fate: Fate, ids: Whose) -> Where:
        column = table.c[link.column]
        if link.parent == CUSTOMER:
            return _one_of(column, ids)
        parent = self.tables[link.parent]
        above = sa.select(parent.c[link.parent_column]).where(self._where(link.parent, fate, ids))
        # Said in so many words: SQLAlchemy finds by itself only the query next around.
        return column.in_(above.correlate(ids.table) if isinstance(ids, sa.Column) else above)


def _one_of(column: sa.Column[Any], ids: Whose) -> Where:
    return column == ids if isinstance(ids, sa.Column) else column.in_(sorted(ids))


def with_predecessors(uow: UnitOfWork, customer_ids: Collection[int]) -> list[int]:
    """Return the keys of some customers and of all that were ever merged into them; one query per generation."""
    from crm_kernel.customers.models import Customer

    found, newest = set(customer_ids), set(customer_ids)
    while newest:
        query = sa.select(Customer.id).where(Customer.merged_into_id.in_(sorted(newest)))
        newest = set(uow.session.scalars(query)) - found
        found |= newest
    return sorted(found)


#: SQLAlchemy reads ON DELETE only of keys that stand at the end of a CREATE TABLE, not of those beside their column.
_SQLITE_KEYS = sa.text(
    'SELECT m.name AS name, f."from" AS source, f.on_delete AS on_delete '
    "FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"
)


def _complete_keys(uow: UnitOfWork, tables: Mapping[str, sa.Table]) -> None:
    """Note on SQLite what deleting does along every key: a row that may stay must not be taken for one that goes."""
    if uow.session.get_bind().dialect.name != "sqlite":
        return
    rules = {(row.name, row.source): row.on_delete for row in uow.session.execute(_SQLITE_KEYS)}
    for table in tables.values():
        for key in table.foreign_keys:
            key.ondelete = rules.get((table.name, key.parent.name), key.ondelete)


def _links(tables: Mapping[str, sa.Table]) -> dict[Fate, dict[str, list[Link]]]:
    """Follow the foreign keys from the customer outwards, breadth first; a circle is left where it would close."""
    keys = [key for table in tables.values() for key in _keys(table)]
    found: dict[Fate, dict[str, list[Link]]] = {Fate.ERASED: {CUSTOMER: []}, Fate.ANONYMISED: {}}
    for key in keys:
        if _target(key)[0] == CUSTOMER and key.parent.table.name != CUSTOMER:
            fate = Fate.ANONYMISED if _forgets(key) else Fate.ERASED
            found[fate].setdefault(key.parent.table.name, []).append(_link(key))
    for links in found.values():
        above: dict[str, set[str]] = {name: {name} for name in links}
        queue = [name for name in links if name != CUSTOMER]
        while queue:
            parent = queue.pop(0)
            for key in keys:
                child = key.parent.table.name
                if _target(key)[0] != parent or _forgets(key) or child in above[parent]:
                    continue
                if child not in links:
                    queue.append(child)
                links.setdefault(child, []).append(_link(key))
                above.setdefault(child, {child}).update(above[parent])
    return found


def _keys(table: sa.Table) -> list[sa.ForeignKey]:
    """Return the single-column foreign keys of a table, by column."""
    single = [c for c in table.foreign_key_constraints if len(c.elements) == 1]
    return sorted((c.elements[0] for c in single), key=lambda key: key.parent.name)


def _target(key: sa.ForeignKey) -> tuple[str, str]:
    table, _dot, column = key.target_fullname.rpartition(".")
    return table, column


def _forgets(key: sa.ForeignKey) -> bool:
    return (key.ondelete or "").upper() in _FORGETS


def _link(key: sa.ForeignKey) -> Link:
    parent, column = _target(key)
    return Link(key.parent.name, parent, column)
