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


def test_a_checked_file_is_imported_when_it_is_started(api, deliver_events, rows_of):
    client = api("administrator")
    path = client.open("POST", "/api/imports", **sent(GOOD, dry_run="true")).headers["Location"]
    deliver_events()
    assert rows_of("customer", "display_name") == []

    assert client.post(f"{path}/start").json["state"] == "running"
    deliver_events()

    assert (client.get(path).json["state"], client.get(path).json["created"]) == ("done", 1)
    assert client.post(f"{path}/start").status_code == 409


def test_an_import_is_stopped_and_gone_on_with(api, deliver_events, rows_of):
    client = api("administrator")
    path = client.open("POST", "/api/imports", **sent(GOOD)).headers["Location"]

    stopped = client.post(f"{path}/stop")
    deliver_events()
    assert (stopped.status_code, client.get(path).json["state"]) == (200, "stopped")
    assert rows_of("customer", "display_name") == []

    assert client.post(f"{path}/start").json["state"] == "running"
    deliver_events()
    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme"]


def test_rows_that_are_not_imported_are_read_as_a_file(api, deliver_events):
    client = api("administrator")
    path = client.open("POST", "/api/imports", **sent(GOOD)).headers["Location"]
    deliver_events()

    file = client.get(f"{path}/errors")

    assert (file.status_code, file.mimetype) == (200, "text/csv")
    assert file.headers["Content-Disposition"] == 'attachment; filename="accounts-errors.csv"'
    head, row = file.get_data(as_text=True).splitlines()
    assert head == "\ufeffkind,display_name,import_error"
    assert row.startswith("organization,,")


@pytest.mark.parametrize("verb", ["start", "stop", "undo", "errors", "verdicts"])
def test_nobody_acts_on_the_imports_of_others(api, deliver_events, verb):
    path = api("manager").open("POST", "/api/imports", **sent(GOOD)).headers["Location"]
    deliver_events()
    method = "GET" if verb in ("errors", "verdicts") else "POST"

    assert api("representative").open(method, f"{path}/{verb}").status_code == 404


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


MAPPING = '[columns]\nName = "display_name"\n[constants]\nkind = "organization"\n'
MAPPINGS = "/api/imports/mappings/customer"


def test_a_mapping_is_kept_offered_and_used_again(api, deliver_events, rows_of):
    author, other = api("administrator"), api("manager")
    kept = {"mapping": MAPPING, "save_as": "Old CRM"}
    assert author.open("POST", "/api/imports", **sent("Name\nAcme\n", **kept)).status_code == 202
    [mine] = author.get(MAPPINGS).json["items"]
    assert (mine["name"], mine["shared"]) == ("Old CRM", False)
    assert mine["source"]["columns"] == {"Name": "display_name"}
    assert other.get(MAPPINGS).json == {"items": []}
    assert other.open("POST", "/api/imports", **sent("Name\nBolt\n", saved=mine["id"])).status_code == 422

    author.open("POST", "/api/imports", **sent("Name\nCorp\n", share="true", **kept))
    [theirs] = other.get(MAPPINGS).json["items"]
    assert other.open("POST", "/api/imports", **sent("Name\nDuke\n", saved=theirs["id"])).status_code == 202
    deliver_events()

    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme", "Corp", "Duke"]


def test_a_mapping_that_says_a_day_is_kept(api):
    client = api("administrator")
    day = '[columns]\nName = "family_name"\n[constants]\nkind = "person"\nbirth_date = 1980-01-02\n'

    client.open("POST", "/api/imports", **sent("Name\nAda\n", mapping=day, save_as="People"))

    assert client.get(MAPPINGS).json["items"][0]["source"]["constants"]["birth_date"] == "1980-01-02"


@pytest.mark.parametrize(
    "parts",
    [{"saved": "nonsense"}, {"saved": "1" * 32, "mapping": MAPPING}, {"save_as": "Plain"}],
)
def test_a_mapping_that_is_none_is_refused(api, parts):
    assert api("administrator").open("POST", "/api/imports", **sent(GOOD, **parts)).status_code == 422


def test_mappings_are_for_who_may_import_the_records(api):
    assert api("administrator", scopes=["customer.read"]).get(MAPPINGS).status_code == 403
    assert api("administrator").get("/api/imports/mappings/nonsense").status_code == 404


def test_cards_that_are_not_imported_are_read_as_a_file(api, deliver_events):
    sound = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nTEL:+33142685300\r\nEND:VCARD\r\n"
    nobody = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:\r\nNOTE:who?\r\nEND:VCARD\r\n"
    data = {"file": (io.BytesIO((sound + nobody).encode()), "people.vcf"), "record_type": "customer"}
    client = api("administrator")
    path = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data").headers["Location"]
    deliver_events()

    file = client.get(f"{path}/errors")

    assert (file.status_code, file.mimetype) == (200, "application/jsonl")
    [line] = file.get_data(as_text=True).splitlines()
    assert "card 2 names nobody" in line


@pytest.mark.parametrize("place", ["{folder}/secret.txt", "../secret.txt", "x/../../secret.txt"])
def test_a_mapping_reads_no_other_file_of_the_server(api, tmp_path, place):
    (tmp_path / "secret.txt").write_text("login,word\nroot,hunter2\n")
    values = f'{{ file = "{place.format(folder=tmp_path)}", key = "login", value = "word" }}'
    mapping = f'[columns]\nkind = "kind"\ndisplay_name = {{ field = "display_name", values_from = {values} }}\n'

    answer = api("administrator").open("POST", "/api/imports", **sent(GOOD, mapping=mapping))

    assert answer.status_code == 422
    assert "expected the name of a file in the same folder" in answer.json["detail"]
