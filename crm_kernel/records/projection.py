"""Turns fields of a record type into one SELECT and its rows into plain dicts: no ORM object, no query per row.

References come with the title of what they point to through a join that carries the target's visibility: a reference
to a record the actor may not see shows that there is one, and neither its id nor its title.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.sql.util import ClauseAdapter

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import sees_all, visible
from crm_kernel.records.confidential import shown_to
from crm_kernel.records.custom_fields.current import held
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, field_plans, said_title, target_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

    from crm_kernel.access.actor import Actor
    from crm_kernel.records.fields import Collection
    from crm_kernel.records.record_type import Extension
    from crm_kernel.unit_of_work import UnitOfWork

#: What a reference shows when its target is hidden from the actor.
HIDDEN: Mapping[str, None] = {"id": None, "title": None}

Getter = Callable[["Row[Any]"], Any]


@dataclass(frozen=True, slots=True)
class Projection:
    """A SELECT over a record type and how its rows become dicts; ``id`` and ``version`` are always there.

    Statements are Core, made once and executed with parameters: building one anew costs more than running it.
    """

    statement: sa.Select[Any]
    getters: tuple[tuple[str, Getter], ...]
    #: ``statement`` for the one record whose public id is the parameter ``uid``.
    one: sa.Select[Any]

    def read(self, row: Row[Any]) -> dict[str, Any]:
        """Return one row as field name → Python value; references as ``{"id", "title"}``."""
        return {name: get(row) for name, get in self.getters}


@dataclass(frozen=True, slots=True)
class PartsReader:
    """A SELECT over rows that belong to records (an extension's, a collection's), by the parameter ``keys``."""

    statement: sa.Select[Any]
    getters: tuple[tuple[str, Getter], ...]

    def rows(self, uow: UnitOfWork, keys: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (key of the record, fields of the part) in the parts' order; one query."""
        for row in uow.session.connection().execute(self.statement, {"keys": keys}):
            yield row[0], {name: get(row) for name, get in self.getters}


def projection_of(actor: Actor, plan: TypePlan, names: Sequence[str]) -> Projection:
    """Return the projection of some plain fields; made once per version of custom fields, type, fields and visibility.

    The first column of every row is the key, for loading extensions and collections.
    """
    names = shown_to(actor, plan, names)
    fields = {name: cast(FieldPlan, plan.named(name)) for name in names}
    viewer = None if _all_visible(actor, fields) else actor
    made = _cached((plan.record_type.name, tuple(names)), viewer, lambda: _make(plan, fields.values(), viewer))
    return cast(Projection, made)


def load_extensions(uow: UnitOfWork, plan: TypePlan, keys: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """Return key → extension name → fields; one query per extension, whatever the number of keys."""
    found: dict[int, dict[str, dict[str, Any]]] = {key: {} for key in keys}
    for extension in plan.extensions:
        reader = _extension_reader(uow, plan, extension)
        for key, values in reader.rows(uow, keys):
            found[key][extension.name] = values
    _drop_hidden(hidden_fields(uow.actor, plan.record_type.name), found)
    return found


def _drop_hidden(hidden: frozenset[str], found: Mapping[int, Mapping[str, dict[str, Any]]]) -> None:
    for name in hidden:
        extension, _dot, field = name.partition(".")
        for extensions in found.values():
            extensions.get(extension, {}).pop(field, None)


def load_collection(
    uow: UnitOfWork, plan: TypePlan, field: FieldPlan, keys: Sequence[int]
) -> dict[int, list[dict[str, Any]]]:
    """Return key → the parts of one collection in their order; one query, whatever the number of keys."""
    found: dict[int, list[dict[str, Any]]] = {key: [] for key in keys}
    for key, values in _collection_reader(uow, plan, field).rows(uow, keys):
        found[key].append(values)
    return found


def _cached(key: Any, viewer: Actor | None, make: Callable[[], Any]) -> Any:
    """Keep what is the same for everybody who sees all targets; what depends on the viewer is made each time."""
    if viewer is not None:
        return make()
    cache = held().made
    if ("projection", key) not in cache:
        cache["projection", key] = make()
    return cache["projection", key]


def _all_visible(actor: Actor, fields: Mapping[str, FieldPlan]) -> bool:
    """Say whether the actor sees every row of every referenced type: his roles show all and no plugin narrows it."""
    targets = [target_of(field) for field in fields.values() if field.kind is Kind.REFERENCE]
    return all(sees_all(actor, target) for target in targets)


def _make(plan: TypePlan, fields: Iterable[FieldPlan], viewer: Actor | None) -> Projection:
    table = table_of(plan.record_type.model)
    builder = _Builder([table.c.id, table.c.uid, table.c.version], viewer)
    builder.getters += [("id", _at(1)), ("version", _at(2))]
    for field in fields:
        builder.add(field, table)
    statement = builder.select_from(table)
    return Projection(statement, tuple(builder.getters), statement.where(table.c.uid == sa.bindparam("uid")))


def _extension_reader(uow: UnitOfWork, plan: TypePlan, extension: Extension) -> PartsReader:
    fields = {n: p for n, p in plan.extension_fields[extension.name].items() if p.readable and p.column is not None}
    viewer = None if _all_visible(uow.actor, fields) else uow.actor

    def make() -> PartsReader:
        table = table_of(extension.model)
        key = next(iter(table.primary_key.columns))
        builder = _Builder([key], viewer)
        for field in fields.values():
            builder.add(field, table)
        return PartsReader(builder.select_from(table).where(_in_keys(key)), tuple(builder.getters))

    return cast(PartsReader, _cached((plan.record_type.name, "@", extension.name), viewer, make))


def _collection_reader(uow: UnitOfWork, plan: TypePlan, field: FieldPlan) -> PartsReader:
    collection = cast("Collection", field.field)
    parts = part_plans(collection)
    viewer = None if _all_visible(uow.actor, parts) else uow.actor

    def make() -> PartsReader:
        table = table_of(collection.model)
        host = table.c[collection.key]
        builder = _Builder([host, table.c.uid], viewer)
        builder.getters.append(("id", _at(1)))
        for part in parts.values():
            builder.add(part, table)
        order = (host, table.c[collection.order_by], table.c.id)
        return PartsReader(builder.select_from(table).where(_in_keys(host)).order_by(*order), tuple(builder.getters))

    return cast(PartsReader, _cached((plan.record_type.name, "#", field.name), viewer, make))


def part_plans(collection: Collection) -> dict[str, FieldPlan]:
    """Return the plans of the readable, stored fields of a collection's parts; made once per application."""
    cache: dict[Any, dict[str, FieldPlan]] = current_app.extensions.setdefault("crm_part_plans", {})
    key = (collection.part_schema, collection.model)
    if key not in cache:
        plans = field_plans(collection.part_schema, collection.model)
        cache[key] = {n: p for n, p in plans.items() if p.readable and p.column is not None}
    return cache[key]


def _in_keys(column: Any) -> Any:
    return column.in_(sa.bindparam("keys", expanding=True))


class _Builder:
    """Collects columns, joins and getters of a SELECT; ``viewer`` limits what references show, None shows all."""

    def __init__(self, columns: list[Any], viewer: Actor | None) -> None:
        self.columns = columns
        self.viewer = viewer
        self.getters: list[tuple[str, Getter]] = []
        self.joins: list[tuple[Any, Any]] = []
        self._sides: set[Any] = set()

    def add(self, field: FieldPlan, host: sa.Table) -> None:
        """Add a field; its side table is joined once."""
        if field.side is not None:
            side = table_of(field.side)
            if side not in self._sides:
                self._sides.add(side)
                self.joins.append((side, next(iter(side.primary_key.columns)) == host.c.id))
        if field.kind is Kind.REFERENCE:
            self.getters.append((field.name, self._add_reference(field)))
        else:
            at = len(self.columns)
            self.getters.append((field.name, _said_at(field.field, at) if hasattr(field.field, "said") else _at(at)))
            self.columns.append(core(field.column))

    def select_from(self, table: sa.Table) -> sa.Select[Any]:
        """Return the SELECT."""
        source: Any = table
        for target, on in self.joins:
            source = source.outerjoin(target, on)
        return sa.select(*self.columns).select_from(source)

    def _add_reference(self, field: FieldPlan) -> Getter:
        target = target_of(field)
        alias = table_of(target.model).alias()
        on = alias.c.id == core(field.column)
        if self.viewer is not None:
            on = sa.and_(on, ClauseAdapter(alias).traverse(visible(self.viewer, target)))
        self.joins.append((alias, on))
        start = len(self.columns)
        # Named, because two references to one type are told apart by name alone once they are expressions.
        title = ClauseAdapter(alias).traverse(core(said_title(target))).label(f"title_{start}")
        self.columns += [core(field.column), alias.c.uid, title]
        return _reference_at(start)


def _reference_at(start: int) -> Getter:
    def read(row: Row[Any]) -> Any:
        if row[start] is None:
            return None
        uid: UUID | None = row[start + 1]
        return HIDDEN if uid is None else {"id": uid, "title": row[start + 2]}

    return read


def _said_at(field: Any, index: int) -> Getter:
    return lambda row: field.said(row[index])


def _at(index: int) -> Getter:
    return operator.itemgetter(index)


def core(attribute: Any) -> Any:
    """Return a mapped attribute as the plain column or expression under it, without the ORM's marks."""
    make = getattr(attribute, "__clause_element__", None)
    return make()._deannotate() if make is not None else attribute


def table_of(model: type[Any]) -> sa.Table:
    """Return the table of a mapped class."""
    return cast(sa.Table, sa.inspect(model).local_table)


def json_ready(value: Any) -> Any:
    """Return a value that is not JSON by nature as the API writes it: amounts as text with four decimals."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no JSON form")
