"""Values of every kind go in and come out the same, on both databases."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crm_kernel.errors import InvalidInput

GIVEN = {
    "cf_text": '  Zoé\'s "best"  lamp; € ',
    "cf_notes": "one\ntwo",
    "cf_number": "-12.5",
    "cf_budget": "1234567.8901",
    "cf_budget_currency": "eur",
    "cf_day": "2026-02-28",
    "cf_tier": "tin-can",
    "cf_tags": ["tin-can", "gold"],
    "cf_flag": True,
    "cf_mail": "zoe@example.org",
    "cf_phone": "+33 1 23 45 67 89",
    "cf_url": "https://example.org/a?b=c",
}
READ = {
    **GIVEN,
    "cf_text": 'Zoé\'s "best" lamp; €',
    "cf_number": Decimal("-12.5"),
    "cf_budget": Decimal("1234567.8901"),
    "cf_budget_currency": "EUR",
    "cf_day": dt.date(2026, 2, 28),
    "cf_tags": ["gold", "tin-can"],
    "cf_phone": "+33123456789",  # however it was typed: it is found by any spelling
}


def test_every_kind_comes_back_as_it_was_given(every_kind, make, maker, read):
    origin = maker()
    make(**GIVEN, cf_origin=str(origin))

    found = read()[0]

    assert {name: found[name] for name in READ} == READ
    assert found["cf_origin"] == {"id": origin, "title": "Élan & Co"}


def test_a_record_without_values_has_none(every_kind, make, read):
    make()

    found = read()[0]

    assert {found[name] for name in every_kind} == {None}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cf_text",            "x" * 256),
        ("cf_text",            "a\x00b"),
        ("cf_number",          "1.23456"),
        ("cf_number",          "NaN"),
        ("cf_budget",          "1e30"),
        ("cf_budget_currency", "XXQ"),
        ("cf_day",             "9999-12-31"),
        ("cf_day",             "2026-02-30"),
        ("cf_tier",            "platinum"),
        ("cf_tags",            ["gold", "platinum"]),
        ("cf_tags",            {"gold": 1}),
        ("cf_origin",          "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("cf_flag",            "perhaps"),
        ("cf_mail",            "zoe@"),
        ("cf_phone",           "123"),
        ("cf_url",             "javascript:alert(1)"),
        ("cf_unknown",         "x"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_fields_name(every_kind, make, field, value):
    with pytest.raises(InvalidInput) as refused:
        make(**{field: value})

    assert list(refused.value.errors) == [field]


def test_a_change_touches_what_is_given_and_raises_the_version_once(every_kind, unit, types, make, read):
    from crm_kernel.records.services import update_record

    uid = make(cf_tier="gold", cf_number="1")

    with unit() as uow:
        update_record(uow, types.thing, uid, {"cf_tier": "silver", "name": "torch"}, version=1)

    found = read()[0]
    assert (found["cf_tier"], found["cf_number"], found["name"], found["version"]) == ("silver", 1, "torch", 2)


def test_none_takes_a_value_away(every_kind, unit, types, make, read):
    from crm_kernel.records.services import update_record

    uid = make(cf_tier="gold")

    with unit() as uow:
        update_record(uow, types.thing, uid, {"cf_tier": None}, version=1)

    assert read(cf_tier__empty="true")[0]["cf_tier"] is None


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"cf_number__gte": "2"},                  ["b", "c"]),
        ({"cf_number": "10"},                      ["c"]),
        ({"cf_number__empty": "true"},             ["d"]),
        ({"cf_budget__lt": "3"},                   ["a"]),
        ({"cf_day__gt": "2026-01-09"},             ["b", "c"]),
        ({"cf_tier": "gold"},                      ["a"]),
        ({"cf_tier__in": "gold,silver"},           ["a", "b"]),
        ({"cf_tier__ne": "gold"},                  ["b", "c", "d"]),
        ({"cf_tags": "gold"},                      ["a", "b"]),
        ({"cf_tags__in": "silver,tin-can"},        ["b"]),
        ({"cf_flag": "true"},                      ["a"]),
        ({"cf_flag": "false"},                     ["b"]),
        ({"cf_text__contains": "ÉLAN"},            ["a"]),
        ({"cf_mail": "b@example.org"},             ["b"]),
        ({"sort": "cf_number"},                    ["a", "b", "c", "d"]),
        ({"sort": "-cf_day"},                      ["d", "c", "b", "a"]),
        ({"sort": "cf_text"},                      ["a", "b", "c", "d"]),
    ],
)  # fmt: skip
def test_lists_filter_and_sort_by_every_kind(every_kind, make, read, arguments, names):
    make(
        "a",
        cf_number="1.5",
        cf_budget="1",
        cf_day="2026-01-09",
        cf_tier="gold",
        cf_tags=["gold"],
        cf_flag=True,
        cf_text="e ÉLAN",
    )
    make(
        "b",
        cf_number="2",
        cf_budget="5",
        cf_day="2026-01-10",
        cf_tier="silver",
        cf_tags=["gold", "silver"],
        cf_flag=False,
        cf_text="f",
        cf_mail="b@example.org",
    )
    make("c", cf_number="10", cf_day="2026-11-01", cf_text="g")
    make("d")

    assert [item["name"] for item in read(**{"sort": "name", **arguments})] == names


def test_pages_by_a_custom_field_continue_where_the_last_ended(every_kind, crm_app, types, make):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.unit_of_work import reading

    for number in (3, 1, None, 2, 2):
        make(f"n{number}", cf_number=number)

    found, cursor = [], None
    while True:
        given = {"sort": "-cf_number", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        with crm_app.app_context(), reading(SYSTEM) as uow:
            page = page_of(uow, types.thing, parse_query(types.thing, given.items()))
            found += [item["name"] for item in page.items]
            cursor = page.next_cursor
        if not cursor:
            break

    assert found == ["nNone", "n3", "n2", "n2", "n1"]


def test_a_deleted_target_empties_the_reference(every_kind, unit, types, make, maker, read):
    from crm_kernel.records.services import delete_record

    origin = maker()
    make(cf_origin=str(origin))

    with unit() as uow:
        delete_record(uow, types.maker, origin, version=1)

    assert read()[0]["cf_origin"] is None


def test_a_change_of_custom_values_alone_is_told_with_their_names(unit, factories):
    from crm_kernel.customers.events import CustomerUpdated
    from crm_kernel.records.custom_fields.services import add_field
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.services import update_record

    with unit() as uow:
        add_field(uow, "customer", "cf_tier", "text")
        add_field(uow, "customer", "cf_code", "text")
    customer = factories.organization()
    changes = [{"cf_tier": "gold"}, {"cf_tier": "gold"}, {"cf_tier": None, "cf_code": "x", "industry": "Steel"}]

    told = []
    for number, change in enumerate(changes, 1):
        with unit() as uow:
            record = update_record(uow, record_type("customer"), customer.uid, change, version=min(number, 2))
            told += [e.changed for e in uow.events if isinstance(e, CustomerUpdated)]
            assert record.uid == customer.uid

    assert told == ["cf_tier", "industry", "cf_code,cf_tier"]
