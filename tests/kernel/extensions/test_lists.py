"""Lists filter, sort and show extensions' fields of several verticals: the same rows on both databases, few queries."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.database import db
from crm_kernel.records.paging import order_of, page_statements
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.projection import projection_of

CUSTOMERS = "/api/customers"


@pytest.fixture
def five(add):
    """Five customers: Ada without anything, the others with risk, points and tier."""
    add("Ada")
    add("Bea", toybank={"risk": 5}, toyshop={"points": 20, "tier": "gold", "number": "b"})
    add("Cid", toyshop={"points": 10, "tier": "gold", "number": "C"})
    add("Dan", toybank={"risk": 2}, toyshop={"points": 20, "joined_on": "2026-01-05"})
    add("Eve", toybank={"risk": 2}, toyshop={"points": None, "joined_on": "2025-12-31"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"toybank.risk__lt": "5"},                             ["Dan", "Eve"]),
        ({"toyshop.tier": "gold"},                              ["Bea", "Cid"]),
        ({"toyshop.tier": "gold", "toybank.risk__empty": "true"}, ["Cid"]),
        ({"toyshop.points__empty": "true"},                     ["Ada", "Eve"]),
        ({"toyshop.joined_on__gte": "2026-01-01"},              ["Dan"]),
        ({"sort": "toyshop.points"},                            ["Cid", "Bea", "Dan", "Ada", "Eve"]),
        ({"sort": "-toyshop.points"},                           ["Eve", "Ada", "Dan", "Bea", "Cid"]),
        ({"sort": "toyshop.joined_on", "toybank.risk": "2"},    ["Eve", "Dan"]),
    ],
)  # fmt: skip
def test_a_list_is_filtered_and_sorted_by_the_fields_of_both(five, names, arguments, expected):
    assert names(**{"sort": "sort_name", **arguments}) == expected


def test_a_tree_asks_both_at_once(five, names):
    risky = {"field": "toybank.risk", "op": "gte", "value": 5}
    tree = {"or": [risky, {"not": {"field": "toyshop.points", "op": "empty", "value": True}}]}

    assert names(filter=json.dumps(tree), sort="sort_name") == ["Bea", "Cid", "Dan"]


@pytest.mark.parametrize("sort", ["toyshop.points", "-toyshop.points", "toyshop.number", "-toyshop.joined_on"])
def test_pages_by_an_extensions_field_meet_every_customer_once(five, admin, names, sort):
    found, cursor = [], None
    while True:
        answer = admin.get(CUSTOMERS, sort=sort, limit="2", **({"cursor": cursor} if cursor else {})).json
        found += [item["display_name"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break

    assert found == names(sort=sort)
    assert sorted(found) == ["Ada", "Bea", "Cid", "Dan", "Eve"]


def test_the_value_that_is_sorted_by_is_in_the_answer_only_where_it_belongs(five, admin):
    item = admin.get(CUSTOMERS, sort="toyshop.points", limit="1", fields="display_name").json["items"][0]

    assert item.keys() == {"id", "version", "display_name"}


@pytest.mark.parametrize("sort", ["toyshop.budget", "toyshop.nothing", "toyzoo.cage", "toyshop."])
def test_what_lists_cannot_be_sorted_by_is_refused_with_what_they_can(admin, sort):
    answer = admin.get(CUSTOMERS, sort=sort)

    assert answer.status_code == 422
    assert "toyshop.points" in answer.json["errors"]["sort"][0]


def test_nobody_sorts_by_a_field_his_roles_hide(five, api, unit):
    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "customer", "toyshop.points", "hidden")

    answer = api("manager").get(CUSTOMERS, sort="toyshop.points")

    assert answer.status_code == 422
    assert answer.json["errors"] == {"toyshop.points": ["Unknown field toyshop.points."]}


def test_the_page_shows_the_columns_of_both(five, login):
    page = login("administrator").get("/customers").text

    assert all(text in page for text in ("Risk", "Tier", "Points", "Gold"))
    assert "sort=toyshop.points" in page
    assert "sort=toyshop.tier" not in page


def test_the_document_offers_the_orders(admin):
    parameters = admin.get("/api/openapi.json").json["paths"]["/api/customers"]["get"]["parameters"]
    orders = next(found for found in parameters if found["name"] == "sort")["schema"]["items"]["enum"]

    assert {"toyshop.points", "-toyshop.points"} <= set(orders)


def test_a_list_costs_one_query_more_for_each_extension_however_many_rows(five, admin, add, count_queries):
    with count_queries() as few:
        admin.get(CUSTOMERS, sort="-toyshop.points", fields="display_name,extensions")
    for number in range(20):
        add(f"More {number}", toybank={"risk": 1}, toyshop={"points": number})
    with count_queries() as many:
        admin.get(CUSTOMERS, sort="-toyshop.points", fields="display_name,extensions")
    with count_queries() as none:
        admin.get(CUSTOMERS, fields="display_name")

    # Rows without the value come from a statement of their own, read only where it may be on the page.
    assert len(many) == len(few) == len(none) + 2 + 1, many


def test_an_order_by_an_extensions_field_walks_its_index(five, crm_app):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import reading

    with crm_app.app_context(), reading(SYSTEM) as uow:
        wanted = record_type("customer")
        plan = plan_of(wanted)
        order = order_of(plan, "toyshop.points")
        statement = projection_of(SYSTEM, plan, ("display_name", "toyshop.points")).statement
        filled, _blank = page_statements(statement, wanted.model, order, None)
        text = str(filled.limit(50).compile(db.engine, compile_kwargs={"literal_binds": True}))
        connection = uow.session.connection()
        if db.engine.dialect.name == "postgresql":
            for setting in ("enable_seqscan", "enable_sort", "enable_hashjoin"):
                uow.session.execute(sa.select(sa.func.set_config(setting, "off", True)))
            rows = connection.exec_driver_sql("EXPLAIN " + text.replace("%", "%%"))
        else:
            rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text)
        found = "\n".join(str(row[-1]) for row in rows)

    assert "ix_toyshop_card_points_customer_id" in found
    assert "TEMP B-TREE" not in found
    assert "Sort" not in found
