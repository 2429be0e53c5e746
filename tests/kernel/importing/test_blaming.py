"""Errors of imports: they name the column that is wrong and what stands there, in one sentence, however long that is."""

from __future__ import annotations

import orjson
import pytest

from crm_kernel.records.importing import import_file
from crm_kernel.records.importing.mapping import plain_mapping


@pytest.fixture
def errors_of(crm_app, write):
    """Import a file as it was exported and give what is told of its rows."""
    from crm_kernel.access.actor import SYSTEM

    def told(name, text, kind="customer"):
        path = write(name, text)
        with crm_app.app_context():
            result = import_file(plain_mapping(path, kind), path, actor=SYSTEM)
        assert result.failure is None
        return result.sources[0].errors

    return told


def test_each_wrong_part_names_its_own_column(errors_of):
    text = "kind,display_name,contact_points.email,contact_points.phone\norganization,Acme,not-an-email,123\n"

    errors = errors_of("a.csv", text + "organization,Bolt,,123\n")

    assert [(e.row, e.column, e.found) for e in errors] == [
        (2, "contact_points.email", "not-an-email"),
        (2, "contact_points.phone", "123"),
        (3, "contact_points.phone", "123"),
    ]


def test_a_part_that_joins_stored_ones_names_its_own_column(errors_of):
    head = "kind,display_name,source,external_ref,contact_points.email,contact_points.phone\n"
    assert errors_of("a.csv", head + "organization,Acme,s,1,a@example.org,+33 1 42 68 53 00\n") == []

    errors = errors_of("a.csv", head + "organization,Acme,s,1,b@example.org,123\n")

    assert [(e.column, e.found) for e in errors] == [("contact_points.phone", "123")]


def test_a_part_of_a_whole_list_is_named_by_its_place(errors_of):
    points = [{"channel": "email", "value": "ada@example.org"}, {"channel": "phone", "value": "123"}]
    record = {"kind": "organization", "display_name": "Acme", "contact_points": points}

    [error] = errors_of("a.jsonl", orjson.dumps(record).decode() + "\n")

    assert (error.column, error.found) == ("contact_points.1.value", "123")


def test_a_sentence_is_not_put_into_another(errors_of):
    [error] = errors_of("a.csv", "kind,display_name\nrobot,Marvin\n")

    assert error.text == "found 'robot': Expected one of: person, organization, household."


def test_a_long_value_is_shortened_before_what_was_expected(errors_of):
    long = "x" * 5000
    errors = errors_of("a.csv", f"kind,display_name,language,employees\norganization,Acme,{long},{long}\n")

    assert {error.column for error in errors} == {"language", "employees"}
    assert all(error.found == "x" * 59 + "…" and len(error.text) < 250 for error in errors), errors


def test_a_card_that_cannot_be_read_is_told_without_a_column(errors_of):
    [error] = errors_of("a.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nNOTE:x\r\nEND:VCARD\r\n")

    assert f"{error.where}: {error.text}" == "a.vcf, row 1: card 1 names nobody: expected FN, N, ORG or EMAIL"
