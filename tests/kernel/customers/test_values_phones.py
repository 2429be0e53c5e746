"""Telephone numbers: what is read, what is refused, and why."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.phones import PhoneParser, normalize_phone

Find = Callable[[str], Path]


def _rows(find: Find) -> list[dict[str, str]]:
    with find("identifiers/phone_numbers.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _verdict(raw: str, region: str) -> str:
    try:
        return normalize_phone(raw, region).e164
    except ValueProblem:
        return "refused"


def test_every_shared_row_gets_its_verdict_and_its_e164(shared_data: Find) -> None:
    rows = _rows(shared_data)

    wrong = [
        (row["region"], form, row[form], found)
        for row in rows
        for form in ("national", "e164", "international", "rfc3966")
        if row[form]
        for expected in [row["e164"] if row["valid"] == "true" else "refused"]
        if (found := _verdict(row[form], row["region"])) != expected
    ]

    assert len(rows) == 460
    assert wrong == []


def test_every_valid_shared_row_keeps_its_national_form_and_kind(shared_data: Find) -> None:
    rows = [row for row in _rows(shared_data) if row["valid"] == "true"]

    phones = [normalize_phone(row["e164"], row["region"]) for row in rows]

    assert [phone.national for phone in phones] == [row["national"] for row in rows]
    assert [
        phone.kind for phone, row in zip(phones, rows, strict=True) if not _kind_fits(phone.kind, row["type"])
    ] == []


def _kind_fits(kind: str, expected: str) -> bool:
    return kind == expected or (kind == "fixed_or_mobile" and expected in ("fixed", "mobile"))


@pytest.mark.parametrize(
    "raw",
    [
        "01 23 45 67 89",
        "01.23.45.67.89",
        "+33 (0)1 23 45 67 89",
        "0033123456789",
        "tel:+33-1-23-45-67-89",
        "Tél. : 01 23 45 67 89",
        "\u202a+33123456789\u202c",
        "01\xa023\xa045\xa067\xa089",
        "٠١٢٣٤٥٦٧٨٩",
    ],
)
def test_the_spellings_of_one_number_become_one(raw: str) -> None:
    assert normalize_phone(raw, "FR").normalized == "+33123456789"


@pytest.mark.parametrize(
    "raw",
    [
        "01 23 45 67 89 x012",
        "01 23 45 67 89 ext. 012",
        "01 23 45 67 89 poste 012",
        "01 23 45 67 89, Poste: 012",
        "01 23 45 67 89 #012",
        "tel:+33-1-23-45-67-89;ext=012",
        "+33123456789;ext=012",
        "01 23 45 67 89 доб. 012",
    ],
)
def test_an_extension_is_kept_with_its_leading_zero(raw: str) -> None:
    phone = normalize_phone(raw, "FR")

    assert (phone.e164, phone.extension) == ("+33123456789", "012")
    assert phone.normalized == "+33123456789;ext=012"


def test_an_international_number_keeps_its_own_country() -> None:
    assert normalize_phone("+44 20 7946 0018", "FR").region == "GB"
    assert normalize_phone("+800 1234 5678", "FR").region == "001"


def test_a_lower_case_region_is_understood() -> None:
    assert normalize_phone("01 23 45 67 89", "fr").region == "FR"


@pytest.mark.parametrize(
    ("raw", "region", "reason"),
    [
        ("12",                         "FR", "too short"),
        ("3639",                       "FR", "too short"),
        ("+",                          "FR", "holds no phone number"),
        ("01 23 45 67 89 / 06 12 34 56 78", "FR", "too long"),
        ("+999 123456",                "FR", "country code that does not exist"),
        ("",                           "FR", "holds no phone number"),
        ("none",                       "FR", "holds no phone number"),
        ("0800 FLOWERS",               "FR", "letters"),
        ("01 23 45 67 89 Marie",       "FR", "letters"),
        ("030 123456 home",            "DE", "letters"),
        ("030 123456; home",           "DE", "holds no phone number"),
        ("030 123456 ab",              "DE", "letters"),
        ("555-0123",                   "US", "area code"),
        ("01 23 45 67 89",             "XX", "not a country"),
        ("9" * 500,                    "FR", "holds no phone number"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(raw: str, region: str, reason: str) -> None:
    with pytest.raises(ValueProblem, match=reason):
        normalize_phone(raw, region)


def test_a_refusal_names_an_example_of_the_region() -> None:
    with pytest.raises(ValueProblem, match="01 23 45 67 89"):
        normalize_phone("unknown", "FR")


def test_letters_are_keypad_digits_in_north_america() -> None:
    assert normalize_phone("1-800-FLOWERS", "US").e164 == "+18003569377"


@given(
    st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.integers(0, 10**12), st.sampled_from(["", "5", "007"])
)
def test_normalising_a_normalised_number_changes_nothing(region: str, offset: int, extension: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    number = f"+{example.country_code}{(example.national_number or 0) + offset % 1000}"
    try:
        phone = normalize_phone(f"{number} x{extension}" if extension else number, region)
    except ValueProblem:
        return

    assert normalize_phone(phone.normalized, "FR").normalized == phone.normalized
    assert normalize_phone(phone.national, phone.region if phone.region != "001" else region).e164 == phone.e164


@given(st.text(max_size=40))
def test_any_text_is_a_phone_or_a_problem(raw: str) -> None:
    outcome = PhoneParser("FR").outcome(raw)

    assert outcome.message if isinstance(outcome, ValueProblem) else outcome.e164.startswith("+")


def test_the_parser_reads_a_distinct_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = phonenumbers.parse

    def counted(text: str, region: str) -> phonenumbers.PhoneNumber:
        calls.append(text)
        return real(text, region)

    monkeypatch.setattr(phonenumbers, "parse", counted)
    parse = PhoneParser("FR")

    phones = [parse("01 23 45 67 89") for _ in range(3)]

    assert phones[0] is phones[2]
    assert len(calls) == 1


def test_the_parser_remembers_refusals_and_raises_a_fresh_one_each_time() -> None:
    parse = PhoneParser("FR")
    problems = []
    for _ in range(2):
        with pytest.raises(ValueProblem) as caught:
            parse("12")
        problems.append(caught.value)

    assert problems[0] is not problems[1]
    assert parse.outcome("12") is parse.outcome("12")


def test_the_parser_forgets_beyond_its_size() -> None:
    parse = PhoneParser("FR", cache_size=1)
    first = parse("01 23 45 67 89")

    parse("01 23 45 67 88")

    assert parse("01 23 45 67 89") is not first


def test_a_parser_for_an_unknown_region_is_refused_at_once() -> None:
    with pytest.raises(ValueProblem, match="'QQ' is not a country"):
        PhoneParser("QQ")


def test_a_problem_can_be_translated_and_pickled() -> None:
    with pytest.raises(ValueProblem) as caught:
        normalize_phone("12", "FR")
    copy = pickle.loads(pickle.dumps(caught.value))

    assert copy.template == "{found!r} is too short for a phone number of {region}"
    assert copy.params == {"found": "12", "region": "FR"}
    assert str(copy) == copy.message == "'12' is too short for a phone number of FR"
