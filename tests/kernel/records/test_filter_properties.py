"""Random filter trees over random rows find what a brute-force reading of the same tree in Python finds."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.records.filter_tree import Aim, compile_tree, parse_tree
from crm_kernel.records.plan import plan_of
from crm_kernel.unit_of_work import writing
from tests.kernel.records.brute_force import World, fits

#: A Monday after the clocks of Paris went back: days, weeks and hours come apart here.
NOW = dt.datetime(2026, 10, 26, 0, 30, tzinfo=dt.UTC)
ZONES = ("UTC", "Europe/Paris", "America/Los_Angeles", "Asia/Kolkata")
MAKERS = [uuid4() for _ in range(3)]

texts = st.text(alphabet="aAbÉé%_/'\\\" ;-", max_size=4).map(lambda text: " ".join(text.split()))
words = texts.filter(bool)
amounts = st.decimals(min_value=-20, max_value=20, places=2) | st.integers(-3, 3).map(Decimal)
days = st.dates(min_value=dt.date(2025, 6, 1), max_value=dt.date(2027, 2, 28)) | st.integers(-35, 35).map(
    lambda n: NOW.date() + dt.timedelta(days=n)
)
times = st.integers(-3000, 3000).map(lambda n: NOW + dt.timedelta(minutes=47 * n))
currencies = st.sampled_from(["EUR", "USD"])

things = st.fixed_dictionaries(
    {
        "name": words,
        "amount": st.none() | amounts,
        "currency": st.none() | currencies,
        "made_on": st.none() | days,
        "state": st.sampled_from(["new", "used", "broken"]),
        "maker": st.none() | st.sampled_from(MAKERS),
        "created_at": times,
        "labels": st.lists(words, max_size=3),
        # No row in the side table, a row without a value, a value.
        "toyrecords.stars": st.sampled_from(["absent", None, 1, 2, 5]),
    }
)

numbers = st.integers(1, 40)
windows = st.builds(
    lambda turn, number, unit: {turn: number, "unit": unit},
    st.sampled_from(["last", "next"]),
    numbers,
    st.sampled_from(["days", "weeks", "months", "years"]),
)
named = [f"{turn}_{unit}" for turn in ("this", "last", "next") for unit in ("week", "month", "quarter", "year")]
periods = st.sampled_from(["today", "yesterday", "tomorrow", *named]) | days.map(str) | windows
moments = (
    st.sampled_from(["now", "today", "yesterday", "tomorrow", "start_of_week", "start_of_month", "start_of_quarter"])
    | st.builds("{}{}{}".format, st.sampled_from("+-"), st.integers(0, 60), st.sampled_from("hdwmy"))
).map(lambda text: {"relative": text})


def leaf(field, op, value):
    return st.fixed_dictionaries({"field": st.just(field), "op": st.just(op), "value": value})


def several(values):
    return st.lists(values, max_size=3)


def of_kind(field, values, *, ordered=False, text=None):
    """Every operator of one field."""
    found = [leaf(field, op, values) for op in ("eq", "ne")]
    found += [leaf(field, "in", several(values)), leaf(field, "empty", st.booleans())]
    if ordered:
        found += [leaf(field, op, values) for op in ("lt", "lte", "gt", "gte")]
    if text is not None:
        found += [leaf(field, op, text) for op in ("contains", "startswith")]
    return found


def of_dates(field, values):
    found = [leaf(field, op, values | moments) for op in ("lt", "lte", "gt", "gte")]
    return [*found, leaf(field, "during", periods), leaf(field, "empty", st.booleans())]


thing_leaves = st.one_of(
    *of_kind("name", words, text=words),
    *of_kind("amount", amounts.map(str), ordered=True),
    *of_kind("currency", currencies),
    *of_kind("state", st.sampled_from(["new", "used", "broken"])),
    *of_kind("maker", st.sampled_from(MAKERS).map(str)),
    *of_kind("toyrecords.stars", st.integers(1, 5), ordered=True),
    *of_dates("made_on", days.map(str)),
    *of_dates("created_at", days.map(str) | times.map(dt.datetime.isoformat)),
)
limits = st.sampled_from([{}, {"at_least": 1}, {"at_least": 2}, {"at_most": 0}, {"at_least": 1, "at_most": 2}])


def tree_of(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda parts: {"and": parts})
            | st.lists(inner, max_size=3).map(lambda parts: {"or": parts})
            | inner.map(lambda part: {"not": part})
        ),
        max_leaves=6,
    )


@st.composite
def related(draw, relation, where, *, dated):
    """A block about related rows: how many, or what they sum to."""
    block = {"has": relation, **draw(limits)}
    if dated and draw(st.booleans()):
        block = {"sum": relation, "of": "amount", "currency": draw(currencies)}
        block |= {"op": draw(st.sampled_from(["eq", "ne", "lt", "lte", "gt", "gte"])), "value": str(draw(amounts))}
    if draw(st.booleans()):
        block["where"] = draw(where)
    if dated and draw(st.booleans()):
        block["within"] = draw(
            periods | st.builds(lambda n, unit: {unit: n}, numbers, st.sampled_from(["days", "weeks"]))
        )
        if draw(st.booleans()):
            block["on"] = draw(st.sampled_from(["made_on", "created_at"]))
    return block


def is_shallow(tree):
    """Say whether the tree is within the limit of eight levels."""

    def levels(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return max(map(levels, inner), default=0) + isinstance(value, dict)

    return levels(tree) <= 8


labels = related("labels", tree_of(st.one_of(*of_kind("value", words, text=words))), dated=False)
thing_trees = tree_of(thing_leaves | labels).filter(is_shallow)
maker_leaves = st.one_of(*of_kind("name", words, text=words)) | related(
    "toyrecords.thing.maker", thing_trees, dated=True
)
maker_trees = tree_of(maker_leaves).filter(is_shallow)


class Rolled(Exception):
    """Leaves a unit of work without a trace."""


@pytest.fixture
def ask(crm_app, types):
    """Write rows, ask trees of one type, take everything back: ``ask(rows, "thing", trees, zone)`` → sets of rows' places."""
    from crm_toyrecords.models import Label, Maker, Rating, Thing

    def insert(session, rows):
        makers = [{"id": n + 1, "uid": uid, "name": f"maker {n}"} for n, uid in enumerate(MAKERS)]
        session.execute(sa.insert(Maker), makers)
        found = []
        for place, row in enumerate(rows):
            own = {k: row[k] for k in ("name", "amount", "currency", "made_on", "state", "created_at")}
            maker = None if row["maker"] is None else MAKERS.index(row["maker"]) + 1
            found.append({"id": place + 1, "maker_id": maker, "updated_at": NOW, **own})
            session.execute(sa.insert(Thing), found[-1])
        parts = [{"thing_id": n + 1, "value": value} for n, row in enumerate(rows) for value in row["labels"]]
        stars = [(n + 1, row["toyrecords.stars"]) for n, row in enumerate(rows) if row["toyrecords.stars"] != "absent"]
        if parts:
            session.execute(sa.insert(Label), parts)
        if stars:
            session.execute(sa.insert(Rating), [{"thing_id": key, "stars": value} for key, value in stars])

    def run(rows, name, trees, zone):
        wanted, found = getattr(types, name), []
        actor = Actor(kind="system", name="system", grants={"*": Scope.ALL}, timezone=zone)
        with crm_app.app_context():
            plan = plan_of(wanted)
            try:
                with writing(SYSTEM) as uow:
                    insert(uow.session, rows)
                    uow.actor, uow.now = actor, NOW
                    for tree in trees:
                        node = parse_tree(plan, tree, actor)
                        assert parse_tree(plan, node.to_json(), actor) == node
                        both = [
                            uow.session.scalars(
                                sa.select(wanted.model.id).where(compile_tree(uow, plan, node, aim))
                            ).all()
                            for aim in Aim
                        ]
                        assert sorted(both[0]) == sorted(both[1])
                        found.append({key - 1 for key in both[0]})
                    raise Rolled
            except Rolled:
                return found

    return run


def world_of(rows, zone):
    def of_maker(maker):
        return [row for row in plain if row["maker"] == maker["id"]]

    plain = [
        {**row, "toyrecords.stars": None if row["toyrecords.stars"] == "absent" else row["toyrecords.stars"]}
        for row in rows
    ]
    relations = {"toyrecords.thing.maker": of_maker, "labels": lambda row: [{"value": text} for text in row["labels"]]}
    # The database gives uids as such, the tree writes them as text.
    plain = [{**row, "maker": None if row["maker"] is None else str(row["maker"])} for row in plain]
    return plain, World(NOW, ZoneInfo(zone), relations)


LIMITS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
}


@settings(max_examples=40, **LIMITS)
@given(
    rows=st.lists(things, max_size=8), trees=st.lists(thing_trees, min_size=4, max_size=8), zone=st.sampled_from(ZONES)
)
def test_a_tree_over_fields_and_parts_finds_what_reading_it_row_by_row_finds(ask, rows, trees, zone):
    plain, world = world_of(rows, zone)

    found = ask(rows, "thing", trees, zone)

    assert found == [{n for n, row in enumerate(plain) if fits(tree, row, world)} for tree in trees]


@settings(max_examples=40, **LIMITS)
@given(
    rows=st.lists(things, max_size=8), trees=st.lists(maker_trees, min_size=4, max_size=8), zone=st.sampled_from(ZONES)
)
def test_a_tree_over_related_records_finds_what_reading_it_row_by_row_finds(ask, rows, trees, zone):
    _plain, world = world_of(rows, zone)
    makers = [{"id": str(uid), "name": f"maker {n}"} for n, uid in enumerate(MAKERS)]

    found = ask(rows, "maker", trees, zone)

    assert found == [{n for n, row in enumerate(makers) if fits(tree, row, world)} for tree in trees]
