"""The API of imports: a file is given, followed and taken back by a program."""

from __future__ import annotations

import io

import pytest

GOOD = "kind,display_name\norganization,Acme\norganization,\n"


def sent(content, **parts):
    data = {"file": (io.BytesIO(content.encode()), "accounts.csv"), "record_type": "customer", **parts}
    return {"data": data, "content_type": "multipart/form-data"}


def test_a_file_is_imported_followed_and_taken_back(api, deliver_events, rows_of):
    client = api("administrator")

    begun = client.open("POST", "/api/imports", **sent(GOOD))
    assert (begun.status_code, begun.json["state"], begun.json["total"]) == (202, "running", 2)
    deliver_events()
    done = client.get(begun.headers["Location"]).json
    assert (done["state"], done["created"], done["refused"], done["done"]) == ("done", 1, 1, 2)
    assert done["problems"][0]["row"] == 3
    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme"]

    assert client.post(f"/api/imports/{done['id']}/undo").status_code == 202
    deliver_events()
    assert client.get(f"/api/imports/{done['id']}").json["undo"] == {"deleted": 1, "restored": 0, "kept": 0}
    assert rows_of("customer", "display_name") == []


def test_a_dry_run_tells_the_verdicts_and_changes_nothing(api, deliver_events, rows_of):
    client = api("administrator")
    mapping = '[columns]\nName = "display_name"\n[constants]\nkind = "organization"\n'

    begun = client.open("POST", "/api/imports", **sent("Name\nAcme\n", mapping=mapping, dry_run="true"))
    deliver_events()

    found = client.get(f"/api/imports/{begun.json['id']}").json
    assert (found["state"], found["created"]) == ("draft", 1)
    assert rows_of("customer", "display_name") == []


@pytest.mark.parametrize(
    ("content", "parts", "status"),
    [
        ("a,b\n1\n", {}, 422),
        ("nonsense\n1\n", {}, 422),
        (GOOD, {"mapping": "= ="}, 422),
        (GOOD, {"mapping": "unknown = 1"}, 422),
        (GOOD, {"record_type": "nonsense"}, 404),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(api, content, parts, status):
    assert api("administrator").open("POST", "/api/imports", **sent(content, **parts)).status_code == status


def test_a_token_that_may_not_write_customers_imports_none(api):
    client = api("administrator", scopes=["customer.read"])

    assert client.open("POST", "/api/imports", **sent(GOOD)).status_code == 403


def test_imports_of_others_are_not_there(api, deliver_events):
    begun = api("manager").open("POST", "/api/imports", **sent(GOOD)).json
    other = api("representative")

    assert other.get(f"/api/imports/{begun['id']}").status_code == 404
    assert other.get("/api/imports").json == {"items": []}
