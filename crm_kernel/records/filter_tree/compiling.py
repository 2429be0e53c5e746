"""Compiles a filter tree to SQL over registered columns; the same rows on SQLite and PostgreSQL.

Logic has two values: a record fits a condition or its negation, also where a value is missing. SQL's third value never
comes up, because negations are pushed down to the leaves, where a missing value is told apart by name. Visibility of
related records is ANDed inside: nobody finds a customer by a sale he may not see.

Related rows are counted and summed in one of two ways, by what is read. Groups of all related rows are looked up with ``IN``
on SQLite, with EXISTS on PostgreSQL: when they do not fit into its ``work_mem``, an ``IN`` inside of OR, or a negated one,
compares every record with every group (0.1 seconds became minutes with 100,000 customers).
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.util import ClauseAdapter

from crm_kernel.access.policy import sees_all, visible
from crm_kernel.database import Uid
from crm_kernel.records.catalogue import Catalogue, Entry, Relation, catalogue_of
from crm_kernel.records.filter_tree import values
from crm_kernel.records.filter_tree.checking import dated, named_entry, named_relation
from crm_kernel.records.filter_tree.nodes import And, Comparison, Has, Node, Not, Or, Total
from crm_kernel.records.filter_tree.periods import Clock, Range
from crm_kernel.records.plan import Kind, TypePlan, side_key, target_of
from crm_kernel.records.projection import table_of
from crm_kernel.records.replacements import named

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

Predicate = sa.ColumnElement[bool]
#: What EXISTS selects: written out, not a parameter.
_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": op.eq, "ne": op.ne, "lt": op.lt, "lte": op.le, "gt": op.gt, "gte": op.ge,
}  # fmt: skip
#: A day or a period against a point in time: after a day means after its end.
_COMPARE_RANGE: Mapping[str, Callable[[Any, Range], Any]] = {
    "during": lambda column, found: sa.and_(column >= found.start, column < found.end),
    "eq": lambda column, found: sa.and_(column >= found.start, column < found.end),
    "lt": lambda column, found: column < found.start,
    "lte": lambda column, found: column < found.end,
    "gt": lambda column, found: column >= found.end,
    "gte": lambda column, found: column >= found.start,
}


class Aim(Enum):
    """What the rows are read for."""

    #: All that fit: every related row is looked at once, whatever the number of records.
    ALL = "all"
    #: The first ones of an order: related rows are looked at record by record, until there are enough.
    FIRST = "first"


def compile_tree(uow: UnitOfWork, plan: TypePlan, node: Node, aim: Aim = Aim.ALL) -> Predicate:
    """Return the tree as a predicate over the record type's table, for the unit's actor and time.

    Raises:
        InvalidInput: it names what does not exist any more, or what the actor may not read.
    """
    clock = Clock.of(uow.now, uow.actor.timezone)
    frame = _Frame(catalogue_of(plan, uow.actor), table_of(plan.record_type.model), ())
    return _Compiler(uow, clock, aim).node(frame, node, "filter", negated=False)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rows that conditions are about: where they come from, and the tables around them."""

    catalogue: Catalogue
    source: Any
    around: tuple[sa.Table, ...]

    def sql(self, attribute: Any) -> Any:
        """Return an attribute of the model, or an expression of its columns, over this frame's rows."""
        found = attribute.__clause_element__() if hasattr(attribute, "__clause_element__") else attribute
        found = found._deannotate()
        return found if isinstance(self.source, sa.Table) else ClauseAdapter(self.source).traverse(found)

    def inside(self, relation: Relation) -> _Frame:
        """Return the frame of related rows; a table that is around already gets a name of its own."""
        table = table_of(relation.rows.model)
        around = (*self.around, table_of(self.catalogue.model))
        return _Frame(relation.rows, table.alias() if table in around else table, around)


@dataclass(frozen=True, slots=True)
class _Compiler:
    """One pass over one tree for one actor."""

    uow: UnitOfWork
    clock: Clock
    aim: Aim
    #: Whether the conditions are alternatives: no other one narrows the rows that each is asked of.
    either: bool = False

    def node(self, frame: _Frame, node: Node, path: str, *, negated: bool) -> Predicate:
        if isinstance(node, Not):
            return self.node(frame, node.part, f"{path}.not", negated=not negated)
        if isinstance(node, And | Or):
            return self._junction(frame, node, path, negated=negated)
        if isinstance(node, Comparison):
            return self._comparison(frame, node, path, negated=negated)
        found = self._has(frame, node, path) if isinstance(node, Has) else self._total(frame, node, path)
        return sa.not_(found) if negated else found

    def _junction(self, frame: _Frame, node: And | Or, path: str, *, negated: bool) -> Predicate:
        key = "and" if isinstance(node, And) else "or"
        # De Morgan: none of several is the negation of each.
        all_of = isinstance(node, And) is not negated
        inner = self if all_of else replace(self, either=True)
        parts = [
            inner.node(frame, part, f"{path}.{key}[{place}]", negated=negated) for place, part in enumerate(node.parts)
        ]
        return sa.and_(sa.true(), *parts) if all_of else sa.or_(sa.false(), *parts)

    def _comparison(self, frame: _Frame, node: Comparison, path: str, *, negated: bool) -> Predicate:
        entry = named_entry(frame.catalogue, node.field, f"{path}.field")
        return self.compare(frame, entry, node, f"{path}.value", negated=negated)

    def compare(self, frame: _Frame, entry: Entry, node: Comparison, path: str, *, negated: bool) -> Predicate:
        """Return one comparison. Each operator is false where the value is missing; ``ne`` is the negation of ``eq``."""
        operator = node.operator
        if operator == "ne":
            operator, negated = "eq", not negated
        elif operator == "empty":
            operator, negated = "filled", negated is not values.truth(node.value, path)
        if entry.side is None:
            column = frame.sql(entry.column)
            test = self._test(entry, column, operator, node, path)
            return _complement(entry, column, operator, test) if negated else test
        return self._through_side(frame, entry, operator, node, path, negated=negated)

    def _through_side(
        self, frame: _Frame, entry: Entry, operator: str, node: Comparison, path: str, *, negated: bool
    ) -> Predicate:
        """Return a comparison of a 1:1 table's column: a record without a row there has no value."""
        inner = _Frame(frame.catalogue, table_of(cast(type[Any], entry.side)), ())
        test = self._test(entry, inner.sql(entry.column), operator, node, path)
        key = inner.sql(side_key(cast(type[Any], entry.side)))
        if self.either and self.aim is Aim.ALL and self._on_sqlite() and _indexed(inner.source, entry):
            # Planned with the index once, where EXISTS would look every record's row up; PostgreSQL sees that by itself.
            found: Predicate = frame.source.c.id.in_(sa.select(key).where(test).correlate(None))
            return sa.not_(found) if negated else found
        rows = sa.select(_ONE).where(key == frame.source.c.id, test).correlate(frame.source)
        return sa.not_(sa.exists(rows)) if negated else sa.exists(rows)

    def _test(self, entry: Entry, column: Any, operator: str, node: Comparison, path: str) -> Predicate:
        if operator == "filled":
            return cast(Predicate, sa.and_(column.is_not(None), column != "") if _blank(entry) else column.is_not(None))
        if entry.plan.kind is Kind.REFERENCE:
            return self._reference(entry, column, node, path)
        if operator == "in":
            found = values.operands(entry, cast(Any, node.value), self.clock, path)
            return cast(Predicate, column.in_(found))
        found = values.operand(entry, operator, node.value, self.clock, path)
        return _compared(column, operator, found)

    def _reference(self, entry: Entry, column: Any, node: Comparison, path: str) -> Predicate:
        wanted = node.value if isinstance(node.value, tuple) else (node.value,)
        mine = self.uow.actor.user_uid
        uids = [
            mine if value == "me" and mine else values.operand(entry, "eq", value, self.clock, path) for value in wanted
        ]
        target = target_of(entry.plan)
        # A hidden target matches nothing: an answer would confirm what the list itself does not show.
        seen = sa.select(target.model.id).where(named(target, uids), visible(self.uow.actor, target))
        return cast(Predicate, column.in_(seen.correlate(None)))

    def _has(self, frame: _Frame, node: Has, path: str) -> Predicate:
        relation = named_relation(frame.catalogue, node.relation, f"{path}.has")
        inner = frame.inside(relation)
        conditions = self._limits(inner, relation, node, path)
        found = [self._at_least(frame, inner, relation, conditions, node.at_least)] if node.at_least else []
        if node.at_most is not None:
            found.append(sa.not_(self._at_least(frame, inner, relation, conditions, node.at_most + 1)))
        return sa.and_(*found)

    def _total(self, frame: _Frame, node: Total, path: str) -> Predicate:
        relation = named_relation(frame.catalogue, node.relation, f"{path}.sum")
        inner = frame.inside(relation)
        entry = named_entry(relation.rows, node.of, f"{path}.of")
        value = values.operand(entry, node.operator, node.value, self.clock, f"{path}.value")
        conditions = self._limits(inner, relation, node, path)
        if node.currency is not None:
            currency = named_entry(relation.rows, entry.currency or "", f"{path}.currency")
            conditions.append(inner.sql(currency.column) == node.currency)
        amount, compare = inner.sql(entry.column), _COMPARE[node.operator]
        total = sa.func.coalesce(sa.func.sum(amount, type_=amount.type), sa.literal(0, sa.Integer), type_=amount.type)
        if self.aim is Aim.FIRST:
            return cast(Predicate, compare(_beside(frame, inner, relation, conditions, total), value))
        fits = compare(total, value)
        if compare(Decimal(0), Decimal(str(value))):  # a record without rows fits: the others are named
            return sa.not_(self._grouped(frame, inner, relation, conditions, sa.not_(fits)))
        return self._grouped(frame, inner, relation, conditions, fits)

    def _at_least(
        self, frame: _Frame, inner: _Frame, relation: Relation, conditions: list[Predicate], number: int
    ) -> Predicate:
        if number == 1:
            link, host = inner.sql(relation.key), frame.sql(relation.host_key)
            rows = sa.select(_ONE).select_from(inner.source).where(link == host, *conditions)
            return sa.exists(rows.correlate(frame.source))
        if self.aim is Aim.FIRST:
            return _first_ones(frame, inner, relation, conditions, number)
        return self._grouped(frame, inner, relation, conditions, sa.func.count() >= number)

    def _grouped(
        self, frame: _Frame, inner: _Frame, relation: Relation, conditions: list[Predicate], fits: Predicate
    ) -> Predicate:
        """Return whether a record is among those whose related rows, grouped by record, fit."""
        link, host = inner.sql(relation.key), frame.sql(relation.host_key)
        rows = sa.select(link.label("host")).select_from(inner.source).where(link.is_not(None), *conditions)
        groups = rows.group_by(link).having(fits).correlate(None)
        if self._on_sqlite():
            return cast(Predicate, host.in_(groups))
        found = groups.subquery()
        return sa.exists(sa.select(_ONE).select_from(found).where(found.c.host == host).correlate(frame.source))

    def _on_sqlite(self) -> bool:
        return self.uow.session.get_bind().dialect.name == "sqlite"

    def _limits(self, inner: _Frame, relation: Relation, node: Has | Total, path: str) -> list[Predicate]:
        """Return what limits related rows: what they are, who may see them, ``where``, and the period."""
        found = [] if relation.given is None else [inner.sql(relation.given)]
        found += self._visibility(inner, relation)
        if node.within is not None:
            date = dated(relation, node.on, path)
            span = values.period(date, node.within, self.clock, f"{path}.within")
            found.append(_compared(inner.sql(date.column), "during", span))
        if node.where is not None:
            found.append(self.node(inner, node.where, f"{path}.where", negated=False))
        return found

    def _visibility(self, inner: _Frame, relation: Relation) -> list[Predicate]:
        wanted = relation.record_type
        if wanted is None or sees_all(self.uow.actor, wanted):
            return []
        rule = visible(self.uow.actor, wanted)
        if isinstance(inner.source, sa.Table):
            return [rule]
        # Rules are written over the table's own name, which stands for other rows here.
        return [inner.source.c.id.in_(sa.select(wanted.model.id).where(rule).correlate(None))]


def _beside(frame: _Frame, inner: _Frame, relation: Relation, conditions: list[Predicate], what: Any) -> Any:
    """Return an aggregate over the related rows of one record."""
    link, host = inner.sql(relation.key), frame.sql(relation.host_key)
    rows = sa.select(what).select_from(inner.source).where(link == host, *conditions)
    return rows.correlate(frame.source).scalar_subquery()


def _first_ones(
    frame: _Frame, inner: _Frame, relation: Relation, conditions: list[Predicate], number: int
) -> Predicate:
    """Return whether a record has that many related rows; those beyond are not read."""
    link, host = inner.sql(relation.key), frame.sql(relation.host_key)
    rows = sa.select(_ONE).select_from(inner.source).where(link == host, *conditions)
    enough = rows.limit(number).correlate(frame.source).subquery()
    count = sa.select(sa.func.count()).select_from(enough).correlate(frame.source).scalar_subquery()
    return count == number


def _compared(column: Any, operator: str, found: Any) -> Predicate:
    if isinstance(found, Range):
        return cast(Predicate, _COMPARE_RANGE[operator](column, found))
    if operator == "contains":
        return sa.func.lower(column).contains(found.lower(), autoescape=True)
    if operator == "startswith":
        return sa.func.lower(column).startswith(found.lower(), autoescape=True)
    return cast(Predicate, _COMPARE[operator](column, found))


def _complement(entry: Entry, column: Any, operator: str, test: Predicate) -> Predicate:
    """Return the negation of a test that is false where the value is missing."""
    if operator == "filled":
        return cast(Predicate, sa.or_(column.is_(None), column == "") if _blank(entry) else column.is_(None))
    return sa.or_(column.is_(None), sa.not_(test)) if entry.nullable else sa.not_(test)


def _indexed(table: sa.Table, entry: Entry) -> bool:
    """Say whether an index begins with the entry's column."""
    column = entry.column.__clause_element__()._deannotate()
    return any(next(iter(index.columns)) is column for index in table.indexes)


def _blank(entry: Entry) -> bool:
    # An id is text to people and no text to the database: it cannot be compared with an empty one.
    return entry.plan.kind is Kind.TEXT and not isinstance(entry.column.type, Uid)
