"""Reads and writes the rows behind many records at once; ``bulk`` decides which and keeps the rules.

A record's values are one flat mapping here: attribute → value for its own and its side columns, ``extensions.bank.iban``
for those of extensions, and a tuple of parts for a collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel._internal.rows import among, insert_rows, reserve_keys
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, side_key
from crm_kernel.records.projection import load_collection, table_of
from crm_kernel.records.storing import set_changed

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Keys in one ``IN`` list.
SLICE = 5_000


def slices(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the keys in portions that fit one statement."""
    for start in range(0, len(keys), SLICE):
        yield keys[start : start + SLICE]


def attribute_of(plan: FieldPlan) -> str:
    """Return the attribute that the schema loads a field into."""
    return plan.field.attribute or plan.name


def insert_records(uow: UnitOfWork, record_type: RecordType, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows of a type without rules of its own, defaults of the model filled in, and return their keys."""
    mapper = sa.inspect(record_type.model)
    table: Any = mapper.local_table
    keys = reserve_keys(uow.session, table, len(rows))
    names = {
        attribute.key: attribute.columns[0] for attribute in mapper.column_attrs if attribute.columns[0].table is table
    }
    fixed = {"version": 1, "created_at": uow.now, "updated_at": uow.now}
    filled = [
        {column.name: _filled(name, column, row, {"id": key, "uid": None, **fixed}) for name, column in names.items()}
        for key, row in zip(keys, rows, strict=True)
    ]
    insert_rows(uow.session, table, filled)
    return keys


def update_records(uow: UnitOfWork, record_type: RecordType, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Set columns of records by key, raising their versions; one ``executemany`` per set of changed columns."""
    table: Any = sa.inspect(record_type.model).local_table
    columns = {a.key: a.columns[0].name for a in sa.inspect(record_type.model).column_attrs}
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, row in changes.items():
        values = {f"v_{columns[name]}": value for name, value in row.items()}
        groups.setdefault(tuple(row), []).append({"the_key": key, **values})
    for names, rows in groups.items():
        values = {columns[name]: sa.bindparam(f"v_{columns[name]}") for name in names}
        uow.session.connection().execute(
            sa.update(table)
            .where(table.c.id == sa.bindparam("the_key"))
            .values(**values, version=table.c.version + 1, updated_at=uow.now),
            rows,
        )


def touch(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> None:
    """Raise the version of records of which only a side row changed."""
    table: Any = sa.inspect(record_type.model).local_table
    for part in slices(keys):
        statement = sa.update(table).where(table.c.id.in_(part))
        uow.session.connection().execute(statement.values(version=table.c.version + 1, updated_at=uow.now))


def insert_sides(uow: UnitOfWork, plan: TypePlan, sides: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Insert the extensions' rows of new records: key → extension → values; one statement per set of columns."""
    for extension in plan.extensions:
        table: Any = sa.inspect(extension.model).local_table
        mapper = sa.inspect(extension.model)
        names = {a.key: a.columns[0] for a in mapper.column_attrs}
        own = side_key(extension.model).key
        rows = [
            {column.name: _filled(name, column, values[extension.name], {own: key}) for name, column in names.items()}
            for key, values in sides.items()
            if values.get(extension.name)
        ]
        insert_rows(uow.session, table, rows)


def upsert_sides(uow: UnitOfWork, plan: TypePlan, sides: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Insert or change the extensions' rows of stored records; a query per extension, a statement per set of columns."""
    for extension in plan.extensions:
        given = {key: values[extension.name] for key, values in sides.items() if values.get(extension.name)}
        if not given:
            continue
        key_column: Any = side_key(extension.model)
        known = set(uow.session.execute(sa.select(key_column).where(key_column.in_(list(given)))).scalars())
        insert_sides(uow, plan, {key: {extension.name: row} for key, row in given.items() if key not in known})
        _update_sides(uow, extension.model, {key: row for key, row in given.items() if key in known})


def _update_sides(uow: UnitOfWork, model: Any, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Change stored rows of an extension: key → attribute → value; one statement per set of changed columns."""
    table: Any = sa.inspect(model).local_table
    columns = {a.key: a.columns[0].name for a in sa.inspect(model).column_attrs}
    own = table.c[columns[side_key(model).key]]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, row in sorted(changes.items()):
        names = tuple(sorted(row))
        groups.setdefault(names, []).append({"the_key": key, **{f"v_{columns[name]}": row[name] for name in names}})
    for names, rows in groups.items():
        values: dict[str, Any] = {columns[name]: sa.bindparam(f"v_{columns[name]}") for name in names}
        statement = sa.update(table).where(own == sa.bindparam("the_key")).values(**values)
        uow.session.connection().execute(statement, rows)


def write_sides(uow: UnitOfWork, plan: TypePlan, sides: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Write the extensions' rows through the session, which audits them; for types with single services only."""
    for key, values in sides.items():
        for extension in plan.extensions:
            given = values.get(extension.name)
            if given:
                row = uow.session.get(extension.model, key)
                if row is None:
                    row = extension.model(**{side_key(extension.model).key: key})
                    uow.session.add(row)
                set_changed(row, given)
    uow.session.flush()


def lock_rows(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> list[int]:
    """Lock records until the transaction ends and return the keys of those that are there; one query per 5,000."""
    model, found = record_type.model, list[int]()
    for part in slices(sorted(keys)):
        statement = sa.select(model.id).where(among(uow.session, model.id, part)).order_by(model.id)
        found += uow.session.execute(statement.with_for_update()).scalars()
    return found


def current_values(
    uow: UnitOfWork,
    plan: TypePlan,
    keys: Sequence[int],
    names: Sequence[str],
    sides: Mapping[str, Sequence[str]] | None = None,
) -> dict[int, dict[str, Any]]:
    """Return key → the stored values of some attributes and of some attributes of extensions.

    One query, plus one per collection and per extension named; per 5,000 keys.
    """
    found: dict[int, dict[str, Any]] = {}
    for part in slices(keys):
        found |= _plain_values(uow, plan, part, names)
        for field in plan.collections():
            if attribute_of(field) in names:
                for key, parts in load_collection(uow, plan, field, part).items():
                    found[key][attribute_of(field)] = tuple(parts)
        for extension, attributes in (sides or {}).items():
            _add_side_values(uow, plan, part, extension, attributes, found)
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values that differ, before and after; of collections the parts that differ, by their id."""
    old, new = _flattened(before), _flattened(after)
    differing = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    return {p: old[p] for p in differing if p in old}, {p: new[p] for p in differing if p in new}


def searched_values(uow: UnitOfWork, plan: TypePlan, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return key → search field → value, of collections the parts' values; one query, plus one per collection."""
    fields = [plan.fields[name] for name in plan.record_type.search]
    plain = {attribute_of(field): field.name for field in fields if field.kind is not Kind.COLLECTION}
    found: dict[int, dict[str, Any]] = {}
    for part in slices(keys):
        for key, values in _plain_values(uow, plan, part, list(plain)).items():
            found[key] = {plain[attribute]: value for attribute, value in values.items()}
        for field in fields:
            if field.kind is Kind.COLLECTION:
                parts: Any = field.field
                table = table_of(parts.model)
                host = table.c[parts.key]
                statement = sa.select(host, table.c.value).where(among(uow.session, host, part))
                for key, value in uow.session.connection().execute(statement.order_by(table.c.id)):
                    found[key].setdefault(field.name, []).append(value)
    return found


def _filled(name: str, column: sa.Column[Any], row: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
    if name in row:
        return row[name]
    if name == "uid" and "uid" in fixed:
        return uuid7()
    if name in fixed:
        return fixed[name]
    default: Any = column.default
    if default is None:
        return None
    return default.arg(None) if default.is_callable else default.arg


def _plain_values(
    uow: UnitOfWork, plan: TypePlan, keys: Sequence[int], names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    model = plan.record_type.model
    by_attribute = {attribute_of(f): f for f in plan.fields.values() if f.kind is not Kind.COLLECTION}
    columns: dict[str, Any] = {}
    sides: set[Any] = set()
    for name in names:
        field = by_attribute.get(name)
        column = field.column if field is not None else getattr(model, name, None)
        if column is not None:
            columns[name] = column
        if field is not None and field.side is not None:
            sides.add(field.side)
    statement = sa.select(model.id, *columns.values()).where(among(uow.session, model.id, keys))
    for side in sides:
        statement = statement.outerjoin(side, side_key(side) == model.id)
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in uow.session.execute(statement)}


def _add_side_values(
    uow: UnitOfWork,
    plan: TypePlan,
    keys: Sequence[int],
    extension: str,
    attributes: Sequence[str],
    found: dict[int, dict[str, Any]],
) -> None:
    model = next(e.model for e in plan.extensions if e.name == extension)
    own = side_key(model)
    statement = sa.select(own, *(getattr(model, name) for name in attributes)).where(among(uow.session, own, keys))
    paths = [f"extensions.{extension}.{name}" for name in attributes]
    for key in keys:
        found[key] |= dict.fromkeys(paths)
    for row in uow.session.execute(statement):
        found[row[0]] |= dict(zip(paths, row[1:], strict=True))


def _flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in values.items():
        if isinstance(value, tuple):
            for part in value:
                own: UUID = part["id"]
                found |= {f"{path}.{own}.{name}": item for name, item in part.items() if name != "id"}
        else:
            found[path] = value
    return found
