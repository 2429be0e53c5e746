"""How rows find the records that are here by a part of a collection: a number, an address, however it is spelt."""

from __future__ import annotations

import pytest

from crm_kernel.records.importing import Mode

SPELLINGS = [
    ("contact_points.phone", "+33 1 42 68 53 00", "+33.1.42.68.53.00"),
    ("contact_points.mobile", "+33612345678", "+33 6 12 34 56 78"),
    ("contact_points.email", "Sales@Acme.com", "sales@acme.com"),
    ("contact_points.email", "Jörg@Exämple.de", "jörg@exämple.de"),
    ("contact_points.web", "acme.com", "https://acme.com"),
    ("identifiers.siren", "732829320", "732 829 320"),
    ("identifiers.vat", "FR44732829320", "fr 44 732829320"),
]


def _source(path: str, **entries):
    columns = {"Name": "display_name", "Mail": "contact_points.email", "Value": path}
    if path == "contact_points.email":
        del columns["Mail"]
    return {"file": "x.csv", "record_type": "customer", "match": path, "columns": columns, **entries}


ORGANIZATION = {"constants": {"kind": "organization"}}


@pytest.mark.parametrize(("path", "first", "again"), SPELLINGS)
def test_a_row_is_matched_by_a_value_however_it_is_spelt(run, write, rows_of, verdicts, path, first, again):
    source = _source(path, **ORGANIZATION)
    write("x.csv", f"Name,Mail,Value\nAcme,,{first}\n")
    found = [verdicts(run(source)), verdicts(run(source))]
    write("x.csv", f"Name,Mail,Value\nAcme,,{again}\nAcme,,{first}\n")

    found.append(verdicts(run(source)))

    assert found == [{"created": 1}, {"unchanged": 1}, {"unchanged": 1, "skipped": 1}]
    assert len(rows_of("customer", "display_name")) == 1


@pytest.mark.parametrize("mode", ["upsert", "create", "update"])
def test_a_value_to_match_by_that_cannot_be_read_refuses_its_row_and_names_its_column(run, write, verdicts, mode):
    write("x.csv", "Name,Mail,Value\nAcme,sales@acme.com,01 42\n")
    errors = []

    result = run(_source("contact_points.phone", mode=mode, **ORGANIZATION), mode=Mode.DRY_RUN, report=errors.append)

    assert verdicts(result) == {"refused": 1}
    assert [(error.column, error.sentence) for error in errors] == [("Value", True)]
    assert "01 42" in errors[0].expected


def test_a_row_without_the_value_it_is_matched_by_names_the_column_that_lacks_it(run, write):
    write("x.csv", "Name,Mail,Value\nAcme,sales@acme.com,\n")
    errors = []

    run(_source("contact_points.phone", **ORGANIZATION), mode=Mode.DRY_RUN, report=errors.append)

    assert [error.column for error in errors] == ["Value"]
