"""Exports: what is written can be imported again, no spreadsheet runs it, and only what may be seen leaves."""

from __future__ import annotations

import csv
import io
import re

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import Customer
from crm_kernel.customers.schemas import CustomerSchema
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records import exporting
from crm_kernel.records.exporting import begin_export, csv_text
from crm_kernel.records.importing import Mode, Verdict, import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.importing.sources import open_source
from crm_kernel.records.importing.spreadsheets import neutralised, restored
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record

#: The first sign that counts for a spreadsheet, quotes and spaces before it left out.
FORMULA = re.compile(r"[\"\s\u00a0\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


@pytest.fixture
def exported(crm_app):
    """Export a type as text: ``exported("customer", ("sort", "display_name"), form="jsonl")``."""

    def export(name, *arguments, form="csv", actor=SYSTEM):
        with crm_app.app_context():
            found = begin_export(actor, record_type(name), arguments, channel="cli")
        return "".join(found.csv() if form == "csv" else found.jsonl())

    return export


@pytest.fixture
def customers(unit):
    """Three customers with everything an export may trip over."""
    payloads = [
        {
            "kind": "person",
            "given_name": "Ada",
            "family_name": "=HYPERLINK(0)",
            "birth_date": "1915-12-10",
            "source": "s",
            "external_ref": "1",
            "notes": "first line\n- second; \"quoted\", line",
            "contact_points": [{"channel": "email", "value": "ada@example.org"}, {"channel": "phone", "value": "+33 1 42 68 53 00"}],
            "addresses": [{"purpose": "home", "street": "1 rue de Rivoli\nBât. B", "city": "Paris", "country_code": "FR"}],
        },
        {"kind": "organization", "display_name": "＋Plus", "annual_revenue": "0.5", "revenue_currency": "EUR", "employees": 7, "source": "s", "external_ref": "2"},
        {"kind": "household", "display_name": "'=quoted", "source": "s", "external_ref": "@1"},
    ]  # fmt: skip
    with unit() as uow:
        return [create_record(uow, record_type("customer"), payload).id for payload in payloads]


def test_an_exported_file_imported_again_changes_nothing(crm_app, exported, customers, write):
    path = write("customers.csv", exported("customer"))

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert (result.total(Verdict.UNCHANGED), result.refused, result.failure) == (3, 0, None), result.to_json()


def test_exported_json_lines_imported_again_change_nothing(crm_app, exported, customers, write):
    path = write("customers.jsonl", exported("customer", form="jsonl"))

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert (result.total(Verdict.UNCHANGED), result.refused) == (3, 0), result.to_json()


def test_an_export_is_imported_into_an_empty_base_to_the_same_data(crm_app, exported, customers, write, unit):
    names = [name for name in CustomerSchema._declared_fields if name not in ("primary_email", "primary_phone", "city")]
    asked = (("fields", ",".join(names)), ("sort", "created_at"))
    before = [row[1:] for row in csv.reader(io.StringIO(exported("customer", *asked)))]
    buffer = io.StringIO()
    csv.writer(buffer).writerows(before)
    path = write("customers.csv", buffer.getvalue())
    with unit() as uow:
        uow.session.execute(sa.delete(Customer))

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert (result.total(Verdict.CREATED), result.refused, result.failure) == (3, 0, None), result.to_json()
    assert [row[1:] for row in csv.reader(io.StringIO(exported("customer", *asked)))] == before


def test_no_cell_of_an_export_is_a_formula(exported, customers):
    cells = [cell for row in csv.reader(io.StringIO(exported("customer"))) for cell in row]

    assert [cell for cell in cells if FORMULA.match(cell) and not re.fullmatch(r"-?\d+(\.\d+)?", cell)] == []
    assert "'=HYPERLINK(0)" in cells
    assert "0.5000" in cells


signs = st.sampled_from("=+-@\t\r\n'\" ＝＋－＠;,|a1é")


@settings(max_examples=500, deadline=None)
@given(st.text(signs, max_size=8) | st.text(max_size=20))
def test_a_neutralised_text_is_no_formula_and_comes_back(text):
    safe = neutralised(text)

    assert not FORMULA.match(safe)
    assert restored(safe) == text
    assert restored(text) == text or text.startswith("'")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10) | st.text(signs, max_size=5),
            min_size=2,
            max_size=2,
        ),
        max_size=5,
    )
)
def test_any_text_written_as_csv_is_read_back_as_it_was(tmp_path, rows):
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "a", "b"])
        writer.writerows([str(number), *map(csv_text, row)] for number, row in enumerate(rows))

    found = [list(row.values.values())[1:] for row in open_source(path, encoding="utf-8", separator=",").rows()]

    assert found == rows


def test_an_export_reads_in_batches_and_keeps_the_order_and_the_filters(exported, unit, monkeypatch):
    monkeypatch.setattr(exporting, "BATCH", 2)
    with unit() as uow:
        for name in ("Delta", "Alpha", "Charlie", "Bravo", "Echo"):
            payload = {
                "kind": "organization",
                "display_name": name,
                "status": "inactive" if name == "Echo" else "active",
            }
            create_record(uow, record_type("customer"), payload)

    text = exported("customer", ("sort", "-sort_name"), ("status", "active"), ("fields", "display_name"))

    assert [row[1] for row in csv.reader(io.StringIO(text))] == ["display_name", "Delta", "Charlie", "Bravo", "Alpha"]


def test_an_export_holds_what_the_actor_may_see_and_is_noted(exported, unit):
    from crm_kernel.access.services import create_user

    with unit() as uow:
        user = create_user(uow, email="rep@example.com", name="Rep")
        key = user.id
        create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Theirs"})
    grants = {"customer.read": Scope.OWN, "customer.create": Scope.OWN, "customer.export": Scope.OWN}
    rep = Actor(kind="user", name="Rep", user_id=key, grants=grants)
    with unit(rep) as uow:
        create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Mine"})

    text = exported("customer", ("fields", "display_name"), ("status", "active"), actor=rep)

    assert [row[1] for row in csv.reader(io.StringIO(text))] == ["display_name", "Mine"]
    with unit() as uow:
        noted = uow.session.execute(
            sa.select(AuditLog.actor, AuditLog.record_type).where(AuditLog.action == "exported")
        )
        assert [tuple(row) for row in noted] == [("Rep", "customer")]


def test_an_actor_without_the_permission_to_export_is_refused(exported):
    reader = Actor(kind="user", name="Reader", grants={"customer.read": Scope.ALL})

    with pytest.raises(Forbidden, match=r"customer\.export"):
        exported("customer", actor=reader)


def test_an_unknown_filter_is_refused(exported):
    with pytest.raises(InvalidInput, match="shoe_size"):
        exported("customer", ("shoe_size", "7"))


def test_a_list_page_is_downloaded_as_csv(login, customers):
    answer = login("administrator").get("/customers/export.csv?status=active")

    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert answer.data.startswith(b"\xef\xbb\xbfid,")
    assert len(list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))) == 4


@pytest.mark.crm_plugins("toybank")
def test_extensions_are_exported_and_imported_as_columns(toybank, crm_app, exported, write, unit):
    with unit() as uow:
        payload = {"kind": "organization", "display_name": "Acme", "extensions": {"toybank": {"risk": 3}}}
        create_record(uow, record_type("customer"), payload)
        create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Bolt"})
    text = exported("customer", ("sort", "sort_name"), ("fields", "display_name,extensions"))

    [header, acme, bolt] = list(csv.reader(io.StringIO(text)))
    assert header == ["id", "display_name", "toybank.iban", "toybank.risk"]
    assert (acme[1:], bolt[1:]) == (["Acme", "", "3"], ["Bolt", "", ""])
    changed = f"id,toybank.risk\n{acme[0]},9\n{bolt[0]},1\n,2\n"
    path = write("risks.csv", changed)
    with crm_app.app_context():
        rehearsed = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM, mode=Mode.DRY_RUN)
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)
        again = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert rehearsed.sources[0].verdicts == result.sources[0].verdicts
    assert (result.total(Verdict.UPDATED), result.refused) == (2, 1), result.to_json()
    assert again.total(Verdict.UNCHANGED) == 2
    rows = list(csv.reader(io.StringIO(exported("customer", ("sort", "sort_name"), ("fields", "extensions")))))
    assert [row[2] for row in rows[1:]] == ["9", "1"]
    with unit() as uow:
        versions = uow.session.execute(sa.text("SELECT version FROM customer ORDER BY id")).scalars().all()
        assert versions == [2, 2]
