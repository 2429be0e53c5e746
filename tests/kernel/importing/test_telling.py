"""What is told of a row that is refused: all that is wrong with it, and nothing that is wrong with nothing."""

from __future__ import annotations

from crm_kernel.records.importing import Mode, Verdict


def test_all_that_is_wrong_with_a_row_is_told_at_once(write, run, accounts):
    write("accounts.csv", "Ref,Name,Employees,Mail,Phone\nA1,Acme,many,nobody,12\nA2,Bolt,7,b@acme.com,\n")

    rehearsed = run(accounts, mode=Mode.DRY_RUN)

    told = {error.column: error.text for error in rehearsed.sources[0].errors}
    assert list(told) == ["Employees", "Mail", "Phone"]
    assert "nobody" in told["Mail"]
    assert rehearsed.sources[0].verdicts[Verdict.REFUSED] == 1


def test_a_refused_field_is_told_once_and_lets_no_other_seem_to_be_missing(write, run, rows_of):
    write("people.csv", f"Name,Born,Mail\n{'x' * 500},never,\n,1985-12-10,nobody\n")
    source = {
        "file": "people.csv",
        "record_type": "customer",
        "columns": {"Name": "family_name", "Born": "birth_date", "Mail": "contact_points.email"},
        "constants": {"kind": "person"},
    }

    errors = run(source).sources[0].errors

    assert [(error.row, error.column) for error in errors] == [(2, "Name"), (2, "Born"), (3, "Name"), (3, "Mail")]
    assert rows_of("customer", "display_name") == []


def test_a_row_that_may_be_about_a_stored_record_is_not_told_what_a_new_one_lacks(write, run, rows_of):
    write("a.csv", "Ref,Name\nA1,Acme\n")
    known = {
        "file": "a.csv",
        "record_type": "customer",
        "match": ["source", "external_ref"],
        "columns": {"Ref": "external_ref", "Name": "display_name"},
        "constants": {"kind": "organization", "source": "test"},
    }
    run(known)
    write("b.csv", "Ref,Employees,Revenue\nA1,many,1\n")
    columns = {"Ref": "external_ref", "Employees": "employees", "Revenue": "annual_revenue"}
    constants = {"source": "test"}

    errors = run({**known, "file": "b.csv", "columns": columns, "constants": constants}).sources[0].errors

    assert [error.column for error in errors] == ["Employees"]
