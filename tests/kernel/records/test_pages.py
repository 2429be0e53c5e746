"""The derived pages: what they show, how many queries they cost, and that they refuse as the API does."""

from __future__ import annotations

import re

import pytest

THINGS = "/toyrecords/things"


@pytest.fixture
def admin(login):
    """A browser of somebody who may do everything."""
    return login("administrator")


def token_of(page) -> str:
    return re.search(r'name="csrf-token" content="([^"]+)"', page.text)[1]


@pytest.fixture
def send(admin):
    """Submit a form as the browser does: ``send(path, name="lamp")``."""

    def run(path, **fields):
        token = token_of(admin.get(THINGS))
        return admin.post(path, data={"csrf_token": token, **fields})

    return run


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize("address", [THINGS, f"{THINGS}?state=new&amount__gte=0", f"{THINGS}?view=board"])
def test_a_list_page_costs_five_queries_and_one_per_extension_at_any_size(
    admin, make_things, count_queries, rows, address
):
    make_things(*((f"thing {number:02}", number) for number in range(rows)))
    admin.get(address)

    with count_queries() as queries:
        assert admin.get(address).status_code == 200

    assert len(queries) <= 1 + 5 + 1, queries


def test_a_list_names_its_records_and_its_state_is_the_address(admin, make_things):
    make_things(("lamp", 5), ("torch", 900))

    page = admin.get(f"{THINGS}?amount__gte=100&sort=-amount")

    assert "torch" in page.text
    assert "lamp" not in page.text
    assert "at least 100" in page.text
    assert "1 record" in page.text


def test_a_submitted_filter_form_leads_to_its_address(admin):
    answer = admin.get(f"{THINGS}?amount.op=gte&amount=100&state=new&state=used&name=")

    assert answer.status_code == 302
    assert answer.location == f"{THINGS}?amount__gte=100&state__in=new%2Cused"


def test_a_form_creates_changes_and_deletes(admin, send):
    created = send(f"{THINGS}/new", name="lamp", amount="1,234.5", currency="EUR", state="new")
    address = created.location
    assert (created.status_code, admin.get(address).status_code) == (303, 200)
    assert "€1,234.50" in admin.get(address).text

    changed = send(f"{address}/edit", name="torch", version="1", state="used", amount="")
    assert changed.status_code == 303
    assert "torch" in admin.get(address).text
    assert "€" not in admin.get(address).text.split("<main")[1]

    assert send(f"{address}/delete", version="2").status_code == 303
    assert admin.get(address).status_code == 404


def test_a_refused_form_comes_back_with_what_was_typed_and_writes_nothing(admin, send):
    answer = send(f"{THINGS}/new", name="", amount="a lot", currency="EUR", **{"labels-0-value": "kept"})

    assert answer.status_code == 422
    assert "a lot" in answer.text
    assert 'value="kept"' in answer.text
    assert "“a lot” is not a number as it is written here; expected for example 1,234.56." in answer.text
    assert "0 records" in admin.get(THINGS).text


def test_an_edit_of_an_older_version_is_refused_with_the_reason(admin, send):
    address = send(f"{THINGS}/new", name="lamp", state="new").location
    send(f"{address}/edit", name="first", version="1", state="new")

    answer = send(f"{address}/edit", name="second", version="1", state="new")

    assert answer.status_code == 412
    assert "Somebody else changed this record" in answer.text
    assert "Here it says “first” now." in answer.text
    assert answer.text.count("Here it says") == 2, "in the list of what differs, and at its field"
    assert "first" in admin.get(address).text

    knowingly = send(
        f"{address}/edit", name="second", version=re.search(r'name="version" value="(\d+)"', answer.text)[1]
    )
    assert knowingly.status_code == 303
    assert "second" in admin.get(address).text


def test_a_form_that_would_replace_what_it_cannot_show_has_to_be_begun_anew(admin, send):
    parts = {"labels-0-value": "one"}
    address = send(f"{THINGS}/new", name="lamp", state="new", **parts).location
    send(f"{address}/edit", name="lamp", version="1", state="new", **parts, **{"labels-1-value": "two"})

    answer = send(f"{address}/edit", name="lamp", version="1", state="new", **parts)
    again = send(f"{address}/edit", name="lamp", state="new", version=_version_in(answer), **parts)
    wrong = send(f"{address}/edit", name="lamp", state="new", version="1", amount="a lot", **parts)

    assert (answer.status_code, again.status_code, wrong.status_code) == (412, 412, 412)
    assert "load it again" in answer.text
    assert _version_in(wrong) == "1"
    assert "two" in admin.get(address).text


def _version_in(answer):
    return re.search(r'name="version" value="(\d+)"', answer.text)[1]


def test_an_action_shows_its_form_again_in_the_dialog_when_refused(admin, send):
    address = send(f"{THINGS}/new", name="lamp", state="new").location
    token = token_of(admin.get(THINGS))

    refused = admin.post(
        f"{address}/break", data={"csrf_token": token, "version": "1", "reason": ""}, headers={"HX-Request": "true"}
    )
    done = send(f"{address}/break", version="1", reason="dropped")

    assert (refused.status_code, done.status_code) == (422, 303)
    assert "Broken" in admin.get(address).text


def test_a_drop_moves_the_card_or_leads_to_the_dialog_that_asks(admin, send):
    address = send(f"{THINGS}/new", name="lamp", state="new").location
    headers = {"X-CSRFToken": token_of(admin.get(THINGS)), "If-Match": '"1"'}

    moved = admin.patch(f"{address}/move", json={"state": "used"}, headers=headers)
    stale = admin.patch(f"{address}/move", json={"state": "new"}, headers={**headers, "Accept": "application/json"})
    asked = admin.get(f"{address}/drop?state=broken")

    assert (moved.status_code, moved.json) == (200, {"version": 2})
    assert stale.status_code == 412
    assert asked.location == f"{address}/break?answer=json"


def test_a_type_ahead_gives_titles_of_what_the_user_may_see(admin, make_things, login):
    maker = make_things(("lamp", 1))

    assert admin.get("/toyrecords/makers/suggest?q=ela").json == [{"id": str(maker), "title": "Élan & Co"}]
    assert login(grants={"toyrecords.thing.read": "all"}).get("/toyrecords/makers/suggest").status_code == 403


def test_pages_offer_only_what_the_user_may_do(make_things, login):
    make_things(("lamp", 1))
    page = login(grants={"toyrecords.thing.read": "all"}).get(THINGS)

    assert page.status_code == 200
    assert f"{THINGS}/new" not in page.text
    assert f"{THINGS}/export.csv" not in page.text
    assert "/toyrecords/makers" not in page.text


def test_what_people_type_is_text_and_never_markup(admin, send):
    address = send(f"{THINGS}/new", name="<script>alert(1)</script>", state="new").location

    for page in (
        admin.get(address),
        admin.get(THINGS),
        admin.get(f"{THINGS}?view=board"),
        admin.get(f"{address}/edit"),
    ):
        assert "<script>alert(1)" not in page.text
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_a_form_without_its_token_is_refused(admin, crm_app):
    crm_app.config["WTF_CSRF_ENABLED"] = True
    assert admin.post(f"{THINGS}/new", data={"name": "lamp"}).status_code == 400
    assert "0 records" in admin.get(THINGS).text


def test_search_shows_what_the_user_may_read(admin, make_things, login):
    make_things(("lamp", 1))

    assert "lamp" in admin.get("/search?q=lam").text
    assert "Nothing found" in login(grants={"toyrecords.maker.read": "all"}).get("/search?q=lam").text


def test_a_page_that_needs_log_in_leads_to_it_and_back(client):
    answer = client.get(f"{THINGS}?state=new")

    assert answer.status_code == 302
    assert answer.location == "/auth/login?next=/toyrecords/things?state%3Dnew"


def test_a_form_clears_values_of_the_record_its_parts_and_its_extension(admin, send):
    first = {"labels-0-value": "old", "extensions.toyrecords.stars": "4", "made_on": "2026-02-03"}
    address = send(f"{THINGS}/new", name="lamp", state="new", labels="", **first).location
    assert "old" in admin.get(address).text

    send(
        f"{address}/edit",
        name="lamp",
        version="1",
        state="new",
        labels="",
        made_on="",
        **{"extensions.toyrecords.stars": ""},
    )

    item = re.sub(r"\s+", " ", admin.get(f"{address}/edit").text)
    assert 'value="old"' not in item
    assert not re.search(r'name="extensions.toyrecords.stars"[^>]* value="4"', item)
    assert 'value="2026-02-03"' not in item


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"'])
def test_a_move_that_is_no_object_is_refused(admin, send, body):
    address = send(f"{THINGS}/new", name="lamp", state="new").location

    answer = admin.patch(f"{address}/move", data=body, headers={"If-Match": '"1"', "Accept": "application/json"})

    assert answer.status_code == 422


def test_a_hidden_record_is_not_betrayed_by_the_boards_dialogs(make_things, login, admin):
    make_things(("lamp", 1))
    address = re.search(r'href="(/toyrecords/things/[0-9a-f-]{36})"', admin.get(THINGS).text)[1]
    stranger = login(grants={"toyrecords.thing.read": "own", "toyrecords.thing.update": "own"})

    assert stranger.get(f"{address}/drop?state=broken").status_code == 404


def test_an_export_reaches_as_far_as_its_own_permission(make_things, login):
    make_things(("lamp", 1))
    narrow = login(grants={"toyrecords.thing.read": "all", "toyrecords.thing.export": "own"})
    wide = login(grants={"toyrecords.thing.read": "all", "toyrecords.thing.export": "all"})

    assert "lamp" not in narrow.get(f"{THINGS}/export.csv").text
    assert "lamp" in wide.get(f"{THINGS}/export.csv").text


def test_an_export_goes_on_behind_its_first_batch_in_every_order(make_things, login, monkeypatch):
    from crm_kernel.records import exporting

    monkeypatch.setattr(exporting, "BATCH", 2)
    make_things(*((f"thing {number}", number or None) for number in range(5)))
    admin = login("administrator")

    for order in ("name", "-amount", "created_at", "-created_at", "made_on"):
        lines = admin.get(f"{THINGS}/export.csv?sort={order}").text.split("\r\n")
        assert len([line for line in lines if "thing" in line]) == 5, order
