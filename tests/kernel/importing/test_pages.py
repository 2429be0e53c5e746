"""The pages of imports: a file is uploaded, given a meaning, rehearsed, imported and taken back."""

from __future__ import annotations

import csv
import io
import re

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.records.importing.models import ImportRow, ImportRun

FILE = "Ref;Raison sociale;Mail\nA1;Acme;sales@acme.com\nA2;=Bolt;nobody\n"
SALES = {"channel": "email", "value": "sales@acme.com"}
ANSWERS = {
    "column-0": "external_ref",
    "column-1": "display_name",
    "column-2": "contact_points.email",
    "constant-kind": "organization",
    "constant-source": "old-crm",
    "match": "key",
    "mode": "upsert",
}


@pytest.fixture
def upload():
    """Upload a file as somebody and return the path of its pages."""

    def send(browser, content=FILE, name="accounts.csv", kind="customer"):
        data = {"file": (io.BytesIO(content.encode()), name), "record_type": kind}
        answer = browser.post("/imports", data=data, content_type="multipart/form-data")
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return answer.location.removesuffix("/mapping")

    return send


def names(unit):
    with unit() as uow:
        return list(uow.session.scalars(sa.select(Customer.display_name).order_by(Customer.id)))


def text_of(browser, path):
    return browser.get(path).get_data(as_text=True)


def test_a_file_becomes_records_after_it_was_rehearsed_and_can_be_taken_back(login, upload, deliver_events, unit):
    browser = login("administrator")
    page = upload(browser)
    asked = text_of(browser, f"{page}/mapping")
    assert re.search(r'<option value="contact_points.email" selected>', asked)
    assert "sales@acme.com" in asked

    browser.post(f"{page}/mapping", data=ANSWERS)
    deliver_events()
    rehearsed = text_of(browser, page)
    assert "Nothing is changed yet" in rehearsed
    assert "has no @" in rehearsed
    assert names(unit) == []

    browser.post(f"{page}/start")
    deliver_events()
    assert names(unit) == ["Acme"]
    assert "Undo this import" in text_of(browser, page)

    browser.post(f"{page}/undo")
    deliver_events()
    assert names(unit) == []
    assert "1 deleted" in text_of(browser, page)


def test_the_refused_rows_come_as_a_file_that_is_imported_again_once_it_is_mended(login, upload, deliver_events, unit):
    browser = login("administrator")
    page = upload(browser)
    browser.post(f"{page}/mapping", data=ANSWERS)
    deliver_events()

    got = browser.get(f"{page}/errors")

    text = got.get_data(as_text=True)
    [header, row] = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert got.headers["Content-Disposition"] == 'attachment; filename="accounts-errors.csv"'
    assert header == ["Ref", "Raison sociale", "Mail", "import_error"]
    assert row[:3] == ["A2", "'=Bolt", "nobody"]
    assert "has no @" in row[3]
    mended = upload(browser, text.replace(",nobody,", ",bolt@example.org,"))
    browser.post(f"{mended}/mapping", data=ANSWERS)
    deliver_events()
    browser.post(f"{mended}/start")
    deliver_events()
    assert names(unit) == ["=Bolt"]


def test_what_the_page_was_answered_is_there_when_it_is_asked_again(login, upload, deliver_events):
    browser = login("administrator")
    page = upload(browser)
    said = {"column-0": "", "duplicates": "review", "decimal": ",", "mode": "create", "separator": ";"}
    browser.post(f"{page}/mapping", data={**ANSWERS, "match": "none", **said})
    deliver_events()

    asked = text_of(browser, f"{page}/mapping")

    for value in ("contact_points.email", "organization", "none", "review", ",", "create"):
        assert f'<option value="{value}" selected>' in asked
    assert asked.count('<option value="external_ref" selected>') == 0
    assert 'value="old-crm"' in asked
    assert '<input type="hidden" name="separator" value=";">' in asked


def test_answers_about_other_columns_give_way_to_new_suggestions(login, upload, deliver_events):
    browser = login("administrator")
    page = upload(browser, "Ref;Raison sociale;Mail,Ville\nA1;Acme;sales@acme.com,Rome\n")
    browser.post(f"{page}/mapping", data={**ANSWERS, "mode": "create", "column-2": "notes", "separator": ";"})
    deliver_events()

    same = text_of(browser, f"{page}/mapping")
    other = text_of(browser, f"{page}/mapping?separator=,")

    assert '<option value="notes" selected>' in same
    assert '<option value="create" selected>' in same
    assert "Ville" in re.findall(r'<th scope="row" class="crm-col-main">([^<]*)</th>', other)
    assert '<option value="addresses.city" selected>' in other
    assert '<option value="create" selected>' not in other


def test_rows_that_are_held_back_are_told_apart_from_refused_ones(login, upload, deliver_events, customer_factory):
    known = customer_factory(kind="organization", display_name="Acme", contact_points=[SALES])
    browser = login("administrator")
    page = upload(browser)

    browser.post(f"{page}/mapping", data={**ANSWERS, "match": "none", "duplicates": "review", "column-0": ""})
    deliver_events()

    told = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text_of(browser, page)))
    assert re.search(r"2 To be looked at May be Acme.*3 Refused", told), told
    assert str(known.uid) in told
    assert "Refused rows" not in told
    assert "Acme,sales@acme.com" in text_of(browser, f"{page}/errors")


def test_a_mapping_is_kept_and_shared(login, upload):
    browser, other = login("administrator"), login("manager")
    browser.post(f"{upload(browser)}/mapping", data={**ANSWERS, "save_as": "Old CRM", "share": "1"})
    page = upload(other)

    [kept] = re.findall(r'<option value="([0-9a-f-]{36})"[^>]*>Old CRM', text_of(other, f"{page}/mapping"))

    assert 'value="old-crm"' in text_of(other, f"{page}/mapping?saved={kept}")


def test_a_meaning_that_does_not_fit_is_asked_again_with_the_reason(login, upload):
    browser = login("administrator")
    page = upload(browser)

    answer = browser.post(f"{page}/mapping", data={**ANSWERS, "column-1": "nonsense"})

    assert answer.status_code == 422
    assert "nonsense" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.exe", "x", "unknown kind of file"),
        ("a.csv", "", "The file is empty."),
        ("../../a.csv", "", "The file is empty."),
    ],
)
def test_a_file_that_is_none_is_refused(login, name, content, message):
    browser = login("administrator")

    data = {"file": (io.BytesIO(content.encode()), name), "record_type": "customer"}
    answer = browser.post("/imports", data=data, content_type="multipart/form-data", follow_redirects=True)

    assert message in answer.get_data(as_text=True)


def test_a_broken_file_is_told_on_its_page(login, upload):
    browser = login("administrator")
    page = upload(browser, "a,b\n1\n")

    answer = browser.get(f"{page}/mapping", follow_redirects=True)

    assert "found 1 cells, expected 2" in answer.get_data(as_text=True)


def test_the_page_of_a_draft_whose_file_cannot_be_read_says_why_and_what_to_do_whenever_it_is_looked_at(login, upload):
    browser = login("administrator")
    page = upload(browser, "a,b\n1;2,3,4\n")

    for _time in range(2):
        shown = text_of(browser, page)
        assert "found 3 cells, expected 2" in shown
        assert "Say how it is to be read, or mend the file and upload it again." in shown
        assert 'href="/imports?type=customer"' in shown
        assert "Change what the columns hold" not in shown
    again = browser.get(f"{page}/mapping?separator=;&encoding=utf-9")

    assert again.status_code == 303
    shown = text_of(browser, again.location)
    assert "utf-9" in shown
    assert 'name="separator" value=";"' in shown


def test_a_draft_becomes_readable_once_it_is_said_how(login, upload):
    browser = login("administrator")
    page = upload(browser, "a,x;b\n1;2\n")
    assert "cannot be read" in text_of(browser, f"{page}?separator=,")

    asked = browser.get(f"{page}/mapping?separator=;")

    assert asked.status_code == 200
    assert "cannot be read" not in text_of(browser, page)


def test_a_workbook_that_is_none_is_to_be_mended(login, upload):
    browser = login("administrator")
    page = upload(browser, "no workbook", name="a.xlsx")

    shown = text_of(browser, page)

    assert "Mend the file and upload it again." in shown
    assert 'name="separator"' not in shown


def test_nobody_sees_or_undoes_the_imports_of_others(login, upload, deliver_events, unit):
    owner, other = login("manager"), login("representative")
    page = upload(owner)
    owner.post(f"{page}/mapping", data=ANSWERS)
    deliver_events()

    answers = [other.get(page), other.get(f"{page}/errors"), other.post(f"{page}/start"), other.post(f"{page}/undo")]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
    assert "accounts.csv" not in text_of(other, "/imports")


def test_who_may_not_create_records_uploads_none(login, unit):
    browser = login("reader")

    data = {"file": (io.BytesIO(FILE.encode()), "a.csv"), "record_type": "customer"}
    answer = browser.post("/imports", data=data, content_type="multipart/form-data")

    assert answer.status_code == 403
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count(ImportRun.id))) == 0


def test_rows_and_files_expire_and_the_run_stays(login, upload, deliver_events, unit, crm_app):
    import datetime as dt
    from pathlib import Path

    from crm_kernel.records.importing.jobs import expire

    browser = login("administrator")
    page = upload(browser)
    browser.post(f"{page}/mapping", data=ANSWERS)
    deliver_events()
    with unit() as uow:
        [run] = uow.session.scalars(sa.select(ImportRun))
        folder = Path(run.folder)
        assert folder.is_dir()
        uow.now += dt.timedelta(days=31)
        assert expire(uow, {}) is not None
        assert expire(uow, {}) is None

    assert not folder.exists()
    with unit() as uow:
        [run] = uow.session.scalars(sa.select(ImportRun))
        assert (run.expired_rows, uow.session.scalar(sa.select(sa.func.count(ImportRow.id)))) == (2, 0)


@pytest.mark.parametrize(
    ("grants", "offered"),
    [
        ({"customer.read": "all"}, False),
        ({"customer.create": "all"}, True),
        ({"product.read": "all", "product.update": "all"}, True),
    ],
)
def test_whoever_may_import_anything_finds_the_page(login, grants, offered):
    assert ('href="/imports"' in login(grants=grants).get("/profile").text) is offered
