"""Full-text search over records: keeps the words of changed records and matches prefixes of words, identically on both
databases.

The words of a record are those of its type's ``search`` fields: the first is the title, the rest the body. Rows are
written by the commit that changed the record (``store_search_entries``) or by the bulk path in one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from crm_kernel.database import db
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.models import INDEXED_WORDS, SearchEntry
from crm_kernel.records.pieces import pieces_of
from crm_kernel.records.plan import Kind, plan_of, record_types, side_key
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.word_query import MAX_WORDS, Searched, WordQuery, beginnings, index_query
from crm_kernel.text import tokens

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


def matching(actor: Actor, record_type: RecordType, text: str) -> sa.ColumnElement[bool]:
    """Return the predicate: every word of the text starts a word of the record. No usable word matches nothing.

    Who may not see all fields that are searched finds records by their titles alone.
    """
    words = tokens(text)[:MAX_WORDS]
    if not words:
        return sa.false()
    found = entries_found(record_type, beginnings(words, searched(actor, record_type)))
    return cast("sa.ColumnElement[bool]", record_type.model.id.in_(found.scalar_subquery()))


def searched(actor: Actor, record_type: RecordType) -> Searched:
    """Return which words an actor's search looks at: titles alone where he may not see all that is searched."""
    plan = plan_of(record_type)
    hidden = hidden_from(actor, plan)
    return Searched.TITLES if hidden.intersection(plan.record_type.search) else Searched.ALL


def entries_found(record_type: RecordType, query: WordQuery) -> sa.Select[Any]:
    """Return the keys of a type's records that the full-text index finds, in no order: ``limit`` bounds what is read."""
    dialect = db.engine.dialect.name
    asked, keys = index_query(query, dialect), sa.select(SearchEntry.record_id)
    if dialect == "sqlite":
        index = sa.table("search_entry_fts", sa.column("rowid", sa.Integer))
        # The plus keeps SQLite from reading all entries of the type, and asking the index about each.
        of_type = sa.literal_column("+search_entry.record_type", sa.String) == record_type.name
        entries = keys.select_from(index).join(SearchEntry, SearchEntry.id == index.c.rowid)
        return entries.where(sa.literal_column("search_entry_fts").bool_op("MATCH")(asked), of_type)
    words = sa.func.to_tsquery(sa.literal_column("'simple'"), asked)
    found = sa.literal_column(INDEXED_WORDS).bool_op("@@")(words)
    return keys.where(SearchEntry.record_type == record_type.name, found)


def entry_of(record_type: RecordType, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the folded words of one record, given its search fields' values (text, or lists of parts' values).

    The pieces of the title's words, by which mistyped names are found, stand behind the words of the body.
    """
    title, *rest = (" ".join(tokens(_text(values.get(name)))) for name in plan_of(record_type).record_type.search)
    return {"title": title, "body": " ".join(filter(None, (*rest, *pieces_of(title.split()))))}


def searchable(model: type[Any]) -> list[tuple[RecordType, str]]:
    """Return the record types whose words a mapped class holds, each with the attribute that is the record's key.

    A contact point holds words of its customer, a side table those of its host.
    """
    known: dict[type[Any], list[tuple[RecordType, str]]] | None = current_app.extensions.get("crm_searchable")
    if known is None:
        known = current_app.extensions["crm_searchable"] = _word_holders()
    return known.get(model, [])


def store_search_entries(uow: UnitOfWork) -> None:
    """Write the words of every searchable record this unit of work touched; part of its commit.

    Reads the words of touched records of one type with one query per collection, then one upsert.
    """
    by_type: dict[str, tuple[RecordType, set[int]]] = {}
    for row in uow.touched:
        for record_type, attribute in searchable(type(row)):
            by_type.setdefault(record_type.name, (record_type, set()))[1].add(getattr(row, attribute))
    for record_type, keys in by_type.values():
        index_records(uow, record_type, sorted(keys))


def _word_holders() -> dict[type[Any], list[tuple[RecordType, str]]]:
    found: dict[type[Any], list[tuple[RecordType, str]]] = {}
    for record_type in record_types().values():
        plans = [plan_of(record_type).fields[name] for name in record_type.search]
        if not plans:
            continue
        found.setdefault(record_type.model, []).append((record_type, "id"))
        for plan in plans:
            collection: Any = plan.field
            if plan.kind is Kind.COLLECTION:
                found.setdefault(collection.model, []).append((record_type, collection.key))
            elif plan.side is not None:
                found.setdefault(plan.side, []).append((record_type, side_key(plan.side).key))
    return found


def index_records(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> None:
    """Write the words of some records, as they are in the database now; records that are gone lose theirs."""
    rows = _current_words(uow, record_type, keys)
    store_entries(uow, record_type, rows)
    gone = sorted(set(keys) - rows.keys())
    if gone:
        uow.session.execute(
            sa.delete(SearchEntry).where(SearchEntry.record_type == record_type.name, SearchEntry.record_id.in_(gone))
        )


def reindex(uow: UnitOfWork, record_type: RecordType, *, after: int, limit: int = 1_000) -> int | None:
    """Write the words of the next records of a type by key; return the last key, or None when there are no more.

    Call it again with what it returned, each time in a unit of work of its own.
    """
    model = record_type.model
    rows = sa.select(model.id).where(model.id > after).order_by(model.id).limit(limit)
    keys = uow.session.execute(rows).scalars().all()
    if not keys:
        return None
    index_records(uow, record_type, keys)
    return int(keys[-1])


def store_entries(uow: UnitOfWork, record_type: RecordType, rows: Mapping[int, Mapping[str, str]]) -> None:
    """Insert or replace the words of many records in one statement; for bulk writers that know the words."""
    if not rows:
        return
    values = [{"record_type": record_type.name, "record_id": key, **entry} for key, entry in rows.items()]
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(SearchEntry)
    statement = statement.on_conflict_do_update(
        index_elements=["record_type", "record_id"],
        set_={"title": statement.excluded.title, "body": statement.excluded.body},
    )
    uow.session.execute(statement, values)


def _current_words(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> dict[int, dict[str, str]]:
    plan = plan_of(record_type)
    record_type = plan.record_type
    plain = [name for name in record_type.search if plan.fields[name].kind is not Kind.COLLECTION]
    statement = sa.select(record_type.model.id, *(plan.fields[name].column for name in plain))
    for side in {side for name in plain if (side := plan.fields[name].side) is not None}:
        statement = statement.outerjoin(side, side_key(side) == record_type.model.id)
    found = {
        row[0]: dict(zip(plain, row[1:], strict=True))
        for row in uow.session.execute(statement.where(record_type.model.id.in_(keys)))
    }
    for name in record_type.search:
        if plan.fields[name].kind is Kind.COLLECTION:
            for key, values in _part_words(uow, plan.fields[name].field, keys).items():
                found.setdefault(key, {})[name] = values
    return {key: entry_of(record_type, values) for key, values in found.items()}


def _part_words(uow: UnitOfWork, collection: Any, keys: Sequence[int]) -> dict[int, list[str]]:
    model, host_key = collection.model, getattr(collection.model, collection.key)
    column: InstrumentedAttribute[str] = model.value
    found: dict[int, list[str]] = {}
    for key, value in uow.session.execute(sa.select(host_key, column).where(host_key.in_(keys)).order_by(model.id)):
        found.setdefault(key, []).append(value)
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return " ".join(_text(part) for part in value)
    return str(value)
