"""One field edited in place, the collision with somebody else, and the change taken back."""

from __future__ import annotations

import re

import pytest

THINGS = "/toyrecords/things"
API = "/api/toyrecords/things"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def admin(login):
    return login("administrator")


@pytest.fixture
def lamp(admin_api, make_things):
    make_things(("lamp", 5))
    return admin_api.get(API).json["items"][0]["id"]


def undo_address(browser) -> str:
    return re.search(r'href="([^"]+/undo/[^"]+)" data-post', browser.get(THINGS).text)[1]


def test_one_field_is_changed_from_the_list_and_from_the_page(admin, admin_api, lamp):
    address = f"{THINGS}/{lamp}/field/state"
    assert f'data-dialog-open="{address}"' in admin.get(THINGS).text
    assert f'data-dialog-open="{address}"' in admin.get(f"{THINGS}/{lamp}").text

    form = admin.get(address, headers=HTMX).text
    answer = admin.post(address, data={"state": "used", "version": "1"}, headers=HTMX)

    assert re.findall(r'name="(state|amount|name)"', form) == ["state"]
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")
    found = admin_api.get(f"{API}/{lamp}").json
    assert (found["state"], found["name"], found["amount"]) == ("used", "lamp", "5.0000")


def test_a_change_made_meanwhile_is_shown_and_not_overwritten(admin, admin_api, lamp):
    admin_api.patch(f"{API}/{lamp}", {"state": "broken"})

    refused = admin.post(f"{THINGS}/{lamp}/field/state", data={"state": "used", "version": "1"}, headers=HTMX)
    assert refused.status_code == 422
    assert "here it says “Broken”" in refused.text
    assert 'name="version" value="2"' in refused.text
    assert admin_api.get(f"{API}/{lamp}").json["state"] == "broken"

    again = admin.post(f"{THINGS}/{lamp}/field/state", data={"state": "used", "version": "2"}, headers=HTMX)
    assert again.status_code == 204
    assert admin_api.get(f"{API}/{lamp}").json["state"] == "used"


def test_a_wrong_value_comes_back_with_its_error(admin, admin_api, lamp):
    answer = admin.post(f"{THINGS}/{lamp}/field/amount", data={"amount": "a lot", "currency": "EUR", "version": "1"})

    assert answer.status_code == 422
    assert "“a lot” is not a number as it is written here; expected for example 1,234.56." in answer.text
    assert admin_api.get(f"{API}/{lamp}").json["amount"] == "5.0000"


def test_the_change_is_taken_back_from_the_message(admin, admin_api, lamp):
    admin.post(f"{THINGS}/{lamp}/field/amount", data={"amount": "7", "currency": "USD", "version": "1"}, headers=HTMX)
    address = undo_address(admin)

    assert admin.get(address).status_code == 200
    assert admin_api.get(f"{API}/{lamp}").json["currency"] == "USD"
    assert admin.post(address, headers=HTMX).headers["HX-Refresh"] == "true"

    found = admin_api.get(f"{API}/{lamp}").json
    assert (found["amount"], found["currency"]) == ("5.0000", "EUR")


def test_a_value_that_somebody_changed_since_stays(admin, admin_api, lamp):
    admin.post(f"{THINGS}/{lamp}/field/state", data={"state": "used", "version": "1"}, headers=HTMX)
    address = undo_address(admin)
    admin_api.patch(f"{API}/{lamp}", {"state": "broken"})

    admin.post(address, headers=HTMX)

    assert admin_api.get(f"{API}/{lamp}").json["state"] == "broken"
    assert "Changed since, and left as it is" in admin.get(THINGS).text


def test_an_extensions_field_is_edited_in_place_too(admin, admin_api, lamp):
    admin.post(f"{THINGS}/{lamp}/field/toyrecords.stars", data={"extensions.toyrecords.stars": "4", "version": "1"})

    assert admin_api.get(f"{API}/{lamp}").json["extensions"]["toyrecords"]["stars"] == 4


def test_a_change_is_taken_back_from_the_history(admin, admin_api, lamp):
    admin_api.patch(f"{API}/{lamp}", {"state": "broken"})
    listed = admin.get(f"/audit?record_type=toyrecords.thing&record={lamp}&action=updated").text
    entry = admin.get(re.search(r'href="(/audit/[0-9a-f-]{36})"', listed)[1]).text

    address = re.search(r'href="([^"]+/undo/[^"]+)"', entry)[1]
    assert "return, where nobody changed them since" in admin.get(address).text
    assert admin.post(address).status_code == 303

    assert admin_api.get(f"{API}/{lamp}").json["state"] == "new"


@pytest.mark.parametrize("name", ["labels", "gone", "version", "created_at", "toyrecords.gone", "gone.stars"])
def test_what_is_no_single_field_is_not_found(admin, lamp, name):
    assert admin.get(f"{THINGS}/{lamp}/field/{name}").status_code == 404


def test_who_may_not_change_a_record_is_offered_nothing_and_refused(login, lamp, admin_api):
    reader, seller = login("reader"), login(grants={"toyrecords.thing.read": "all", "toyrecords.thing.update": "own"})
    address = f"{THINGS}/{lamp}/field/state"

    for browser in (reader, seller):
        assert "/field/" not in browser.get(THINGS).text
        assert browser.get(address).status_code == 403
        assert browser.post(address, data={"state": "used", "version": "1"}).status_code == 403
        assert browser.post(f"{THINGS}/{lamp}/undo/anything").status_code == 403
    assert admin_api.get(f"{API}/{lamp}").json["state"] == "new"


def test_a_field_that_a_role_only_reads_is_not_edited(login, lamp, unit):
    from crm_kernel.access.services.field_rules import restrict_field
    from crm_kernel.access.services.roles import role_named

    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "toyrecords.thing", "state", "read")
    manager = login("manager")

    assert manager.get(f"{THINGS}/{lamp}/field/state").status_code in (403, 404)
