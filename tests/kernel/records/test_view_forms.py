"""The pages of one saved view: what it shows is said in words, and what can be chosen is offered."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import urlencode

import pytest

THINGS = "/toyrecords/things"
THING = "toyrecords.thing"
QUERY = "amount__gte=100&sort=-amount"


@pytest.fixture
def admin(types, login):
    return login("administrator", team="North")


@pytest.fixture
def view(admin, api):
    """Save a view of dear things: ``view(kind="calendar")`` → its page's address."""

    def run(**fields):
        sent = {"name": "Dear", "record_type": THING, "query": QUERY, "sharing": "everyone", **fields}
        answer = api("administrator").post("/api/views", sent)
        assert answer.status_code == 201, answer.text
        return f"/views/{answer.json['id']}"

    return run


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def controls(page):
    """Return the names of a form's visible controls."""
    return set(re.findall(r'<(?:input type="(?!hidden)[^"]*"|select|textarea)[^>]* name="([^"]*)"', page))


def test_the_form_of_a_view_says_what_it_shows_and_asks_for_no_code(admin, view):
    page = admin.get(f"{view(columns=['name', 'amount'])}/edit").text

    assert {"query", "columns"}.isdisjoint(controls(page))
    assert "Conditions Amount at least 100 Order Amount (descending) Columns Name, Amount Open and change" in text_of(
        page
    )
    assert re.search(r'<select[^>]* name="record_type"[^>]* disabled>', page)
    assert not any(code in text_of(page) for code in ("amount__gte", THING))


def test_the_form_offers_the_ways_to_show_these_records(admin, view):
    page = admin.get(f"{view(kind='calendar')}/edit").text
    choices = {
        name: re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.DOTALL)[0] for name in ("kind", "calendar")
    }

    assert re.findall(r'value="([^"]+)"', choices["kind"]) == ["list", "board", "calendar"]
    assert '<option value="made_on">Made on</option>' in choices["calendar"]


def test_a_makers_view_is_no_board(admin, view):
    page = admin.get(f"{view(record_type='toyrecords.maker', query='')}/edit").text

    assert 'value="board"' not in re.search(r'<select[^>]*name="kind".*?</select>', page, re.DOTALL)[0]


def test_the_page_of_a_view_says_what_it_shows(admin, view):
    tree = json.dumps({"field": "state", "op": "eq", "value": "new"})
    address = view(
        query=urlencode({"filter": tree, "q": "lamp"}),
        kind="calendar",
        calendar="made_on",
        span="week",
        columns=["name"],
    )

    page = text_of(admin.get(address).text)

    assert "Conditions State is New Words lamp Columns Name Calendar Made on, Week" in page
    assert not any(code in page for code in ("filter=", "made_on", "%22"))


def test_a_view_whose_condition_is_gone_says_so_on_its_pages(admin, unit):
    from crm_kernel.records.saved_views.models import SavedView

    with unit() as uow:
        kept = SavedView(record_type=THING, name="Old", query="gone=1", sharing="everyone")
        lost = SavedView(record_type="gone.thing", name="Lost", sharing="everyone")
        uow.session.add_all([kept, lost])
        uow.session.flush()
        old, gone = f"/views/{kept.uid}", f"/views/{lost.uid}"

    assert all("names what does not exist any more" in admin.get(page).text for page in (old, f"{old}/edit"))
    assert all("the view waits for it" in admin.get(page).text for page in (gone, f"{gone}/edit"))


def test_a_refused_form_still_says_what_the_view_shows(admin, view):
    address = view()

    refused = admin.post(f"{address}/edit", data={"name": "", "version": "1", "record_type": THING, "kind": "list"})

    assert refused.status_code == 422
    assert "Amount at least 100" in text_of(refused.text)
    assert re.search(r'<option value="everyone" selected>', refused.text)


def test_codes_of_views_are_no_columns_and_not_edited_in_place(admin, view):
    address = view()

    assert admin.get("/views?columns=query").status_code == 422
    assert 'name="columns" value="calendar"' not in admin.get("/views").text
    assert admin.get(f"{address}/field/record_type").status_code == 404
    assert admin.get(f"{address}/field/query").status_code == 404


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        ({"query": QUERY, "columns": "name,amount"}, f"{QUERY}&columns=name%2Camount"),
        ({"kind": "calendar", "calendar": "made_on", "span": "week"}, "as=calendar&calendar=made_on&span=week"),
        ({"kind": "board", "query": "view=x&state=new"}, "state=new&as=board"),
        ({}, "view=all"),
    ],
)
def test_a_view_that_is_not_saved_leaves_the_list_as_it_was(admin, sent, back):
    answer = admin.post("/views/save", data={"record_type": THING, "kind": "list", "name": " ", **sent})

    assert (answer.status_code, answer.location) == (303, f"{THINGS}?{back}")


def test_a_change_that_is_not_saved_is_still_there(admin, view):
    uid = view().removeprefix("/views/")
    sent = {"record_type": THING, "kind": "list", "query": "gone=1", "into": uid, "version": "1"}

    answer = admin.post("/views/save", data=sent)

    assert answer.location == f"{THINGS}?view={uid}&edited=1&gone=1"
    assert admin.get(answer.location).status_code < 500
