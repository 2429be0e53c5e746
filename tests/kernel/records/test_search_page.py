"""The page of the search over everything: kinds, marks on what was found, nothing that one may not read."""

from __future__ import annotations

import re
from html import unescape

import pytest

from crm_kernel.records.highlighting import highlighted

pytestmark = pytest.mark.usefixtures("type_sizes")


@pytest.mark.parametrize(
    ("title", "text", "marked"),
    [
        ("Ada Lovelace", "lov", ["Lov"]),
        ("Ada Lovelace", "love ad", ["Ad", "Love"]),
        ("Élan & Co", "elan", ["Élan"]),
        ("E\u0301lan", "elan", ["E\u0301lan"]),
        ("Œuvre complète", "oeu comp", ["Œuvre", "comp"]),
        ("jean_dupont", "dup", ["dup"]),
        ("Ada Lovelace", "Lovelaec", ["Lovelace"]),
        ("Ada Lovelace", "ace", []),
        ("<b>Ada</b>", "b", ["b", "b"]),
        ("", "ada", []),
        ("Ada", "", []),
    ],
)
def test_beginnings_of_words_and_near_words_are_marked(title, text, marked):
    pieces = highlighted(title, text)

    assert [piece for piece, found in pieces if found] == marked
    assert "".join(piece for piece, _found in pieces) == title


@pytest.fixture
def lamps(make_things):
    return make_things(("Élan lamp", 5), ("<b>lamp</b>", 6))


def marks(page) -> list[str]:
    return [unescape(found) for found in re.findall(r"<mark>(.*?)</mark>", page.text)]


def test_what_was_found_is_marked_and_escaped(login, lamps):
    page = login("administrator").get("/search?q=lam")

    assert marks(page) == ["lam", "lam"]
    assert "<b>lam" not in page.text
    assert "&lt;b&gt;" in page.text


def test_one_kind_alone_is_searched(login, lamps):
    admin = login("administrator")

    everything = admin.get("/search?q=elan")
    things = admin.get("/search?q=elan&type=toyrecords.thing")
    as_json = admin.get("/search?q=elan&type=toyrecords.maker", headers={"Accept": "application/json"}).json

    assert marks(everything) == ["Élan", "Élan"]
    assert marks(things) == ["Élan"]
    assert [(group["type"], len(group["items"])) for group in as_json] == [("toyrecords.maker", 1)]
    assert "type=toyrecords.maker" in everything.text


def test_accents_and_slips_are_forgiven_in_one_kind_as_well(login, lamps):
    admin = login("administrator")

    for text in ("elna", "ÉLAN", "elam"):
        assert marks(admin.get(f"/search?q={text}&type=toyrecords.maker")) == ["Élan"]


def test_a_kind_one_may_not_read_is_neither_offered_nor_searched(login, lamps):
    browser = login(grants={"toyrecords.maker.read": "all", "customer.read": "all"})

    page, refused = browser.get("/search?q=lamp"), browser.get("/search?q=lamp&type=toyrecords.thing")

    assert marks(page) == []
    assert "toyrecords.thing" not in page.text
    assert refused.status_code == 422
    assert browser.get("/search?q=lamp&type=gone").status_code == 422


def test_more_than_is_shown_leads_to_the_list(login, make_things):
    make_things(*((f"lamp {number:02}", number) for number in range(12)))
    admin = login("administrator")

    page = admin.get("/search?q=lamp").text

    assert page.count("<mark>lamp</mark>") == 10
    assert 'href="/toyrecords/things?q=lamp"' in page
    assert admin.get("/search?q=lamp&type=toyrecords.thing").text.count("<mark>lamp</mark>") == 12


@pytest.mark.parametrize("text", ["l", "la", "É"])
def test_one_or_two_letters_show_names_that_begin_with_them_first(login, make_things, text):
    make_things(
        *((f"a lamp {number}", number) for number in range(10)), ("Lamp", 1), ("Ladder", 2), ("élan", 3), ("e", 4)
    )

    page = login("administrator").get(f"/search?q={text}&type=toyrecords.thing", headers={"Accept": "application/json"})

    first = {"l": ["Ladder", "Lamp"], "la": ["Ladder", "Lamp"], "É": ["e", "élan"]}[text]
    found = [item["title"] for item in page.json[0]["items"]]
    assert found[:2] == first
    assert len(found) == len(set(found)) == (12 if text != "É" else 2)


def test_names_that_begin_with_a_letter_are_read_from_their_index(crm_app, types, lamps):
    import sqlalchemy as sa

    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.hits import Asked, titles_begun
    from crm_kernel.unit_of_work import reading

    said = []

    def explained(_connection, _cursor, statement, parameters, _context, _many):
        if "search_entry" in statement:
            said.append((statement, parameters))

    with crm_app.app_context(), reading(SYSTEM) as uow:
        connection = uow.session.connection()
        sa.event.listen(connection, "before_cursor_execute", explained)
        assert next(iter(titles_begun(Asked.of(uow, types.thing, "e", 5)).values())) == "Élan lamp"
        statement, parameters = said[0]
        prefix = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        if connection.dialect.name == "postgresql":
            for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
                connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"{prefix} {statement}", parameters))

    assert "ix_search_entry_start" in plan
    assert "TEMP B-TREE" not in plan
