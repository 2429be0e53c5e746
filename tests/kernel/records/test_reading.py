"""Lists: filters, order, paging, search, references, extensions; the same on both databases."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.errors import InvalidInput

SEVEN = [(f"thing {number}", None if number % 3 == 0 else 10 - number) for number in range(7)]


def names(page):
    return [item["name"] for item in page.items]


def all_pages(read, **arguments):
    found, cursor = [], None
    while True:
        page = read(**arguments, **({"cursor": cursor} if cursor else {}))
        found += names(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", [0, 1, 2, 3, 4, 5, 6]),
        ("-name", [6, 5, 4, 3, 2, 1, 0]),
        ("amount", [5, 4, 2, 1, 0, 3, 6]),
        ("-amount", [6, 3, 0, 1, 2, 4, 5]),
        ("made_on", [0, 1, 2, 3, 4, 5, 6]),
        ("created_at", [0, 1, 2, 3, 4, 5, 6]),
        ("-created_at", [6, 5, 4, 3, 2, 1, 0]),
    ],
)
@pytest.mark.parametrize("limit", ["1", "2", "3", "50"])
def test_pages_join_to_the_whole_list_in_order_with_missing_values_at_their_end(
    make_things, read, sort, limit, expected
):
    make_things(*SEVEN)

    assert all_pages(read, sort=sort, limit=limit) == [f"thing {number}" for number in expected]


def test_a_row_added_before_the_cursor_neither_repeats_nor_skips_others(make_things, read, crm_app, types):
    make_things(*SEVEN)
    first = read(sort="name", limit="3")

    with crm_app.app_context():
        from crm_kernel.records.services import create_record
        from crm_kernel.unit_of_work import writing

        with writing(SYSTEM) as uow:
            create_record(uow, types.thing, {"name": "a thing before all"})

    assert names(read(sort="name", limit="3", cursor=first.next_cursor)) == ["thing 3", "thing 4", "thing 5"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"amount": "9"}, ["thing 1"]),
        ({"amount__ne": "9"}, ["thing 0", "thing 2", "thing 3", "thing 4", "thing 5", "thing 6"]),
        ({"amount__gte": "8"}, ["thing 1", "thing 2"]),
        ({"amount__lt": "6"}, ["thing 5"]),
        ({"amount__in": "5,6"}, ["thing 4", "thing 5"]),
        ({"amount__empty": "true"}, ["thing 0", "thing 3", "thing 6"]),
        ({"amount__empty": "false"}, ["thing 1", "thing 2", "thing 4", "thing 5"]),
        ({"name__contains": "THING 4"}, ["thing 4"]),
        ({"name__contains": "%"}, []),
        ({"name__startswith": "thing"}, [f"thing {n}" for n in range(7)]),
        ({"state__in": "used,broken"}, []),
        ({"toyrecords.stars__gte": "1"}, []),
        ({"toyrecords.stars__empty": "true", "amount__gte": "9"}, ["thing 1"]),
        ({"toyrecords.stars__ne": "5", "amount__gte": "9"}, ["thing 1"]),
        ({"name": ""}, [f"thing {n}" for n in range(7)]),
    ],
)
def test_filters_select_the_rows_they_name(make_things, read, arguments, expected):
    make_things(*SEVEN)

    assert names(read(**arguments)) == expected


def test_case_is_folded_beyond_ascii_on_both_databases(make_things, read):
    make_things(("Ébène", 1))

    assert names(read(name__contains="éBÈ")) == ["Ébène"]


@pytest.mark.parametrize(
    ("arguments", "field", "part"),
    [
        ({"colour": "red"}, "colour", "Unknown filter; expected one of: amount, made_on, maker, name, state"),
        ({"amount__like": "1"}, "amount__like", "expected one of: eq, ne, in"),
        ({"amount": "much"}, "amount", "Not a valid number"),
        ({"made_on__gt": "soon"}, "made_on__gt", "Not a valid date"),
        ({"state": "lost"}, "state", "Expected one of: new, used, broken"),
        ({"maker": "7"}, "maker", "Not a record id"),
        ({"amount__empty": "perhaps"}, "amount__empty", "Expected true or false"),
        ({"sort": "state"}, "sort", "expected one of: amount, created_at, made_on, name"),
        ({"limit": "0"}, "limit", "expected 1 to 200"),
        ({"limit": "²"}, "limit", "expected 1 to 200"),
        ({"cursor": "zzz"}, "cursor", "Not a cursor"),
        ({"fields": "name,secret"}, "fields", "Unknown field secret"),
        ({"toyrecords.stars__lt": "many"}, "toyrecords.stars__lt", "Not a valid integer"),
    ],
)
def test_what_a_request_gets_wrong_is_named_with_what_is_expected(make_things, read, arguments, field, part):
    make_things(*SEVEN)

    with pytest.raises(InvalidInput) as refused:
        read(**arguments)

    assert part in refused.value.errors[field][0]


def test_a_cursor_of_another_order_is_refused(make_things, read):
    make_things(*SEVEN)
    cursor = read(sort="name", limit="2").next_cursor

    with pytest.raises(InvalidInput, match="Not a cursor"):
        read(sort="-name", limit="2", cursor=cursor)


def test_a_reference_shows_id_and_title_and_an_extension_its_fields(make_things, read):
    maker = make_things(("a", 5), extensions={"toyrecords": {"stars": 4}})

    item = read().items[0]

    assert item["maker"] == {"id": maker, "title": "Élan & Co"}
    assert item["extensions"] == {"toyrecords": {"stars": 4}}
    assert item["amount"] == Decimal(5)


def test_a_reference_to_a_hidden_record_shows_neither_id_nor_title(make_things, read):
    make_things(("a", 5))
    stranger = Actor(kind="user", name="stranger", user_id=7, grants={"toyrecords.thing.read": Scope.ALL})

    assert read(actor=stranger).items[0]["maker"] == {"id": None, "title": None}


def test_an_owner_sees_own_rows_only_and_nobody_without_a_grant_sees_any(make_things, read):
    make_things(*SEVEN)
    rep = Actor(kind="user", name="rep", user_id=7, grants={"toyrecords.thing.read": Scope.OWN})

    assert read(actor=rep).items == []
    assert read(actor=Actor(kind="user", name="nobody", user_id=8)).items == []


def test_sparse_fields_come_alone_with_id_and_version(make_things, read):
    make_things(("a", 5))

    assert set(read(fields="name").items[0]) == {"id", "version", "name"}
    assert set(read(fields="name,extensions").items[0]) == {"id", "version", "name", "extensions"}
    assert read(fields="name,labels", sort="amount").items[0]["labels"] == []


def test_search_finds_the_starts_of_words_without_accents_in_titles_and_parts(make_things, read):
    make_things(("Crème brûlée", 5), labels=[{"value": "Dessert"}])
    make_things_names = names(read(q="creme bru"))

    assert make_things_names == names(read(q="dess")) == ["Crème brûlée"]
    assert names(read(q="reme")) == names(read(q="?!")) == []


@pytest.mark.parametrize("rows", [3, 40])
def test_a_list_costs_one_query_and_one_per_extension_at_any_page_size(make_things, read, count_queries, rows):
    make_things(*((f"thing {number:02}", number) for number in range(rows)))
    read()

    with count_queries() as queries:
        assert len(read(sort="name").items) == rows

    # Who is no request asks for the version of the custom fields first; a request learns it with its user.
    assert len(queries) == 3


def test_page_k_walks_the_index_from_where_the_last_page_ended(crm_app, types, make_things):
    from crm_kernel.database import db
    from crm_kernel.records.paging import Cursor, order_of, page_statements
    from crm_kernel.records.plan import plan_of

    make_things(*SEVEN)
    with crm_app.app_context():
        order = order_of(plan_of(types.thing), "-amount")
        statement = page_statements(sa.select(types.thing.model.id), types.thing.model, order, Cursor(Decimal(6), 3))[0]
        sql = str(statement.limit(50).compile(db.engine, compile_kwargs={"literal_binds": True}))
        with db.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
                assert "ix_toyrecords_thing_amount_id (amount>? AND amount<?)" in plan
                assert "TEMP B-TREE" not in plan
            else:
                connection.exec_driver_sql("SET enable_seqscan = off")
                connection.exec_driver_sql("SET enable_bitmapscan = off")
                plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN {sql}"))
                assert "ix_toyrecords_thing_amount_id" in plan
                assert "Sort" not in plan
