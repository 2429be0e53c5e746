"""The JSON of filter trees: what is read, how it is written again, and how refusals name the place."""

from __future__ import annotations

import orjson
import pytest

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import (
    And,
    Comparison,
    Has,
    Not,
    Or,
    Relative,
    Total,
    Window,
    compile_tree,
    parse_text,
    parse_tree,
)
from crm_kernel.records.plan import plan_of
from crm_kernel.unit_of_work import reading

THINGS = "toyrecords.thing.maker"


@pytest.fixture
def parse(crm_app, types):
    """Parse a tree over things, or over makers: ``parse({...})``, ``parse({...}, "maker", actor)``."""

    def run(data, name="thing", actor=SYSTEM):
        with crm_app.app_context():
            plan = plan_of(getattr(types, name))
            return parse_text(plan, data, actor) if isinstance(data, str) else parse_tree(plan, data, actor)

    return run


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"field": "amount", "value": "5"}, Comparison("amount", "eq", "5")),
        ({"field": "amount", "op": "in", "value": ["5", 6]}, Comparison("amount", "in", ("5", 6))),
        ({"field": "name", "op": "empty", "value": True}, Comparison("name", "empty", True)),
        ({"field": "toyrecords.stars", "op": "lt", "value": 3}, Comparison("toyrecords.stars", "lt", 3)),
        ({"field": "made_on", "op": "gte", "value": {"relative": "-30d"}}, Comparison("made_on", "gte", Relative("-30d"))),
        ({"field": "made_on", "op": "lt", "value": "start_of_month"}, Comparison("made_on", "lt", Relative("start_of_month"))),
        ({"field": "made_on", "op": "during", "value": "today"}, Comparison("made_on", "during", "today")),
        (
            {"field": "made_on", "op": "during", "value": {"next": 2, "unit": "weeks"}},
            Comparison("made_on", "during", Window("next", 2, "weeks")),
        ),
        ({"and": []}, And(())),
        ({"or": [{"field": "state", "value": "new"}]}, Or((Comparison("state", "eq", "new"),))),
        ({"not": {"has": "labels"}}, Not(Has("labels"))),
        ({"has": "labels", "at_most": 0}, Has("labels", 0, at_most=0)),
        ({"has": "labels", "at_least": 1, "at_most": 2}, Has("labels", 1, at_most=2)),
    ],
)  # fmt: skip
def test_a_tree_is_read_and_written_again(parse, data, expected):
    found = parse(data)

    assert found == expected
    assert parse(found.to_json()) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"has": THINGS, "at_least": 2, "where": {"field": "state", "value": "new"}, "on": "made_on", "within": {"days": 30}},
            Has(THINGS, 2, Comparison("state", "eq", "new"), "made_on", Window("last", 30, "days")),
        ),
        ({"has": THINGS, "within": "this_month"}, Has(THINGS, within="this_month")),
        (
            {"sum": THINGS, "of": "amount", "op": "lt", "value": "100", "currency": "eur"},
            Total(THINGS, "amount", "lt", "100", "EUR"),
        ),
        (
            {"sum": THINGS, "of": "amount", "op": "lt", "value": 7, "where": {"field": "currency", "value": "EUR"}},
            Total(THINGS, "amount", "lt", 7, None, Comparison("currency", "eq", "EUR")),
        ),
    ],
)  # fmt: skip
def test_blocks_about_related_records_are_read_and_written_again(parse, data, expected):
    found = parse(data, "maker")

    assert found == expected
    assert parse(found.to_json(), "maker") == expected


def deep(levels):
    tree = {"field": "name", "value": "a"}
    for _ in range(levels - 1):
        tree = {"not": tree}
    return tree


LEAF = {"field": "name", "value": "a"}


@pytest.mark.parametrize(
    ("data", "place", "part"),
    [
        ("{", "filter", "Not valid JSON"),
        ("null", "filter", "exactly one of"),
        ({}, "filter", "exactly one of"),
        ([], "filter", "exactly one of"),
        ({"and": [LEAF], "or": []}, "filter", "exactly one of"),
        ({"and": LEAF}, "filter.and", "Expected a list"),
        ({"and": [LEAF, {"field": "colour", "value": 1}]}, "filter.and[1].field", "Unknown field colour; known: amount"),
        ({"not": {"field": "labels", "value": 1}}, "filter.not.field", "Unknown field labels"),
        ({"field": ["name"], "value": 1}, "filter.field", "Unknown field"),
        ({"field": "__class__", "value": 1}, "filter.field", "Unknown field"),
        ({"field": "toyrecords.thing_id", "value": 1}, "filter.field", "Unknown field"),
        ({**LEAF, "operator": "eq"}, "filter.operator", "Unknown key"),
        ({"field": "name"}, "filter.value", "Missing data"),
        ({"field": "name", "op": "gt", "value": "a"}, "filter.op", "expected one of: eq, ne, in, contains"),
        ({"field": "name", "op": {}, "value": "a"}, "filter.op", "Unknown operator"),
        ({"field": "name", "value": None}, "filter.value", "asked by “is empty” (empty)"),
        ({"field": "name", "value": {"relative": "today"}}, "filter.value", "Expected one value"),
        ({"field": "name", "op": "contains", "value": 5}, "filter.value", "Expected text"),
        ({"field": "name", "op": "contains", "value": ""}, "filter.value", "asked by “is empty” (empty)"),
        ({"not": {"field": "name", "op": "startswith", "value": ""}}, "filter.not.value", "asked by “is empty” (empty)"),
        ({"field": "name", "op": "contains", "value": "\x00"}, "filter.value", "cannot be compared"),
        ({"field": "name", "op": "in", "value": "a"}, "filter.value", "Expected a list"),
        ({"field": "amount", "op": "in", "value": ["1", "x"]}, "filter.value[1]", "Not a valid number"),
        ({"field": "amount", "value": "1e999999"}, "filter.value", "Too large"),
        ({"field": "toyrecords.stars", "value": 1.5}, "filter.value", "Not a valid integer"),
        ({"field": "toyrecords.stars", "value": True}, "filter.value", "Not a valid integer"),
        ({"field": "state", "value": "lost"}, "filter.value", "Expected one of: new, used, broken"),
        ({"field": "maker", "value": "me"}, "filter.value", "Not a record id"),
        ({"field": "made_on", "op": "gte", "value": {"relative": "-30 days"}}, "filter.value", "a distance such as -30d"),
        ({"field": "made_on", "op": "gte", "value": {"relative": "-9999y"}}, "filter.value", "cannot be compared"),
        ({"field": "made_on", "op": "eq", "value": {"relative": "today"}}, "filter.value", "use “during”"),
        ({"field": "made_on", "op": "during", "value": "soon"}, "filter.value", "Expected a day"),
        ({"field": "made_on", "op": "during", "value": {"last": 2, "unit": "hours"}}, "filter.value", "no hours"),
        ({"field": "made_on", "op": "during", "value": {"last": 0, "unit": "days"}}, "filter.value.last", "from 1 to"),
        ({"field": "made_on", "op": "during", "value": {"last": 1}}, "filter.value", "units: hours, days"),
        ({"field": "created_at", "op": "in", "value": ["2026-01-01"]}, "filter.value[0]", "use “during” for days"),
        ({"has": "sales"}, "filter.has", "Unknown relation sales; known: labels"),
        ({"has": "labels", "at_least": 0}, "filter.at_least", "for none at all"),
        ({"has": "labels", "at_least": True}, "filter.at_least", "whole number"),
        ({"has": "labels", "at_most": -1}, "filter.at_most", "from 0 to"),
        ({"has": "labels", "within": {"days": 3}}, "filter.on", "one of the dates: –"),
        ({"has": "labels", "on": "created_at"}, "filter.within", "Missing data"),
        ({"has": "labels", "where": {"field": "uid", "value": "x"}}, "filter.where.field", "Unknown field uid; known: value"),
        ({"has": "labels", "where": {"has": "labels"}}, "filter.where.has", "Unknown relation"),
        ({"sum": "labels", "of": "value", "value": 1}, "filter.of", "Not an amount or a number"),
        (deep(9), "filter" + ".not" * 8, "at most 8 levels"),
        ({"and": [LEAF] * 100}, "filter.and[99]", "at most 100"),
        ({"field": "name", "op": "in", "value": ["a"] * 1001}, "filter.value", "at most 1000"),
        ({"field": "name", "value": "a" * 17_000}, "filter", "at most 16384 bytes"),
        (f'{{"field": "name", "value": "{"a" * 17_000}"}}', "filter", "at most 16384 bytes"),
        ({"field": "name", "value": {1, 2}}, "filter", "Not valid JSON"),
    ],
)  # fmt: skip
def test_what_a_tree_gets_wrong_is_named_by_its_place(parse, data, place, part):
    with pytest.raises(InvalidInput) as refused:
        parse(data)

    assert list(refused.value.errors) == [place]
    assert part in refused.value.errors[place][0]


def test_the_largest_tree_allowed_is_read(parse):
    assert parse(deep(8)).to_json() == parse(orjson.dumps(deep(8)).decode()).to_json()
    assert len(parse({"and": [LEAF] * 99}).parts) == 99


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({}, "Amounts of different currencies are not summed"),
        ({"where": {"or": [{"field": "currency", "value": "EUR"}, LEAF]}}, "different currencies"),
        ({"where": {"field": "currency", "op": "ne", "value": "EUR"}}, "different currencies"),
        ({"currency": "EURO"}, "no ISO 4217 currency code"),
    ],
)
def test_amounts_of_mixed_currencies_have_no_sum(parse, more, part):
    with pytest.raises(InvalidInput) as refused:
        parse({"sum": THINGS, "of": "amount", "op": "gte", "value": 1, **more}, "maker")

    assert part in refused.value.errors["filter.currency"][0]


def test_a_relation_whose_records_nobody_may_read_is_as_unknown_as_none(parse):
    reader = Actor(kind="user", name="r", user_id=7, grants={"toyrecords.maker.read": Scope.ALL})

    with pytest.raises(InvalidInput, match="Unknown relation"):
        parse({"has": THINGS}, "maker", reader)


def test_a_tree_saved_by_somebody_who_sees_more_is_refused_when_it_runs(parse, crm_app, types):
    node = parse({"and": [{"has": THINGS}]}, "maker", SYSTEM)
    reader = Actor(kind="user", name="r", user_id=7, grants={"toyrecords.maker.read": Scope.ALL})

    with crm_app.app_context(), reading(reader) as uow, pytest.raises(InvalidInput) as refused:
        compile_tree(uow, plan_of(types.maker), node)

    assert list(refused.value.errors) == ["filter.and[0].has"]
