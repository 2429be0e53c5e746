"""Lists sorted by several fields: the order, its pages, its cost, and the ways to ask for it."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import re
from decimal import Decimal
from html import unescape

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import InvalidInput

THINGS = "/toyrecords/things"
FIELDS = ("name", "amount", "made_on")
#: Every order by two and by three fields, in every direction.
ORDERS = [
    tuple(f"{sign}{name}" for sign, name in zip(signs, names, strict=True))
    for number in (2, 3)
    for names in itertools.permutations(FIELDS, number)
    for signs in itertools.product(("", "-"), repeat=number)
]


@pytest.fixture
def rows(crm_app, types):
    """Thirty things that are often equal or without a value, as dicts with their keys."""
    from crm_kernel.unit_of_work import writing

    dice = random.Random(7)
    with crm_app.app_context(), writing(SYSTEM) as uow:
        for _number in range(30):
            amount = dice.choice([None, Decimal(1), Decimal(2)])
            day = dice.choice([None, dt.date(2026, 1, 1), dt.date(2026, 1, 2)])
            uow.session.add(types.thing.model(name=dice.choice("abc"), amount=amount, made_on=day))
        uow.session.flush()
        model = types.thing.model
        found = uow.session.execute(sa.select(model.id, model.uid, model.name, model.amount, model.made_on))
        return [dict(row._mapping) for row in found]


def _place(name):
    return lambda row: (row[name] is None, str(row[name]))


def sorted_by(rows, order):
    """Sort as the manual says: no value last going up and first going down, then the key in the first one's direction."""
    found = sorted(rows, key=lambda row: row["id"], reverse=order[0].startswith("-"))
    for part in reversed(order):
        name, down = part.removeprefix("-"), part.startswith("-")
        found.sort(key=_place(name), reverse=down)
    return [row["uid"] for row in found]


def test_pages_join_to_the_whole_list_sorted_by_any_fields(rows, crm_app, types):
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.unit_of_work import reading

    wrong = []
    with crm_app.app_context(), reading(SYSTEM) as uow:
        for order in ORDERS:
            found, cursor = [], None
            while True:
                given = {"sort": ",".join(order), "limit": "7", "fields": "name"}
                query = parse_query(types.thing, (given | ({"cursor": cursor} if cursor else {})).items())
                page = page_of(uow, types.thing, query)
                found += [item["id"] for item in page.items]
                assert all(set(item) == {"id", "version", "name"} for item in page.items)
                cursor = page.next_cursor
                if cursor is None:
                    break
            if found != sorted_by(rows, order):
                wrong.append(order)

    assert wrong == []


@pytest.mark.parametrize(
    ("sort", "part"),
    [
        ("name,state", "Cannot sort by state"),
        ("name,-name", "once"),
        ("name,", "Cannot sort by"),
        ("name,amount;drop", "Cannot sort by"),
        ("name,amount,made_on,created_at,-name,amount", "once"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(read, sort, part):
    with pytest.raises(InvalidInput) as refused:
        read(sort=sort)

    assert part in refused.value.errors["sort"][0]


def test_a_cursor_of_fewer_fields_is_refused(rows, read):
    cursor = read(sort="name,amount", limit="2").next_cursor

    for other in ("name", "name,-amount", "amount,name"):
        with pytest.raises(InvalidInput, match="Not a cursor"):
            read(sort=other, limit="2", cursor=cursor)


def test_sorting_by_a_field_that_a_role_hides_is_refused_as_second_as_well(api, unit, make_things):
    from crm_kernel.access.services import field_rules
    from crm_kernel.access.services.roles import role_named

    make_things(("lamp", 5))
    with unit() as uow:
        field_rules.restrict_field(uow, role_named(uow, "reader"), "toyrecords.thing", "amount", "hidden")

    assert api("reader").get("/api/toyrecords/things", sort="name").status_code == 200
    refused = api("reader").get("/api/toyrecords/things", sort="name,-amount")
    assert (refused.status_code, refused.json["errors"]) == (422, {"amount": ["Unknown field amount."]})


def test_page_k_enters_the_index_of_the_first_field_where_the_last_page_ended(crm_app, types, rows):
    from crm_kernel.database import db
    from crm_kernel.records.paging import Cursor, order_of, page_statements
    from crm_kernel.records.plan import plan_of

    with crm_app.app_context():
        order = order_of(plan_of(types.thing), "-amount,name")
        cursor = Cursor(Decimal(2), 3, ("b",))
        statement = page_statements(sa.select(types.thing.model.id), types.thing.model, order, cursor)[0]
        sql = str(statement.limit(50).compile(db.engine, compile_kwargs={"literal_binds": True}))
        with db.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
                assert "ix_toyrecords_thing_amount_id (amount>? AND amount<?)" in plan
                assert "USE TEMP B-TREE FOR ORDER BY" not in plan
            else:
                for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
                    connection.exec_driver_sql(f"SET {setting} = off")
                plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN {sql}"))
                assert "ix_toyrecords_thing_amount_id" in plan
                assert "Incremental Sort" in plan


def test_headers_say_their_place_in_the_order_and_add_to_it(login, make_things):
    make_things(("lamp", 5), ("torch", 5), ("beacon", 9))
    admin = login("administrator")

    page = admin.get(f"{THINGS}?sort=amount,-name").text
    head = page[page.index("<thead") : page.index("</thead")]
    body = page[page.index("<tbody") :]

    assert body.index("torch") < body.index("lamp") < body.index("beacon")
    assert head.count("aria-sort") == 2
    assert [unescape(url) for url in re.findall(r'data-then-url="([^"]+)"', head)] == [
        f"{THINGS}?sort=amount%2Cname",
        f"{THINGS}?sort=-amount%2C-name",
        f"{THINGS}?sort=amount%2C-name%2Cmade_on",
    ]


def test_the_menu_adds_turns_round_and_leaves_out(login, make_things):
    make_things(("lamp", 5))
    page = unescape(login("administrator").get(f"{THINGS}?state=new&sort=amount,-name").text)
    menu = page[page.index('aria-label="Sort"') :]
    menu = menu[: menu.index("</details>")]

    for order in ("-amount%2C-name", "amount%2Cname", "-name", "amount", "amount%2C-name%2Ccreated_at"):
        assert f'href="{THINGS}?state=new&sort={order}"' in menu


def test_an_export_and_a_view_keep_an_order_by_several_fields(login, make_things):
    make_things(("lamp", 5), ("torch", 5), ("beacon", 9))
    admin = login("administrator")
    sent = {"record_type": "toyrecords.thing", "name": "Ours", "kind": "list", "sharing": "private"}
    view = admin.post("/views/save", data={**sent, "query": "sort=amount,-name"}).location.partition("view=")[2]

    for address in (
        f"{THINGS}/export.csv?view={view}&fields=name",
        f"{THINGS}/export.csv?sort=amount,-name&fields=name",
    ):
        lines = admin.get(address).text.splitlines()
        assert [line.split(",")[1] for line in lines[1:]] == ["torch", "lamp", "beacon"]


def test_a_board_column_is_in_the_order_of_several_fields(login, make_things, monkeypatch):
    from crm_kernel.records.pages import boards

    monkeypatch.setattr(boards, "CARDS", 2)
    make_things(("lamp", 5), ("torch", 5), ("beacon", 9))
    admin = login("administrator")

    page = admin.get(f"{THINGS}?view=board&sort=amount,-name").text
    more = admin.get(unescape(re.search(r'hx-get="([^"]+/column[^"]*)"', page)[1])).text

    assert re.findall(r'data-card="[^>]*aria-label="([^"]+)"', page) == ["torch", "lamp"]
    assert re.findall(r'data-card="[^>]*aria-label="([^"]+)"', more) == ["beacon"]
