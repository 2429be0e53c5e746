"""Two thousand attempts to inject SQL in every slot of lists: refused or compared as text, never part of a statement."""

from __future__ import annotations

import itertools
from contextlib import suppress

import orjson
import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.database import db
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import parse_tree
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import count_of, page_of, parse_query
from crm_kernel.unit_of_work import reading

_BREAKS = ["", "'", '"', "`", "')", '")', "'))", "]", "\\'", "%27", "\u02bc", "\uff07", "';", "0", "1)", "$$", "/*'*/"]
_ATTACKS = [
    "OR 1=1", "OR 'a'='a", "AND 1=2", "UNION SELECT NULL", "UNION ALL SELECT password FROM app_user",
    "; DROP TABLE toyrecords_thing", "; DELETE FROM toyrecords_thing", "; UPDATE toyrecords_thing SET name='owned'",
    "; INSERT INTO toyrecords_maker(name) VALUES ('owned')", "OR (SELECT count(*) FROM app_user) > 0",
    "AND (SELECT pg_sleep(5))", "; SELECT pg_sleep(5)", "OR randomblob(100000000)", "AND load_extension('x')",
    "; ATTACH DATABASE '/tmp/owned.db' AS x", "; COPY app_user TO '/tmp/owned'", "LIKE '%'", "GLOB '*'", "REGEXP '.*'",
    "COLLATE NOCASE", "ORDER BY 1", "LIMIT 1 OFFSET 0", "IS NULL", "IS NOT NULL", "BETWEEN 0 AND 9",
    "|| (SELECT email FROM app_user LIMIT 1)", "RETURNING *", "CASE WHEN 1=1 THEN 1 ELSE 1/0 END", "CAST('a' AS int)",
    "::text::int",
]  # fmt: skip
_ENDS = ["", " --", "#", " /*", ";"]
PAYLOADS = [f"{start} {attack}{end}" for start, attack, end in itertools.product(_BREAKS, _ATTACKS, _ENDS)][:2_040]
#: Fits into one tree: 100 nodes and 16 kB of JSON.
BATCH = 60
THING = "toyrecords.thing"


def batches(size):
    return [PAYLOADS[at : at + size] for at in range(0, len(PAYLOADS), size)]


@pytest.fixture
def things(crm_app, types, make_things):
    """Things to be found or spoilt, one of them named like an attack; gives what is in the tables."""
    make_things(("lamp", 5), ("torch", None), ("' OR 1=1 --", 7))

    def rows():
        with crm_app.app_context(), reading(SYSTEM) as uow:
            return [
                uow.session.execute(sa.select(model.id, model.name).order_by(model.id)).all()
                for model in (types.thing.model, types.maker.model)
            ]

    return rows


@pytest.fixture
def ask(crm_app, types):
    """Read things: ``ask([("q", "x")], …)`` → the names of each page and count; refusals give None."""

    def run(*queries):
        with crm_app.app_context(), reading(SYSTEM) as uow:
            return [_names(uow, types.thing, arguments) for arguments in queries]

    return run


def _names(uow, thing, arguments):
    try:
        query = parse_query(thing, arguments, actor=SYSTEM)
        found = [item["name"] for item in page_of(uow, thing, query).items]
        if query.tree is not None:
            assert count_of(uow, thing, query).number == len(found)
        return found
    except InvalidInput:
        return None


@pytest.fixture
def statements(crm_app):
    """The text of every statement that reaches the database."""
    with crm_app.app_context():
        engine, seen = db.engine, set()

    def note(_connection, _cursor, statement, *_others):
        seen.add(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", note)


def told(statements):
    """Return the attacks that stand in a statement's text."""
    return [attack for attack in (*_ATTACKS[:16], "owned") if any(attack in statement for statement in statements)]


def test_there_are_two_thousand_of_them():
    assert len(set(PAYLOADS)) >= 2_000


def test_values_of_trees_are_compared_as_text(things, ask, statements):
    before, exact = things(), {" ".join(name.split()) for name in ("' OR 1=1 --",)}
    trees = []
    for batch in batches(BATCH):
        for op in ("eq", "contains"):
            trees.append({"or": [{"field": "name", "op": op, "value": text} for text in batch]})
        trees.append({"field": "name", "op": "in", "value": batch})
        trees.append({"or": [{"has": "labels", "where": {"field": "value", "value": text}} for text in batch[:45]]})

    found = ask(*([("filter", orjson.dumps(tree).decode())] for tree in trees))

    assert {name for names in found for name in names} == exact
    assert things() == before
    assert told(statements) == []


def test_values_in_addresses_and_searched_words_are_compared_as_text(things, ask, statements):
    before = things()

    found = ask(*([(slot, text)] for text in PAYLOADS for slot in ("name__startswith", "q")))

    assert {name for names in found for name in names} <= {"' OR 1=1 --"}
    assert things() == before
    assert told(statements) == []


@pytest.mark.parametrize("slot", ["sort", "limit", "cursor", "fields", "amount", "made_on__during", "state", "maker"])
def test_slots_that_take_names_numbers_and_ids_refuse_them(things, ask, statements, slot):
    found = ask(*([(slot, text)] for text in PAYLOADS))

    assert found == [None] * len(PAYLOADS)
    assert told(statements) == []


def test_names_in_addresses_and_trees_are_refused(crm_app, types, ask):
    with crm_app.app_context():
        plan, taken = plan_of(types.thing), []
        for text in PAYLOADS:
            for tree in (
                {"field": text, "value": 1},
                {"field": "name", "op": text, "value": 1},
                {"has": text},
                {"has": "labels", "on": text, "within": "today"},
                {text: []},
                {"field": "made_on", "op": "gt", "value": {"relative": text}},
            ):
                with suppress(InvalidInput):
                    taken.append(parse_tree(plan, tree, SYSTEM))

    assert taken == []
    assert ask(*([(text, "1")] for text in PAYLOADS)) == [None] * len(PAYLOADS)


@pytest.mark.parametrize("path", ["/api/toyrecords/things", "/toyrecords/things", "/toyrecords/things/filter"])
def test_requests_are_answered_or_refused_and_never_break(login, things, path):
    client, before = login("administrator"), things()
    slots = ("q", "sort", "filter", "name__contains", "f.0.field", "f.0.value", "do", "fields")

    answers = [client.get(path, query_string={slot: text}).status_code for slot in slots for text in PAYLOADS[::250]]

    assert set(answers) <= {200, 302, 303, 422}
    assert things() == before
