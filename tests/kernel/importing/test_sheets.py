"""Excel workbooks in and out: typed cells, leading zeros, several sheets, formulas, and files that are none."""

from __future__ import annotations

import datetime as dt
import io
import zipfile

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import sheets
from crm_kernel.records.importing.sources import open_source
from crm_kernel.records.plan import record_type

HEADER = ["Ref", "Name", "Employees", "Revenue", "Born"]
COLUMNS = {
    "Ref": "external_ref",
    "Name": "display_name",
    "Employees": "employees",
    "Revenue": "annual_revenue",
    "Born": {"field": "notes"},
}


@pytest.fixture
def workbook(tmp_path):
    """Write a workbook: ``workbook("a.xlsx", Sheet=[[cells], …])``; dates are typed cells."""

    def make(name, **found):
        path = tmp_path / name
        with xlsxwriter.Workbook(path, {"default_date_format": "dd/mm/yyyy", "strings_to_formulas": False}) as book:
            for title, rows in found.items():
                sheet = book.add_worksheet(title)
                for number, cells in enumerate(rows):
                    sheet.write_row(number, 0, cells)
        return path

    return make


def test_typed_cells_are_read_whatever_the_files_conventions(workbook, run, accounts, rows_of):
    workbook("a.xlsx", One=[HEADER, ["00123", "Acme", 12.0, 1234.5, dt.date(2026, 3, 4)], ["2", "Bolt", "", "", "x"]])

    money = {**accounts["constants"], "revenue_currency": "EUR"}
    result = run({**accounts, "file": "a.xlsx", "columns": COLUMNS, "decimal": ",", "constants": money})

    assert (result.total("created"), result.refused) == (2, 0)
    [acme, bolt] = rows_of("customer", "external_ref", "employees", "annual_revenue", "notes")
    assert (acme["external_ref"], acme["employees"], str(acme["annual_revenue"])) == ("00123", 12, "1234.5000")
    assert acme["notes"] == "2026-03-04"
    assert bolt["employees"] is None


def test_a_sheet_is_chosen_by_its_name(workbook, run, accounts, rows_of):
    workbook("a.xlsx", One=[["Ref", "Name"], ["1", "Acme"]], Two=[["Ref", "Name"], ["2", "Bolt"]])

    run({**accounts, "file": "a.xlsx", "sheet": "Two"})

    assert rows_of("customer", "display_name") == [{"display_name": "Bolt"}]


def test_a_sheet_that_is_not_there_is_named_with_those_that_are(workbook):
    path = workbook("a.xlsx", One=[["Ref"]])

    with pytest.raises(InvalidInput, match=r"no sheet 'Two'.*One"):
        open_source(path, sheet="Two")


def test_a_formula_gives_the_value_the_workbook_keeps(tmp_path):
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["A", "B"])
        sheet.write_formula(1, 0, "=1+1", None, 2)
        sheet.write(1, 1, True)

    [row] = open_source(path).rows()

    assert (row.number, dict(row.values)) == (2, {"A": "2", "B": "true"})


def test_a_number_that_has_lost_digits_refuses_its_row(workbook, run, accounts):
    workbook("a.xlsx", One=[["Ref", "Name"], [1234567890123456789, "Acme"], ["2", "Bolt"]])

    result = run({**accounts, "file": "a.xlsx"})

    assert (result.total("created"), result.refused) == (1, 1)
    assert "15 digits" in result.sources[0].errors[0].expected


def test_a_number_that_has_lost_digits_refuses_the_record_that_its_row_is_a_part_of(workbook, run, accounts):
    columns = {"Ref": "external_ref", "Name": "display_name", "City": "addresses.city"}
    workbook("a.xlsx", One=[["Ref", "Name", "City"], ["1", "Acme", "Paris"], ["1", "Acme", 1234567890123456789]])

    result = run({**accounts, "file": "a.xlsx", "columns": columns, "group": ["Ref"]})

    assert (result.total("created"), result.refused) == (0, 1)
    assert [(error.row, "City: a spreadsheet" in error.expected) for error in result.sources[0].errors] == [(3, True)]


@pytest.mark.parametrize(
    ("content", "message"), [(b"PK\x03\x04 nonsense", "no Excel workbook"), (b"Ref,Name\n", "no Excel workbook")]
)
def test_what_is_no_workbook_is_refused(write, content, message):
    with pytest.raises(InvalidInput, match=message):
        open_source(write("a.xlsx", content))


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is(write, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_BYTES", 1_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", "0" * 2_000)

    with pytest.raises(InvalidInput, match="save it as CSV"):
        open_source(write("a.xlsx", packed.getvalue()))


def test_an_export_as_a_workbook_holds_texts_that_nobody_runs_and_comes_back_the_same(
    crm_app, factories, tmp_path, cli
):
    factories.person(given_name="=1+1", family_name="Lovelace")
    path = tmp_path / "out.xlsx"

    done = cli("export", "customer", "-o", path)

    assert done.exit_code == 0, done.stderr
    cells = [cell for row in CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows() for cell in row]
    assert "'=1+1" in cells
    assert cli("import", path, "--record", "customer", "--yes", "--json").json()["unchanged"] == 1


def test_an_export_of_more_than_a_sheet_holds_is_refused(crm_app, factories, tmp_path, monkeypatch):
    from crm_kernel.records.exporting import begin_export

    monkeypatch.setattr(sheets, "MAX_ROWS", 2)
    factories.person()
    factories.person()

    with crm_app.app_context():
        found = begin_export(SYSTEM, record_type("customer"), [], channel="cli")
        with pytest.raises(InvalidInput, match="export as CSV"):
            found.xlsx(io.BytesIO())


@pytest.mark.parametrize(
    ("notes", "message"),
    [("\U0001f600" * 16_384, "32,767 characters"), ("a\ufffeb", r"U\+FFFE")],
)
def test_an_export_of_a_text_that_a_cell_does_not_hold_is_refused(crm_app, factories, notes, message):
    from crm_kernel.records.exporting import begin_export

    factories.person(notes=notes)

    with crm_app.app_context():
        found = begin_export(SYSTEM, record_type("customer"), [], channel="cli")
        with pytest.raises(InvalidInput, match=f"{message}.* export as CSV"):
            found.xlsx(io.BytesIO())


def test_the_longest_text_that_a_cell_holds_is_exported(crm_app, factories):
    from crm_kernel.records.exporting import begin_export

    longest = "\U0001f600" * 16_383 + "x"  # a spreadsheet counts some characters twice
    factories.person(notes=longest)
    file = io.BytesIO()

    with crm_app.app_context():
        begin_export(SYSTEM, record_type("customer"), [], channel="cli").xlsx(file)
    file.seek(0)

    cells = [cell for row in CalamineWorkbook.from_filelike(file).get_sheet_by_index(0).iter_rows() for cell in row]
    assert longest in cells
