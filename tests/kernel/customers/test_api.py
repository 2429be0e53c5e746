"""Customers through the derived API: paths of refusals, parts by id, the version, relationships."""

from __future__ import annotations

import pytest


@pytest.fixture
def rest(api):
    """An API client that may do everything."""
    return api(grants={"*": "all"})


@pytest.fixture
def ada(rest):
    """A person created by the API: the answer's JSON."""
    answer = rest.post(
        "/api/customers",
        {
            "kind": "person",
            "given_name": "Ada",
            "family_name": "Lovelace",
            "contact_points": [
                {"channel": "email", "value": "Ada@Crm.test"},
                {"channel": "phone", "value": "202-456-1111"},
            ],
            "addresses": [{"city": "London", "country_code": "gb"}],
        },
    )
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.get_json()


def test_a_customer_is_read_back_with_its_side_fields_and_parts(rest, ada):
    found = rest.get(f"/api/customers/{ada['id']}").get_json()

    assert (found["display_name"], found["family_name"], found["primary_email"]) == (
        "Ada Lovelace",
        "Lovelace",
        "Ada@crm.test",
    )
    assert [(p["channel"], p["state"], p["is_primary"]) for p in found["contact_points"]] == [
        ("email", "unverified", True),
        ("phone", "unverified", True),
    ]
    assert found["addresses"][0]["country_code"] == "GB"


def test_a_wrong_number_is_refused_with_its_path_and_the_reason(rest):
    answer = rest.post(
        "/api/customers",
        {"kind": "person", "family_name": "A", "contact_points": [{"channel": "phone", "value": "12"}]},
    )

    assert answer.status_code == 422
    assert answer.get_json()["errors"]["contact_points.0.value"] == ["'12' is too short for a phone number of US"]


def test_a_part_is_changed_by_its_id_and_raises_the_version(rest, ada):
    address = f"/api/customers/{ada['id']}"
    email = next(p for p in ada["contact_points"] if p["channel"] == "email")
    before = rest.etag(address)

    answer = rest.patch(address, {"contact_points": [{"id": email["id"], "value": "countess@crm.test"}]}, etag=before)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    found = answer.get_json()["contact_points"]
    assert [(p["id"], p["value"]) for p in found] == [(email["id"], "countess@crm.test")]
    assert rest.etag(address) != before
    assert rest.patch(address, {"notes": "late"}, etag=before).status_code == 412


def test_a_state_cannot_be_written(rest, ada):
    part = {"channel": "email", "value": "b@crm.test", "state": "valid"}

    answer = rest.patch(f"/api/customers/{ada['id']}", {"contact_points": [part]})

    assert list(answer.get_json()["errors"]) == ["contact_points.0.state"]


def test_a_tie_is_created_between_visible_customers(rest, ada):
    acme = rest.post("/api/customers", {"kind": "organization", "display_name": "Acme"}).get_json()
    tie = {"from_customer": ada["id"], "to_customer": acme["id"], "type": "employment", "role": "CEO"}

    answer = rest.post("/api/relationships", tie)

    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert answer.get_json()["to_customer"] == {"id": acme["id"], "title": "Acme"}
    assert list(rest.post("/api/relationships", tie).get_json()["errors"]) == ["valid_from"]


def test_a_note_is_logged_and_read_on_the_list_of_contacts(rest, ada):
    answer = rest.post("/api/interactions", {"customer": ada["id"], "kind": "note", "summary": "likes tea"})

    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert [item["summary"] for item in rest.get("/api/interactions").get_json()["items"]] == ["likes tea"]


def test_a_customer_is_deleted_with_its_timeline(rest, ada):
    rest.post("/api/interactions", {"customer": ada["id"], "kind": "note", "summary": "likes tea"})

    assert rest.delete(f"/api/customers/{ada['id']}").status_code == 204
    assert rest.get("/api/interactions").get_json()["items"] == []
