"""Two verticals add fields to one customer, and every channel reads and writes both: API, page, form, file, audit."""

from __future__ import annotations

import csv
import io

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.exporting import begin_export
from crm_kernel.records.importing import import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import record_type

CARD = {
    "number": "C-1",
    "tier": "gold",
    "joined_on": "2026-02-03",
    "budget": "120.5000",
    "currency": "EUR",
    "newsletter": False,
    "points": 40,
}


def test_both_extensions_are_objects_of_one_answer(admin, add, product):
    where = add("Acme", toybank={"iban": "FR76", "risk": 3}, toyshop={**CARD, "favourite": product})

    found = admin.get(where).json["extensions"]

    favourite = {"id": product, "title": "Tea pot"}
    assert found == {"toybank": {"iban": "FR76", "risk": 3}, "toyshop": {**CARD, "favourite": favourite}}


def test_a_change_of_one_leaves_the_other_and_raises_the_version_once(admin, add):
    where = add("Acme", toybank={"risk": 3}, toyshop=CARD)

    answer = admin.patch(where, {"extensions": {"toyshop": {"points": 41, "tier": None}}})

    assert answer.status_code == 200, answer.text
    assert (answer.json["version"], answer.json["extensions"]["toybank"]["risk"]) == (2, 3)
    assert (answer.json["extensions"]["toyshop"]["points"], answer.json["extensions"]["toyshop"]["tier"]) == (41, None)


@pytest.mark.parametrize(
    ("extensions", "field"),
    [
        ({"toyshop": {"points": -1}},                                        "extensions.toyshop.points"),
        ({"toyshop": {"tier": "tin"}},                                       "extensions.toyshop.tier"),
        ({"toyshop": {"favourite": "01890a5d-ac96-774b-bcce-b302099a8057"}}, "extensions.toyshop.favourite"),
        ({"toyshop": {"risk": 1}},                                           "extensions.toyshop.risk"),
        ({"toyzoo": {"cage": 1}},                                            "extensions.toyzoo"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place_and_nothing_is_written(admin, add, extensions, field):
    where = add("Acme", toybank={"risk": 3})

    answer = admin.patch(where, {"display_name": "Bolt", "extensions": {"toybank": {"risk": 4}, **extensions}})

    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert (admin.get(where).json["display_name"], admin.get(where).json["version"]) == ("Acme", 1)


def test_page_and_form_show_both_and_a_saved_form_keeps_them(admin, add, login):
    browser = login("administrator")
    where = add("Acme", toybank={"iban": "FR76", "risk": 3}, toyshop=CARD).removeprefix("/api")

    page, form = browser.get(where).text, browser.get(f"{where}/edit").text
    sent = {"version": "1", "kind": "organization", "display_name": "Acme Ltd", "extensions.toyshop.points": "50"}
    saved = browser.post(f"{where}/edit", data=sent)

    assert all(text in page for text in ("Banking", "FR76", "Loyalty", "Gold", "Card C-1: 40 points"))
    assert all(f'name="extensions.{name}"' in form for name in ("toybank.iban", "toyshop.tier", "toyshop.favourite"))
    assert saved.status_code in (302, 303), saved.text
    found = admin.get(f"/api{where}").json
    assert (found["display_name"], found["extensions"]["toyshop"]["points"]) == ("Acme Ltd", 50)
    assert found["extensions"]["toybank"] == {"iban": "FR76", "risk": 3}


def test_the_document_of_the_api_describes_both(admin):
    schemas = admin.get("/api/openapi.json").json["components"]["schemas"]

    assert schemas["CustomerExtensionsRead"]["properties"].keys() == {"toybank", "toyshop"}
    assert {"tier", "favourite"} <= schemas["CustomerToyshopRead"]["properties"].keys()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_both_leave_in_a_file_and_come_back_from_it(admin, add, product, crm_app, tmp_path, form):
    where = add("Acme", toybank={"iban": "FR76", "risk": 3}, toyshop={**CARD, "favourite": product})
    before = admin.get(where).json["extensions"]
    with crm_app.app_context():
        export = begin_export(SYSTEM, record_type("customer"), (), channel="cli")
    path = tmp_path / f"customers.{form}"
    path.write_text("".join(export.csv() if form == "csv" else export.jsonl()), encoding="utf-8", newline="")
    taken = {"toybank": {"iban": None, "risk": None}, "toyshop": dict.fromkeys((*CARD, "favourite"))}
    admin.patch(where, {"extensions": taken})

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert (result.refused, result.failure) == (0, None), result.to_json()
    assert admin.get(where).json["extensions"] == before


def test_a_csv_names_the_columns_by_extension(crm_app, add):
    add("Acme", toybank={"risk": 3}, toyshop=CARD)

    with crm_app.app_context():
        export = begin_export(SYSTEM, record_type("customer"), [("fields", "extensions")], channel="cli")
    header, row = list(csv.reader(io.StringIO("".join(export.csv()))))

    found = dict(zip(header, row, strict=True))
    assert (found["toybank.risk"], found["toyshop.tier"], found["toyshop.budget"]) == ("3", "gold", "120.5000")


def test_the_audit_log_tells_what_changed_in_whose_field(admin, add, unit):
    from crm_kernel.access.models import AuditPayload

    where = add("Acme", toybank={"risk": 3}, toyshop={"points": 1})
    admin.patch(where, {"extensions": {"toyshop": {"points": 2}}})

    with unit() as uow:
        told = [(row.before, row.after) for row in uow.session.scalars(sa.select(AuditPayload))]
    assert ({"extensions.toyshop.points": 1}, {"extensions.toyshop.points": 2}) in told


def test_a_change_of_an_extension_alone_is_told_to_subscribers(admin, add, unit):
    from crm_kernel.events.models import StoredEvent

    where = add("Acme", toyshop={"points": 1})
    admin.patch(where, {"extensions": {"toybank": {"risk": 4}, "toyshop": {"points": 1, "tier": "gold"}}})

    with unit() as uow:
        wanted = sa.select(StoredEvent.payload).where(StoredEvent.name == "kernel.customer_updated")
        told = [payload["changed"] for payload in uow.session.scalars(wanted)]
    assert told == ["extensions.toybank.risk,extensions.toyshop.tier"]


def test_deleting_the_customer_deletes_what_both_know_of_him(admin, add, unit):
    where = add("Acme", toybank={"risk": 3}, toyshop=CARD)

    answer = admin.delete(where)

    assert answer.status_code == 204, answer.text
    with unit() as uow:
        for table in ("toybank_profile", "toyshop_card"):
            assert uow.session.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one() == 0
