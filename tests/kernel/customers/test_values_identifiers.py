"""Official numbers: check digits, exceptions, and the registry of types."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.identifiers import (
    IDENTIFIER_TYPES,
    IdentifierType,
    normalize_external,
    normalize_identifier,
    with_types,
)

Find = Callable[[str], Path]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _valid(type_name: str, raw: str) -> str:
    try:
        return "true" if normalize_identifier(type_name, raw) == raw else "changed"
    except ValueProblem:
        return "false"


def test_every_shared_iban_gets_its_verdict(shared_data: Find) -> None:
    rows = _rows(shared_data("identifiers/iban.csv"))

    wrong = [row for row in rows if _valid("iban", row["iban"]) != row["valid"]]

    assert len(rows) == 136
    assert wrong == []


def test_every_shared_french_number_gets_its_verdict(shared_data: Find) -> None:
    rows = _rows(shared_data("identifiers/fr_company_numbers.csv"))

    wrong = [row for row in rows if _valid(row["kind"].removeprefix("fr_"), row["number"]) != row["valid"]]

    assert len(rows) == 42
    assert wrong == []


@pytest.mark.parametrize(
    ("type_name", "raw", "stored", "shown"),
    [
        ("siren",    "732 829 320",                "732829320",              "732 829 320"),
        ("siret",    "732.829.320 00074",          "73282932000074",         "732 829 320 00074"),
        ("siret",    "35600000049837",             "35600000049837",         "356 000 000 49837"),
        ("vat",      "fr 44 732829320",            "FR44732829320",          "FR 44 732 829 320"),
        ("vat",      "BE 697.449.992",             "BE0697449992",           "BE 0697449992"),
        ("vat",      "EL 094259216",               "EL094259216",            "EL 094259216"),
        ("vat",      "GB 980 7806 84",             "GB980780684",            "GB 980780684"),
        ("iban",     "fr14 2004 1010 0505 0001 3m02 606", "FR1420041010050500013M02606",
                                                                             "FR14 2004 1010 0505 0001 3M02 606"),
        ("bic",      "bnpafrppxxx",                "BNPAFRPP",               "BNPAFRPP"),
        ("bic",      "AGRI FR PP 882",             "AGRIFRPP882",            "AGRIFRPP882"),
        ("vat",      "GR094259216",                "EL094259216",            "EL 094259216"),
        ("lei",      "213800kud8lajwsq9d15",       "213800KUD8LAJWSQ9D15",   "213800KUD8LAJWSQ9D15"),
        ("external", "  A b/1 ",                   "A b/1",                  "A b/1"),
    ],
)  # fmt: skip
def test_a_number_is_stored_compact_and_shown_spaced(type_name: str, raw: str, stored: str, shown: str) -> None:
    normalized = normalize_identifier(type_name, raw)

    assert normalized == stored
    assert IDENTIFIER_TYPES[type_name].format(normalized) == shown
    assert normalize_identifier(type_name, shown) == stored


@pytest.mark.parametrize(
    ("type_name", "raw", "reason"),
    [
        ("siren",    "732829321",                   "check digits"),
        ("siren",    "73282932",                    "wrong number of characters"),
        ("siren",    "73282932A",                   "wrong characters"),
        ("siret",    "73282932100074",              "check digits"),
        ("siret",    "35600000049838",              "check digits"),
        ("vat",      "44732829320",                 "country or part that does not exist"),
        ("vat",      "US123456789",                 "country or part that does not exist"),
        ("vat",      "FR45732829320",               "check digits"),
        ("vat",      "",                            "country or part"),
        ("iban",     "FR1420041010050500013M02607", "check digits"),
        ("iban",     "",                            "IBAN"),
        ("bic",      "BNPA",                        "wrong number of characters"),
        ("bic",      "BNPAZZPP",                    "country or part"),
        ("lei",      "213800KUD8LAJWSQ9D16",        "check digits"),
        ("lei",      "213800",                      "wrong number of characters"),
        ("external", "   ",                         "1 to 255 characters"),
        ("external", "x" * 256,                     "1 to 255 characters"),
        ("external", "a\x00b",                      "control character"),
        ("duns",     "1",                           "not an identifier type: expected one of siren"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(type_name: str, raw: str, reason: str) -> None:
    with pytest.raises(ValueProblem, match=reason):
        normalize_identifier(type_name, raw)


def test_a_bank_missing_from_the_frozen_list_is_no_error_but_its_check_digits_count() -> None:
    assert normalize_identifier("iban", "BE68 5390 0754 7034") == "BE68539007547034"
    with pytest.raises(ValueProblem, match="check digits"):
        normalize_identifier("iban", "BE68 5390 0754 7043")


@given(st.sampled_from(sorted(IDENTIFIER_TYPES)), st.text(max_size=30))
def test_any_text_is_an_identifier_or_a_problem(type_name: str, raw: str) -> None:
    try:
        stored = normalize_identifier(type_name, raw)
    except ValueProblem:
        return

    assert normalize_identifier(type_name, stored) == stored


@given(st.integers(0, 99_999_999))
def test_a_siren_with_its_luhn_digit_makes_a_valid_french_vat_number(prefix: int) -> None:
    body = f"{prefix:08}"
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(body)]
    siren = f"{body}{-sum(value - 9 if value > 9 else value for value in doubled) % 10}"
    key = (12 + 3 * (int(siren) % 97)) % 97

    assert normalize_identifier("siren", siren) == siren
    assert normalize_identifier("vat", f"FR {key:02} {siren}") == f"FR{key:02}{siren}"


def test_a_plugin_adds_a_type_without_changing_the_built_in_ones() -> None:
    number = IdentifierType("bank_client", "Client number", normalize_external, str.upper)

    types = with_types(IDENTIFIER_TYPES, number)

    assert normalize_identifier("bank_client", " x1 ", types) == "x1"
    assert "bank_client" not in IDENTIFIER_TYPES
    with pytest.raises(TypeError):
        types["other"] = number  # type: ignore[index]


@pytest.mark.parametrize("name", ["iban", "Bank", "", "1x", "a-b"])
def test_a_type_with_a_taken_or_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="identifier type"):
        with_types(IDENTIFIER_TYPES, IdentifierType(name, "X", str, str))
