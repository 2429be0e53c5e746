"""What the page of a file's columns offers, understands and keeps: lists of cards and JSON lines, tabs, richer mappings."""

from __future__ import annotations

import io
import json
import re

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.records.importing.models import ImportMapping, ImportRun

FILE = "Ref;Raison sociale;Mail\nA1;Acme;sales@acme.com\n"
CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada Lovelace\nN:Lovelace;Ada;;;\nEMAIL:ada@example.com\nTEL:12\nEND:VCARD\n"
ANSWERS = {
    "column-0": "external_ref",
    "column-1": "display_name",
    "column-2": "contact_points.email",
    "constant-kind": "organization",
    "constant-source": "old-crm",
    "match": "key",
    "mode": "upsert",
}
RICH = """
group = ["Ref"]
needs = ["Name"]
dates = "%Y.%m.%d"
match = ["contact_points.email", "source"]
[columns]
Ref = "external_ref"
Name = [{ field = "display_name", transform = ["upper"] }, "legal_name"]
State = { field = "status", values = { A = "active", X = "inactive" }, differing = "first" }
Rep = { field = "owner", lookup = { by = "email", missing = "null" } }
Mail = "contact_points.email"
Later = { field = "notes", optional = true }
[constants]
kind = "organization"
source = "s"
stage = "customer"
[texts]
industry = "{State} of {Name}"
"""
ROWS = "Ref,Name,State,Rep,Mail\n1,acme,A,,a@acme.com\n"


@pytest.fixture
def upload():
    """Upload a file as somebody and return the path of its page."""

    def send(browser, content=FILE, name="accounts.csv", kind="customer"):
        data = {"file": (io.BytesIO(content.encode()), name), "record_type": kind}
        answer = browser.post("/imports", data=data, content_type="multipart/form-data")
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return answer.location

    return send


def send(client, content, **parts):
    data = {"file": (io.BytesIO(content.encode()), "x.csv"), "record_type": "customer", **parts}
    answer = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data")
    assert answer.status_code == 202, answer.get_data(as_text=True)
    return answer.json["id"]


def text_of(browser, path):
    return browser.get(path).get_data(as_text=True)


def proposed(page):
    """Return what the form of a page sends if nothing is changed."""
    form = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', page.partition('<form method="post"')[2]))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        values = re.findall(r'<option value="([^"]*)" selected', options) or re.findall(
            r'<option value="([^"]*)"', options
        )
        form[name] = values[0] if values else ""
    return form


def names(unit):
    with unit() as uow:
        return list(uow.session.scalars(sa.select(Customer.display_name).order_by(Customer.id)))


def points(unit):
    with unit() as uow:
        return list(uow.session.scalars(sa.select(ContactPoint.value).order_by(ContactPoint.id)))


def meaning(unit):
    """Return the source of the one run, as it is stored, without its columns; and these by name and field."""
    with unit() as uow:
        [source] = uow.session.scalars(sa.select(ImportRun)).one().mapping["sources"]
    return source, {(column["name"], column["field"]): column for column in source["columns"]}


@pytest.mark.parametrize("asked", ["separator=ab", "encoding=hex", "encoding=a%00b"])
def test_what_a_file_cannot_be_read_with_is_said_on_its_page(login, upload, asked):
    browser = login("administrator")
    page = upload(browser)

    answer = browser.get(f"{page}?{asked}")

    assert answer.status_code == 303
    assert "The file cannot be read" in text_of(browser, answer.location)


@pytest.mark.parametrize("separator", ["tab", "%09"])
def test_a_tab_is_said_in_the_form_and_kept_with_the_answers(login, upload, deliver_events, unit, separator):
    browser = login("administrator")
    page = upload(browser, "Ref\tRaison; sociale\nA1\tAcme\n")

    asked = text_of(browser, f"{page}?separator={separator}")
    browser.post(page, data={**ANSWERS, "column-2": "", "separator": proposed(asked)["separator"]})
    deliver_events()
    browser.post(page.replace("/mapping", "/start"))
    deliver_events()

    assert "Raison; sociale" in asked
    assert names(unit) == ["Acme"]


def test_cards_are_checked_without_being_asked_about_and_imported(login, upload, deliver_events, unit):
    browser = login("administrator")

    page = upload(browser, CARD, "a.vcf")
    deliver_events()
    checked = text_of(browser, page)
    browser.post(f"{page}/start")
    deliver_events()

    assert "/mapping" not in page
    assert "Nothing is changed yet" in checked
    assert (names(unit), points(unit)) == (["Ada Lovelace"], ["ada@example.com"])


def test_the_page_of_cards_proposes_what_imports_them_whole(login, upload, deliver_events, unit):
    browser = login("administrator")
    page = upload(browser, CARD, "a.vcf")
    deliver_events()

    form = proposed(text_of(browser, f"{page}/mapping"))
    browser.post(f"{page}/mapping", data=form)
    deliver_events()
    browser.post(f"{page}/start")
    deliver_events()

    assert "contact_points" in form.values()
    assert (names(unit), points(unit)) == (["Ada Lovelace"], ["ada@example.com"])


def test_cards_that_are_broken_or_of_other_records_are_told_of_on_their_page(login, upload, unit):
    browser = login("administrator")

    none, teams = upload(browser, "hello", "a.vcf"), upload(browser, CARD, "b.vcf", "team")

    assert "holds no vCard" in text_of(browser, browser.get(none).location)
    assert browser.get(teams).status_code == 200


def test_the_page_proposes_and_offers_the_whole_collection_for_a_column_of_lists(login, upload, deliver_events, unit):
    browser = login("administrator")
    line = {"kind": "organization", "Name": "Acme", "contact_points": [{"channel": "email", "value": "a@b.fr"}]}
    page = upload(browser, json.dumps(line) + "\n", "a.jsonl")

    asked = text_of(browser, page)
    browser.post(page, data=proposed(asked))
    deliver_events()
    browser.post(page.replace("/mapping", "/start"))
    deliver_events()

    assert '<option value="contact_points" selected>' in asked
    assert asked.count('<option value="contact_points.email"') == 3  # of the other two columns, and to match by
    assert "&#34;value&#34;:&#34;a@b.fr&#34;" in asked
    assert (names(unit), points(unit)) == (["Acme"], ["a@b.fr"])


def _is_kept(source, columns):
    assert columns["Name", "display_name"]["transform"] == ["upper"]
    assert ("Name", "legal_name") in columns
    assert columns["State", "status"]["values"] == {"A": "active", "X": "inactive"}
    assert columns["State", "status"]["differing"] == "first"
    assert (columns["Rep", "owner"]["lookup"]["by"], columns["Rep", "owner"]["lookup"]["missing"]) == ("email", "null")
    assert columns["Later", "notes"]["optional"]
    assert source["constants"] == {"kind": "organization", "source": "s", "stage": "customer"}
    assert (source["group"], source["needs"], source["dates"]) == (["Ref"], ["Name"], "%Y.%m.%d")
    assert source["match"] == ["contact_points.email", "source"]
    assert source["texts"] == {"industry": "{State} of {Name}"}


def test_a_kept_mapping_that_is_chosen_on_the_page_loses_nothing(login, api, upload, deliver_events, unit):
    send(api("administrator"), ROWS, mapping=RICH, save_as="rich", share="true", dry_run="true")
    deliver_events()
    with unit() as uow:
        kept = uow.session.scalar(sa.select(ImportMapping.uid))
        uow.session.execute(sa.delete(ImportRun))
    browser = login("administrator")
    page = upload(browser, ROWS)

    asked = text_of(browser, f"{page}?saved={kept}")
    answer = browser.post(page, data=proposed(asked) | {"save_as": "again"})

    assert answer.status_code == 303, answer.get_data(as_text=True)
    assert (
        "The mapping says more than this page asks. It is kept: Later: optional; Name: transform, 2; Rep: lookup; State: differing,"
        in asked
    )
    _is_kept(*meaning(unit))
    with unit() as uow:
        again = uow.session.scalar(sa.select(ImportMapping.source).where(ImportMapping.name == "again"))
        assert (again["needs"], again["columns"]["Rep"]["lookup"]["by"]) == (["Name"], "email")


def test_a_draft_of_the_api_that_is_opened_on_the_page_loses_nothing(login, api, deliver_events, unit):
    uid = send(api("administrator"), ROWS, mapping=RICH, dry_run="true")
    deliver_events()
    browser, page = login("administrator"), f"/imports/{uid}/mapping"

    answer = browser.post(page, data=proposed(text_of(browser, page)))

    assert answer.status_code == 303, answer.get_data(as_text=True)
    _is_kept(*meaning(unit))


def test_what_the_page_is_answered_otherwise_counts(login, api, deliver_events, unit):
    uid = send(api("administrator"), ROWS, mapping=RICH, dry_run="true")
    deliver_events()
    browser, page = login("administrator"), f"/imports/{uid}/mapping"
    form = proposed(text_of(browser, page))

    changed = {"column-1": "notes", "column-2": "", "column-3": "region", "constant-source": "t", "match": "key"}
    browser.post(page, data=form | changed | {"dates": ""})

    source, columns = meaning(unit)
    assert sorted(columns) == [
        ("Later", "notes"), ("Mail", "contact_points.email"), ("Name", "legal_name"), ("Name", "notes"),
        ("Ref", "external_ref"), ("Rep", "region"),
    ]  # fmt: skip
    assert columns["Name", "notes"]["transform"] == []
    assert columns["Rep", "region"]["lookup"] is None
    assert (source["match"], source["dates"]) == (["source", "external_ref"], None)
    assert source["constants"]["source"] == "t"


def test_a_draft_whose_columns_are_fields_is_proposed_as_such_with_what_else_it_says(login, api, deliver_events, unit):
    rows = "kind,display_name\norganization,Acme\n"
    uid = send(api("administrator"), rows, mapping='duplicates = "review"\nmode = "create"\n', dry_run="true")
    deliver_events()

    form = proposed(text_of(login("administrator"), f"/imports/{uid}/mapping"))

    assert (form["column-0"], form["column-1"]) == ("kind", "display_name")
    assert (form["duplicates"], form["mode"]) == ("review", "create")
