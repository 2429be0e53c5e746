"""What becomes of each row of a file, as a rehearsal tells it: a file of verdicts, which the import itself forgets."""

from __future__ import annotations

import collections
import csv
import io
import re
from types import SimpleNamespace
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa

from crm_kernel.errors import Conflict
from crm_kernel.records.importing import Mode, Verdict, runs, session
from crm_kernel.records.importing.chunks import SourceRun
from crm_kernel.records.importing.models import ImportRow

MAPPING = """
match = ["source", "external_ref"]
duplicates = "review"
needs = ["Name"]
[columns]
Ref = "external_ref"
Name = "display_name"
Mail = "contact_points.email"
Staff = "employees"
[constants]
kind = "organization"
source = "test"
"""
FILE = (
    "Ref,Name,Mail,Staff\n"
    "A0,Old,,4\n"
    "A1,Acme,,2\n"
    "A2,Bolt,,7\n"
    "A2,Bolt,,7\n"
    "A3,=Dent,nobody,1\n"
    "A4,Cog,cog@crm.test,\n"
    "A5,,,\n"
    "A6,Eve,,9\n"
)
VERDICTS = ["unchanged", "updated", "created", "skipped", "refused", "review", "skipped", "created"]


@pytest.fixture
def known(customer_factory):
    """Keep an organization that the file says nothing new of, one that it changes, and one that a row of it may be."""
    kept = {"kind": "organization", "source": "test"}
    customer_factory(**kept, display_name="Old", external_ref="A0", employees=4)
    customer_factory(**kept, display_name="Acme", external_ref="A1", employees=1)
    point = {"channel": "email", "value": "cog@crm.test"}
    customer_factory(kind="organization", display_name="Cog", contact_points=[point])


@pytest.fixture
def give(deliver_events, monkeypatch):
    """Give a file to the API, to be done in chunks of two rows, and return the path of its import once it is through."""
    monkeypatch.setattr(session, "CHUNK", 2)

    def send(client, content=FILE, name="accounts.csv", **parts):
        sent = {"record_type": "customer", "mapping": MAPPING, "dry_run": "true", **parts}
        data = {"file": (io.BytesIO(content.encode()), name), **{k: v for k, v in sent.items() if v}}
        answer = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data")
        assert answer.status_code == 202, answer.get_data(as_text=True)
        deliver_events()
        return answer.headers["Location"]

    return send


def rows_in(answer):
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))


def stored(unit):
    with unit() as uow:
        return collections.Counter(uow.session.scalars(sa.select(ImportRow.verdict)))


def test_a_rehearsal_tells_what_becomes_of_each_row(api, known, give):
    client = api("administrator")
    path = give(client)

    answer = client.get(f"{path}/verdicts")

    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="accounts-verdicts.csv"'
    rows = rows_in(answer)
    assert list(rows[0]) == ["Ref", "Name", "Mail", "Staff", "import_verdict", "import_error"]
    assert [row["Ref"] for row in rows] == ["A0", "A1", "A2", "A2", "A3", "A4", "A5", "A6"]
    assert [row["import_verdict"] for row in rows] == VERDICTS
    assert [row["Ref"] for row in rows if row["import_error"]] == ["A3", "A4"]
    assert rows[4]["Name"] == "'=Dent"
    assert "has no @" in rows[4]["import_error"]
    numbers = client.get(path).json
    assert {name: VERDICTS.count(name) for name in set(VERDICTS)} == {name: numbers[name] for name in set(VERDICTS)}


def test_the_import_does_what_the_verdicts_say_and_forgets_them(api, known, give, deliver_events, unit):
    client = api("administrator")
    path = give(client)
    assert stored(unit) == collections.Counter(VERDICTS)

    client.post(f"{path}/start")
    assert stored(unit) == {}
    assert client.get(f"{path}/verdicts").status_code == 404
    deliver_events()

    done = client.get(path).json
    assert {name: done[name] for name in set(VERDICTS)} == {name: VERDICTS.count(name) for name in set(VERDICTS)}
    assert stored(unit) == {"created": 2, "updated": 1, "refused": 1, "review": 1}
    assert client.get(f"{path}/verdicts").status_code == 404


def test_undoing_knows_nothing_of_the_rehearsal_before_it(api, known, give, deliver_events):
    client = api("administrator")
    path = give(client)
    client.post(f"{path}/start")
    deliver_events()

    client.post(f"{path}/undo")
    deliver_events()

    assert (client.get(path).json["state"], client.get(path).json["undo"]) == (
        "undone",
        {"deleted": 2, "restored": 1, "kept": 0},
    )


def test_the_file_of_verdicts_is_imported_as_it_is(api, known, give):
    client = api("administrator")
    told = client.get(f"{give(client)}/verdicts").get_data(as_text=True)
    plain = give(client, "kind,display_name\norganization,Zed\n", mapping=None)
    plainly = client.get(f"{plain}/verdicts").get_data(as_text=True)

    again = client.get(f"{give(client, told)}/verdicts")
    plainly_again = client.get(f"{give(client, plainly, mapping=None)}/verdicts")

    assert again.get_data(as_text=True) == told
    assert plainly_again.get_data(as_text=True) == plainly
    assert [row["import_verdict"] for row in rows_in(plainly_again)] == ["created"]


def test_the_file_of_verdicts_comes_from_the_page_of_a_checked_file(api, login, known, give, deliver_events):
    path, browser = give(api("administrator")), login("administrator")
    page = path.replace("/api/", "/")
    text = browser.get(page).get_data(as_text=True)

    assert "What becomes of each row, as a file" in text
    [link] = re.findall(r'href="([^"]*/verdicts)"', text)
    assert [row["import_verdict"] for row in rows_in(browser.get(link))] == VERDICTS
    shown = re.sub(r"<[^>]*>", " ", text)
    assert "cog@crm.test" not in shown  # rows that are taken are told in the file alone
    browser.post(f"{page}/start")
    deliver_events()
    assert "/verdicts" not in browser.get(page).get_data(as_text=True)


def test_values_that_are_left_out_are_told_with_the_verdict_of_their_row(api, give):
    cards = "".join(
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};Ada;;;\r\nFN:Ada {name}\r\nTEL:{phone}\r\nEND:VCARD\r\n"
        for name, phone in (("One", "+33142685300"), ("Two", "12"), ("Three", "+33142685301"))
    )
    client = api("administrator")
    path = give(client, cards, "people.vcf", mapping=None)

    answer = client.get(f"{path}/verdicts")

    assert answer.mimetype == "application/jsonl"
    rows = [orjson.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert [row["import_verdict"] for row in rows] == ["created"] * 3
    assert [bool(row["import_error"]) for row in rows] == [False, True, False]
    assert "TEL" in rows[1]["import_error"]


def test_each_line_of_a_record_has_the_verdict_of_the_record(api, give, customer_factory):
    customer_factory(kind="organization", display_name="Ada", external_ref="R1", source="x")
    mapping = """
match = ["source_plugin", "external_ref"]
group = ["No"]
[columns]
No = "external_ref"
When = "occurred_at"
Who = { field = "customer", lookup = { by = "external_ref" } }
Item = "lines.description"
Qty = "lines.quantity"
Price = "lines.unit_price"
[constants]
source_plugin = "shop"
channel = "store"
currency = "USD"
title = "Receipt"
"""
    lines = "1,2026-01-02,R1,Apple,1,2\n2,2026-01-02,R1,Pear,1,2\n2,2026-01-02,R1,Plum,one,2\n3,2026-01-02,R1,Fig,1,2\n"
    client = api("administrator")
    content = f"No,When,Who,Item,Qty,Price\n{lines}1,2026-01-02,R1,Nut,1,1\n"
    path = give(client, content, record_type="sale", mapping=mapping)

    rows = rows_in(client.get(f"{path}/verdicts"))

    assert [(row["Item"], row["import_verdict"], bool(row["import_error"])) for row in rows] == [
        ("Apple", "created", False),
        ("Nut", "created", False),
        ("Pear", "refused", False),
        ("Plum", "refused", True),
        ("Fig", "created", False),
    ]


def test_pages_of_the_ledger_follow_one_another(api, give, monkeypatch):
    monkeypatch.setattr("crm_kernel.records.importing.verdict_files._PAGE", 2)
    monkeypatch.setattr("crm_kernel.records.importing.error_files._PAGE", 2)
    client = api("administrator")
    content = "Ref,Name,Mail,Staff\n" + "".join(
        f"B{number},Firm {number},{'nobody' if number % 3 == 0 else ''},\n" for number in range(11)
    )

    rows = rows_in(client.get(f"{give(client, content, mapping=MAPPING.replace('review', 'new'))}/verdicts"))

    assert [row["Ref"] for row in rows] == [f"B{number}" for number in range(11)]
    assert [row["import_verdict"] == "refused" for row in rows] == [number % 3 == 0 for number in range(11)]


def test_what_was_not_checked_tells_no_verdicts(api, login, give):
    client = api("administrator")
    done = give(client, dry_run=None)
    browser = login("administrator")
    data = {"file": (io.BytesIO(FILE.encode()), "a.csv"), "record_type": "customer"}
    draft = browser.post("/imports", data=data, content_type="multipart/form-data").location.removesuffix("/mapping")

    assert client.get(f"{done}/verdicts").status_code == 404
    assert browser.get(f"{draft}/verdicts").status_code == 404


def test_nobody_reads_what_becomes_of_the_rows_of_others(api, login, known, give):
    path = give(api("administrator"))
    page = path.replace("/api/", "/")
    stranger, reader = login("representative"), login(grants={"import.read": "all", "customer.read": "all"})

    answers = [client.get(f"{where}/verdicts") for client in (stranger, reader) for where in (path, page)]

    assert [answer.status_code for answer in answers] == [404, 404, 403, 403]
    assert not any("Bolt" in answer.get_data(as_text=True) for answer in answers)


def test_a_rehearsal_that_was_stopped_tells_of_the_rows_it_reached(crm_app, api, known, give, unit, monkeypatch):
    """A failure ends the rehearsal after two chunks; the draft is whole again, and the import begins with its first row."""
    client = api("administrator")
    process = SourceRun.process
    seen = SimpleNamespace(chunks=0)

    def fail(self, uow, rows):
        seen.chunks += 1
        if seen.chunks == 3:
            raise Conflict("the disk is full")
        return process(self, uow, rows)

    monkeypatch.setattr(SourceRun, "process", fail)
    path = give(client)

    assert client.get(path).json["state"] == "draft"
    assert "the disk is full" in client.get(path).json["failure"]
    assert [row["import_verdict"] for row in rows_in(client.get(f"{path}/verdicts"))] == VERDICTS[:4]
    assert client.post(f"{path}/start").json["state"] == "running"
    with unit() as uow:
        assert runs.place_of(runs.run_of(uow, UUID(path.rpartition("/")[2]))) == session.Place(0, 0)
    assert stored(unit) == {}


def test_a_dry_run_of_a_folder_tells_of_each_row_in_the_order_of_the_file(write, run, accounts, known, monkeypatch):
    monkeypatch.setattr(session, "CHUNK", 3)
    write("accounts.csv", "Ref,Name,Employees\nA0,Old,4\nA1,Acme,2\nA2,Bolt,7\nA2,Bolt,7\nA3,,1\n")
    told = []

    result = run(accounts, mode=Mode.DRY_RUN, tell=lambda *row: told.append(row))

    assert [(file, row, verdict.value) for file, row, verdict, _wrong in told] == [
        ("accounts.csv", 2, "unchanged"),
        ("accounts.csv", 3, "updated"),
        ("accounts.csv", 4, "created"),
        ("accounts.csv", 5, "skipped"),
        ("accounts.csv", 6, "refused"),
    ]
    assert [len(wrong) for *_row, wrong in told] == [0, 0, 0, 0, 1]
    assert {verdict: result.total(verdict) for verdict in Verdict} == {
        verdict: sum(one == verdict for _file, _row, one, _wrong in told) for verdict in Verdict
    }
