"""The command palette offers what the reader may open, and nothing else."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("type_sizes")

THINGS = "/toyrecords/things"


@pytest.fixture
def admin(login):
    return login("administrator")


def offered(browser, text=""):
    """Return {group: [labels]} of what the palette shows."""
    groups = browser.get("/palette", query_string={"q": text}).json
    return {group["label"]: [item["label"] for item in group["items"]] for group in groups}


def test_pages_and_forms_are_found_by_the_beginnings_of_words(admin):
    assert offered(admin, "new thi")["Go to"] == ["New Thing"]
    assert "Things" in offered(admin, "thing")["Go to"]
    assert offered(admin, "nosuchword").keys() == {"Search"}


def test_records_are_found_under_their_type_also_mistyped(admin, make_things):
    make_things(("lantern", 1))

    assert offered(admin, "lant")["Things"] == ["lantern"]
    assert offered(admin, "lantren")["Things"] == ["lantern"]
    url = next(g["items"][0]["url"] for g in admin.get("/palette?q=lant").json if g["label"] == "Things")
    assert admin.get(url).status_code == 200


def test_nothing_is_offered_that_the_reader_may_not_open(login, make_things):
    make_things(("lantern", 1))
    seller, reader = login("representative"), login(grants={"toyrecords.thing.read": "all"})

    assert "Things" not in offered(seller, "lant")
    assert offered(reader, "new thi").keys() == {"Search"}
    assert offered(reader, "makers").keys() == {"Search"}
    for browser in (seller, reader):
        for group in browser.get("/palette?q=").json:
            for item in group["items"]:
                assert browser.get(item["url"]).status_code == 200, item


def test_what_was_opened_last_comes_first_as_long_as_it_is_there(admin, api, make_things):
    make_things(("lantern", 1), ("torch", 2))
    client = api("administrator")
    things = {item["name"]: item["id"] for item in client.get("/api/toyrecords/things").json["items"]}
    for name in ("lantern", "torch", "lantern"):
        admin.get(f"{THINGS}/{things[name]}")

    assert offered(admin)["Recent"] == ["lantern", "torch"]
    client.delete(f"/api/toyrecords/things/{things['lantern']}")
    assert offered(admin)["Recent"] == ["torch"]


def test_recent_records_that_one_may_not_see_any_more_are_left_out(login, make_things, api, unit):
    import sqlalchemy as sa
    from crm_toyrecords.models import Thing

    make_things(("lantern", 1))
    seller = login("representative")
    with unit() as uow:
        uow.session.execute(sa.update(Thing).values(owner_id=seller.user.id))
    uid = api("administrator").get("/api/toyrecords/things").json["items"][0]["id"]
    seller.get(f"{THINGS}/{uid}")
    assert offered(seller)["Recent"] == ["lantern"]

    with unit() as uow:
        uow.session.execute(sa.update(Thing).values(owner_id=None))
    assert "Recent" not in offered(seller)


def test_nobody_is_told_anything_without_log_in(client):
    assert client.get("/palette?q=a", headers={"Accept": "application/json"}).status_code in (302, 401)


def test_odd_input_is_answered(admin):
    for typed in ("%", '"', "a" * 5000, "\x00", "';--", "ⵣ"):
        assert admin.get("/palette", query_string={"q": typed}).status_code == 200
