"""Verdicts on numbers in tables: every published one is reproduced."""

from __future__ import annotations

import csv

import pytest

from crm_kernel.customers.values.verdicts import Checker, number_column


@pytest.mark.parametrize(
    ("name", "types"),
    [("phone_numbers", {"phone"}), ("iban", {"iban"}), ("fr_company_numbers", {"siren", "siret", "vat"})],
)
def test_every_published_verdict_is_reproduced(shared_data, name, types):
    with shared_data(f"identifiers/{name}.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    checker = Checker("FR")

    verdicts = [checker.check_row(row) for row in rows]

    assert [verdict.valid for verdict in verdicts] == [row["valid"] == "true" for row in rows]
    assert {verdict.type for verdict in verdicts} == types
    assert all(bool(verdict.reason) != verdict.valid for verdict in verdicts)
    assert all(bool(verdict.normalized) == verdict.valid for verdict in verdicts)


def test_a_valid_number_comes_in_its_normal_form():
    found = Checker("FR").check_row({"region": "AD", "type": "mobile", "national": "312 345", "e164": "+376312345"})

    assert (found.type, found.value, found.normalized) == ("phone", "312 345", "+376312345")


def test_an_invalid_number_comes_with_what_is_wrong():
    found = Checker("FR").check("siren", "552081318")

    assert not found.valid
    assert found.reason == "'552081318' is not a valid SIREN: its check digits do not match"


def test_an_unknown_type_is_a_reason_and_no_error():
    found = Checker("FR").check_row({"kind": "shoe_size", "number": "42"})

    assert not found.valid
    assert "shoe_size" in found.reason


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["id", "iban"], ("iban", "iban")),
        (["kind", "number"], ("", "number")),
        (["region", "type", "national", "e164"], ("phone", "national")),
        (["colour", "number"], ("", "")),
    ],
)
def test_the_columns_tell_where_the_numbers_are(columns, found):
    assert number_column(columns) == found
