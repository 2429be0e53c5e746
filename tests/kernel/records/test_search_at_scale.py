"""Searches read a bounded number of rows, by indexes, and one who may see few records misses none of them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.database import db
from crm_kernel.records import hits, small_types
from crm_kernel.records.hits import Asked, first_hits
from crm_kernel.records.reading import suggestions
from crm_kernel.unit_of_work import reading, writing

#: A title's first letter, another word's, a word that everything has, two of them, letters apart, slips.
TYPED = ("x", "z", "lamp", "lamp ze", "l z", "lapm", "xilophone", "")


@pytest.fixture
def crowd(crm_app, types, make_things, login, monkeypatch):
    """Nine lamps of others and one of a representative, the last by title, where four entries are looked at: who he is."""
    monkeypatch.setattr(small_types, "SMALL", 0)
    monkeypatch.setattr(hits, "LOOKED_AT", 4)
    make_things(*((f"lamp {number}", number) for number in range(9)), ("xylophone lamp zero", 9))
    user = login(grants={}).user
    with crm_app.app_context(), writing(SYSTEM) as uow:
        mine = types.thing.model.name == "xylophone lamp zero"
        uow.session.execute(sa.update(types.thing.model).where(mine).values(owner_id=user.id))
    return Actor(kind="user", name="rep", user_id=user.id, grants={"toyrecords.thing.read": Scope.OWN})


@pytest.fixture
def found(crm_app, types):
    """The titles that somebody finds first: ``found(actor, "text")``."""

    def run(actor, text, limit=5):
        with crm_app.app_context(), reading(actor) as uow:
            return list(first_hits(Asked.of(uow, types.thing, text, limit), forgiving=True).values())

    return run


@pytest.mark.parametrize("typed", TYPED)
def test_one_who_sees_few_records_misses_none_for_those_of_others(crowd, found, typed):
    assert found(crowd, typed) == ["xylophone lamp zero"]


def test_what_he_does_not_have_is_not_found_for_him(crowd, found):
    for typed in ("q", "lamp 3", "lamp", "lapm 3"):
        assert "lamp 3" not in found(crowd, typed)


def test_the_first_ones_are_shown_in_the_order_of_titles(crowd, found):
    assert found(SYSTEM, "la", 3) == ["lamp 0", "lamp 1", "lamp 2"]
    assert found(SYSTEM, "lamp", 3) == ["lamp 0", "lamp 1", "lamp 2"]
    assert found(SYSTEM, "x") == found(SYSTEM, "xylophone lamp z") == ["xylophone lamp zero"]


def test_a_type_ahead_offers_the_first_titles_and_only_the_permitted(crm_app, types, crowd):
    offered = {}
    for name, actor in (("all", SYSTEM), ("own", crowd)):
        with crm_app.app_context(), reading(actor) as uow:
            offered[name] = [hit["title"] for hit in suggestions(uow, types.thing, "", limit=2)]

    assert offered == {"all": ["lamp 0", "lamp 1"], "own": ["xylophone lamp zero"]}


def plans(uow, run) -> list[str]:
    """Return the plans of the statements that a call issues."""
    said, connection = [], uow.session.connection()
    sqlite = connection.dialect.name == "sqlite"

    def noted(_connection, _cursor, statement, parameters, _context, _many):
        if "search_entry" in statement:
            said.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", noted)
    run()
    sa.event.remove(connection, "before_cursor_execute", noted)
    if not sqlite:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    prefix = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    return [
        "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{prefix} {text}", given)) for text, given in said
    ]


@pytest.fixture
def one_type_has_all(crm_app):
    """Tell SQLite's planner of a million records, all of one type, as it finds in a base of customers."""
    with crm_app.app_context():
        if db.engine.dialect.name != "sqlite":
            yield
            return
        with db.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.exec_driver_sql("DELETE FROM sqlite_stat1")
            for known in (
                ("search_entry", "sqlite_autoindex_search_entry_1", "1000000 1000000 1"),
                ("search_entry", "ix_search_entry_start", "1000000 1000000 19 1"),
                ("toyrecords_thing", "ix_toyrecords_thing_owner_id", "1000000 50"),
            ):
                connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", known)
        db.engine.dispose()
        yield
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        db.engine.dispose()


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("who", ["all", "own"])
def test_no_search_reads_all_entries_or_all_records(crm_app, types, crowd, one_type_has_all, who, typed):
    with crm_app.app_context(), reading(SYSTEM if who == "all" else crowd) as uow:
        found = plans(uow, lambda: first_hits(Asked.of(uow, types.thing, typed, 5), forgiving=True))

    assert found
    for plan in found:
        for table in ("search_entry", "toyrecords_thing"):
            assert f"SCAN {table}\n" not in f"{plan}\n"
            assert f"Seq Scan on {table}" not in plan
    if who == "own" and typed in ("x", "z", "lamp", ""):  # of the others there are too few to outnumber his
        assert any("ix_toyrecords_thing_owner_id" in plan for plan in found)


def test_small_types_are_read_by_one_query_from_their_index(crm_app, types, crowd, one_type_has_all, monkeypatch):
    monkeypatch.setattr(small_types, "SMALL", 9)

    with crm_app.app_context(), reading(SYSTEM) as uow:
        wanted = [types.thing, types.maker]
        found = plans(uow, lambda: small_types.small_types(uow, wanted))
        small = small_types.small_types(uow, wanted)

    assert len(found) == 1
    assert "SCAN search_entry\n" not in f"{found[0]}\n"
    assert "Seq Scan on search_entry" not in found[0]
    assert {name: len(entries) for name, entries in small.items()} == {"toyrecords.maker": 1}
