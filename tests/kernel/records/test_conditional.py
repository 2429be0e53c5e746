"""Conditional requests: ETags on every reading answer, 304 for who has it, and no change on top of another's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

THINGS = "/api/toyrecords/things"


@pytest.fixture
def admin(api):
    """An API client that may do everything."""
    return api("administrator")


@pytest.fixture
def lamp(admin):
    """The address of a thing at version 1."""
    return admin.post(THINGS, {"name": "lamp", "amount": "0", "currency": "eur"}).headers["Location"]


@pytest.mark.parametrize(
    "path", [THINGS, f"{THINGS}?count=true", f"{THINGS}/catalogue", "/api/openapi.json", "/api/customers"]
)
def test_what_is_unchanged_is_not_sent_again(admin, lamp, path):
    first = admin.open("GET", path)

    again = admin.open("GET", path, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.data) == (200, 304, b""), first.text
    assert not first.headers["ETag"].startswith("W/")
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie"} <= set(first.headers["Vary"].split(", "))


def test_a_list_has_another_etag_as_soon_as_a_row_of_it_is_another(admin, lamp):
    before = admin.get(THINGS).headers["ETag"]
    admin.patch(lamp, {"name": "torch"})

    answer = admin.open("GET", THINGS, headers={"If-None-Match": before})

    assert (answer.status_code, answer.json["items"][0]["name"]) == (200, "torch")


def test_two_readers_who_see_different_rows_have_different_etags(api, admin, customer_factory):
    customer_factory()
    stranger = api(grants={"customer.read": "own"})
    everything, nothing = admin.get("/api/customers"), stranger.get("/api/customers")

    answer = stranger.open("GET", "/api/customers", headers={"If-None-Match": everything.headers["ETag"]})

    assert nothing.json["items"] == []
    assert (answer.status_code, answer.data) == (200, nothing.data)


def test_an_etag_tells_nobody_that_a_record_exists(api, admin, customer_factory):
    customer = customer_factory()
    path = f"/api/customers/{customer.uid}"
    stranger = api(grants={"customer.read": "own", "customer.update": "own", "customer.delete": "own"})
    etag = admin.etag(path)

    statuses = [
        stranger.open("GET", path, headers={"If-None-Match": etag}).status_code,
        stranger.open("GET", path, headers={"If-None-Match": "*"}).status_code,
        stranger.open("PATCH", path, json={"notes": "x"}, headers={"If-Match": etag}).status_code,
        stranger.open("DELETE", path, headers={"If-Match": etag}).status_code,
    ]

    assert statuses == [404] * 4


def test_a_head_has_the_etag_of_the_get(admin, lamp):
    assert admin.open("HEAD", THINGS).headers["ETag"] == admin.get(THINGS).headers["ETag"]


def test_what_changes_something_asks_for_the_version_it_is_based_on(admin, lamp):
    answers = [
        admin.open("PATCH", lamp, json={"name": "torch"}),
        admin.open("DELETE", lamp),
        admin.open("POST", f"{lamp}/break", json={"reason": "x"}),
    ]
    stale = [
        admin.open("PATCH", lamp, json={"name": "torch"}, headers={"If-Match": '"7"'}),
        admin.open("DELETE", lamp, headers={"If-Match": '"7"'}),
        admin.open("POST", f"{lamp}/break", json={"reason": "x"}, headers={"If-Match": '"7"'}),
    ]

    assert [answer.status_code for answer in answers] == [428] * 3
    assert [answer.status_code for answer in stale] == [412] * 3
    assert admin.get(lamp).json["name"] == "lamp"


@pytest.mark.parametrize("writers", [2, 5])
def test_no_update_is_lost_however_many_write_at_once(crm_app, admin, lamp, writers):
    """Everybody adds one until it is taken: the sum is the number of changes that were answered with 200."""
    start = threading.Barrier(writers)

    def add(times: int) -> int:
        start.wait()
        return sum(_add_one(admin, lamp) for _ in range(times))

    with ThreadPoolExecutor(writers) as pool:
        taken = sum(pool.map(add, [6] * writers))

    assert taken == 6 * writers
    found = admin.get(lamp)
    assert (float(found.json["amount"]), found.headers["ETag"]) == (taken, f'"{1 + taken}"')


def _add_one(client, path) -> int:
    for _attempt in range(200):
        read = client.get(path)
        changes = {"amount": str(float(read.json["amount"]) + 1)}
        answer = client.patch(path, changes, etag=read.headers["ETag"])
        if answer.status_code == 200:
            return 1
        assert answer.status_code in (412, 503), answer.text
    return 0


def test_a_reader_is_not_refused_for_a_condition_of_changes(admin, lamp):
    answer = admin.open("GET", THINGS, headers={"If-Match": '"1"'})

    assert answer.status_code == 200
