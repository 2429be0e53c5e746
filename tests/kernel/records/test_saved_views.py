"""Saved views: what they show, to whom, and that they widen nobody's reach and never break a page."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import orjson
import pytest
import sqlalchemy as sa

THINGS = "/toyrecords/things"
API = "/api/toyrecords/things"
THING = "toyrecords.thing"


@pytest.fixture
def admin(login):
    return login("administrator", team="North")


@pytest.fixture
def store(unit):
    """Put a view into the table as it may have got there long ago: ``store(query="gone=1")`` → its id."""
    from crm_kernel.records.saved_views.models import SavedView

    def run(**values):
        with unit() as uow:
            view = SavedView(**{"record_type": THING, "name": "Old", "sharing": "everyone", **values})
            uow.session.add(view)
            uow.session.flush()
            return view.uid

    return run


def save(browser, **fields):
    """Save a view as the dialog does and return the id it opens at."""
    sent = {"record_type": THING, "kind": "list", "query": "", "columns": "", "sharing": "private", **fields}
    answer = browser.post("/views/save", data=sent)
    assert answer.status_code == 303, answer.text
    return answer.location.partition("view=")[2]


def options(page, name):
    """Return the values that a form's select offers."""
    found = re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', found[0])


MANAGER = {"saved_view.*": "team", "toyrecords.thing.read": "all"}


def test_the_form_of_a_view_offers_what_the_policy_permits(admin, login):
    manager, alone = login(grants=MANAGER, team="North"), login(grants=MANAGER)
    pages = [browser.get(f"/views/{save(browser, name='x')}/edit").text for browser in (admin, manager, alone)]

    offered = [[value for value in options(page, "sharing") if value] for page in pages]

    assert offered == [["private", "team", "everyone"], ["private", "team"], ["private"]]
    assert ['name="default_for_all"' in page for page in pages] == [True, False, False]


def test_what_is_not_offered_is_refused_all_the_same(login):
    manager = login(grants=MANAGER, team="North")
    view = save(manager, name="Mine")
    form = {"name": "Mine", "version": "1"}

    assert manager.post(f"/views/{view}/edit", data={**form, "sharing": "everyone"}).status_code == 403
    assert manager.post(f"/views/{view}/edit", data={**form, "sharing": "team"}).status_code == 303


def test_an_author_saves_his_view_that_an_administrator_shared_with_everybody(admin, login):
    manager = login(grants=MANAGER, team="North")
    view = save(manager, name="Mine", sharing="team")
    shared = admin.post(f"/views/{view}/edit", data={"name": "Mine", "version": "1", "sharing": "everyone"})
    page = manager.get(f"/views/{view}/edit").text

    saved = manager.post(f"/views/{view}/edit", data={"name": "Renamed", "version": "2", "sharing": "everyone"})

    assert shared.status_code == 303
    assert "everyone" in options(page, "sharing")
    assert saved.status_code == 303
    assert "Renamed" in manager.get(f"/views/{view}").text


def test_a_view_keeps_conditions_order_and_columns(admin, make_things):
    make_things(("lamp", 5), ("torch", 900), ("beacon", 500))

    view = save(admin, name="Dear ones", query="amount__gte=100&sort=-amount", columns="amount,name,toyrecords.stars")
    page = admin.get(f"{THINGS}?view={view}").text

    assert page.index("torch") < page.index("beacon")
    assert "lamp" not in page
    head = page[page.index("<thead") : page.index("</thead")]
    assert [head.index(label) for label in ("Amount", "Name", "Stars")] == sorted(
        head.index(label) for label in ("Amount", "Name", "Stars")
    )
    assert "Maker" not in head
    assert "Dear ones</a>" in page


def test_what_is_chosen_in_a_view_is_kept_beside_it_and_saved_into_it(admin, make_things):
    make_things(("lamp", 5), ("torch", 900))
    view = save(admin, name="Dear ones", query="amount__gte=100")

    unchanged = admin.get(f"{THINGS}?view={view}").text
    changed = admin.get(f"{THINGS}?view={view}&edited=1&amount__gte=1").text
    assert "lamp" in changed
    assert ("Save the changes" in unchanged, "Save the changes" in changed) == (False, True)

    save(admin, into=view, version="1", query="amount__gte=1")
    assert "lamp" in admin.get(f"{THINGS}?view={view}").text
    stale = admin.post(
        "/views/save",
        data={"record_type": THING, "kind": "list", "query": "", "columns": "", "into": view, "version": "1"},
    )
    assert stale.status_code == 412


def test_a_private_view_is_its_authors_alone(admin, login, api):
    view = save(admin, name="Mine")
    other = login("administrator")

    assert "Mine</a>" not in other.get(THINGS).text
    assert other.get(f"{THINGS}?view={view}").status_code == 422
    assert other.get(f"/views/{view}").status_code == 404
    assert api("administrator").get(API, view=view).status_code == 422


def test_a_team_sees_what_was_shared_with_it(login):
    author = login("representative", team="North")
    view = save(author, name="Ours", sharing="team")

    assert "Ours</a>" in login("representative", team="North").get(f"{THINGS}?view={view}").text
    assert login("representative", team="South").get(f"{THINGS}?view={view}").status_code == 422


def test_only_administrators_share_with_everybody(admin, login):
    save(admin, name="For all", sharing="everyone")
    representative = login("representative")

    refused = representative.post(
        "/views/save", data={"record_type": THING, "kind": "list", "name": "Mine for all", "sharing": "everyone"}
    )

    assert refused.status_code == 403
    page = representative.get(THINGS).text
    assert "For all</a>" in page
    assert "Mine for all" not in page


def test_a_shared_view_shows_nobody_more_than_he_may_see(admin, login, make_things):
    make_things(("lamp", 5))
    view = save(admin, name="All", sharing="everyone", query="amount__gte=1")

    page = login("representative").get(f"{THINGS}?view={view}")

    assert page.status_code == 200
    assert "lamp" not in page.text
    assert "0 records" in page.text


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("gone__gte=1", "gone__gte"),
        (urlencode({"filter": '{"field": "vanished", "op": "eq", "value": 1}'}), "vanished"),
        ("sort=gone", "gone"),
    ],
)
def test_a_view_whose_field_is_gone_says_so_and_shows_nothing(admin, make_things, store, query, reason):
    make_things(("lamp", 5))
    view = store(query=query)

    page = admin.get(f"{THINGS}?view={view}")

    assert page.status_code == 200
    assert "This view cannot be shown" in page.text
    assert reason in page.text
    assert "lamp" not in page.text
    assert "Old</a>" in admin.get(THINGS).text


def test_a_column_that_is_gone_is_named_and_the_rest_is_shown(admin, make_things, store):
    make_things(("lamp", 5))

    page = admin.get(f"{THINGS}?view={store(columns=['name', 'cf_gone', 'amount'])}").text

    assert "cf_gone" in page
    assert "lamp" in page
    assert "Maker" not in page[page.index("<thead") : page.index("</thead")]


def test_a_view_of_a_module_that_is_gone_waits_for_it(admin, store):
    view = store(record_type="gone.thing")

    page = admin.get(f"/views/{view}")

    assert page.status_code == 200
    assert "the view waits for it" in page.text


def test_a_field_that_a_role_hides_is_neither_asked_nor_shown_through_a_view(admin, login, unit, make_things):
    from crm_kernel.access.services import field_rules
    from crm_kernel.access.services.roles import role_named

    make_things(("lamp", 5))
    view = save(admin, name="Dear", sharing="everyone", query="amount__gte=1")
    shown = save(admin, name="Shown", sharing="everyone", columns="name,amount")
    with unit() as uow:
        field_rules.restrict_field(uow, role_named(uow, "reader"), THING, "amount", "hidden")
    reader = login("reader")

    asked, read = reader.get(f"{THINGS}?view={view}"), reader.get(f"{THINGS}?view={shown}")

    assert "This view cannot be shown" in asked.text
    assert "lamp" not in asked.text
    assert "lamp" in read.text
    assert "€5" not in read.text


def test_the_first_view_is_shown_without_arguments(admin, login, api, make_things):
    make_things(("lamp", 5), ("torch", 900))
    for_all = save(admin, name="Dear", sharing="everyone", query="amount__gte=100")
    changed = api("administrator").patch(f"/api/views/{for_all}", {"default_for_all": True})
    assert changed.status_code == 200
    representative = login("representative", grants={"toyrecords.thing.read": "all"})

    assert "lamp" not in representative.get(THINGS).text
    assert "lamp" in representative.get(f"{THINGS}?view=all").text

    own = save(representative, name="Cheap", query="amount__lte=10")
    assert representative.post(f"/views/{own}/first").status_code == 303
    assert "torch" not in representative.get(THINGS).text
    assert "torch" in admin.get(THINGS).text

    representative.post("/views/first/none", data={"record_type": THING})
    assert "torch" in representative.get(THINGS).text


def test_one_view_at_a_time_is_the_first_for_all(api, unit):
    from crm_kernel.records.saved_views.models import SavedView

    client = api("administrator")
    for name in ("One", "Two"):
        made = client.post(
            "/api/views", {"name": name, "record_type": THING, "sharing": "everyone", "default_for_all": True}
        )
        assert made.status_code == 201, made.text

    with unit() as uow:
        assert list(uow.session.scalars(sa.select(SavedView.name).where(SavedView.default_for_all))) == ["Two"]


def test_the_api_lists_through_a_view_and_narrows_it(api, make_things):
    make_things(("lamp", 5), ("torch", 900), ("beacon", 500))
    client = api("administrator")
    view = client.post(
        "/api/views",
        {"name": "Dear", "record_type": THING, "query": "amount__gte=100&sort=-amount", "columns": ["name"]},
    ).json["id"]

    listed = client.get(API, view=view).json["items"]
    narrowed = client.get(API, view=view, amount__lte="600", sort="name", fields="name,amount").json["items"]
    replaced = client.get(API, view=view, amount__gte="1", filter='{"field": "name", "op": "eq", "value": "lamp"}')

    assert [item["name"] for item in listed] == ["torch", "beacon"]
    assert "amount" not in listed[0]
    assert [(item["name"], item["amount"]) for item in narrowed] == [("beacon", "500.0000")]
    assert [item["name"] for item in replaced.json["items"]] == ["lamp"]


def test_an_export_of_a_view_holds_its_rows_and_its_columns(admin, make_things):
    make_things(("lamp", 5), ("torch", 900))
    view = save(admin, name="Dear", query="amount__gte=100", columns="name,state")

    lines = admin.get(f"{THINGS}/export.csv?view={view}").text.splitlines()

    assert lines[0].removeprefix("\ufeff") == "id,name,state"
    assert [line.split(",")[1] for line in lines[1:]] == ["torch"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"query": "gone=1"}, "query"),
        ({"columns": ["gone"]}, "columns"),
        ({"record_type": "gone.thing"}, "record_type"),
        ({"record_type": "toyrecords.maker", "kind": "board"}, "kind"),
        ({"sharing": "team"}, "sharing"),
        ({"default_for_all": True}, "default_for_all"),
        ({"name": ""}, "name"),
    ],
)
def test_a_view_that_makes_no_sense_is_refused_by_its_place(api, change, place):
    refused = api("administrator").post("/api/views", {"name": "New", "record_type": THING, **change})

    assert refused.status_code == 422
    assert place in refused.json["errors"]


def test_a_view_of_records_one_may_not_read_is_refused(api):
    client = api(grants={"saved_view.*": "own"})

    assert client.post("/api/views", {"name": "New", "record_type": THING}).status_code == 403


def test_somebody_elses_shared_view_is_read_and_not_changed(api, admin, login):
    view = save(admin, name="For all", sharing="everyone")
    client = api("representative")

    assert client.get(f"/api/views/{view}").json["name"] == "For all"
    assert client.patch(f"/api/views/{view}", {"name": "Taken"}).status_code == 403
    assert client.delete(f"/api/views/{view}").status_code == 403


def test_a_board_is_a_view_as_well(admin, make_things):
    make_things(("lamp", 5), ("torch", 900))
    view = save(admin, name="Dear board", kind="board", query="amount__gte=100")

    page = admin.get(f"{THINGS}?view={view}").text

    assert "crm-board" in page
    assert "torch" in page
    assert "lamp" not in page
    assert "<thead" in admin.get(f"{THINGS}?view={view}&as=list").text


def test_columns_are_chosen_in_the_address_and_unknown_ones_refused(admin, make_things):
    make_things(("lamp", 5))

    folded = admin.get(f"{THINGS}?columns=amount&columns=name&state=new&state=used")
    page = admin.get(f"{THINGS}?columns=amount,name").text
    refused = admin.get(f"{THINGS}?columns=name,secret")

    assert folded.location == f"{THINGS}?columns=amount%2Cname&state__in=new%2Cused"
    head = page[page.index("<thead") : page.index("</thead")]
    assert head.index("Amount") < head.index("Name")
    assert refused.status_code == 422


@pytest.mark.parametrize("empty", ["", ",", "%20,,"])
def test_a_choice_of_no_columns_shows_the_usual_ones(admin, make_things, empty):
    make_things(("lamp", 5))

    page = admin.get(f"{THINGS}?columns={empty}", follow_redirects=True)

    assert page.status_code == 200
    assert all(name in page.text for name in ("lamp", "Amount", "State"))


def test_a_view_that_looks_for_an_empty_text_says_so(admin, make_things, store):
    make_things(("lamp", 5))
    tree = orjson.dumps({"field": "name", "op": "contains", "value": ""}).decode()
    view = store(query=urlencode({"filter": tree}))

    opened, asked = admin.get(f"{THINGS}?view={view}"), admin.get(THINGS, query_string={"filter": tree})

    assert (opened.status_code, asked.status_code) == (200, 422)
    assert all("Expected one value" in page.text and "lamp" not in page.text for page in (opened, asked))


def test_tabs_cost_one_query_whatever_their_number(admin, make_things, count_queries):
    make_things(("lamp", 5))
    view = save(admin, name="Number 0")
    for number in range(1, 12):
        save(admin, name=f"Number {number}")
    admin.get(f"{THINGS}?view={view}")

    with count_queries() as queries:
        admin.get(f"{THINGS}?view={view}")

    assert len([text for text in queries.statements if "saved_view" in text]) == 1
    queries.at_most(5)


def test_saving_into_what_is_no_id_is_said_and_saves_nothing(types, login):
    person = login("administrator")
    sent = {"record_type": THING, "kind": "list", "query": "", "columns": "", "into": "junk", "version": "1"}

    answer = person.post("/views/save", data=sent, follow_redirects=True)

    assert answer.status_code == 200
    assert "Not a valid UUID." in answer.text
    assert person.get("/api/views").json["items"] == []
