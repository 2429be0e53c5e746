"""Decimal signs, dates and transforms: found out where that is safe, refused where two readings fit."""

from __future__ import annotations

import pytest

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.detection import detect_dates, detect_decimal
from crm_kernel.records.importing.transforms import check_transform, transform_of


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        (["1234,56", ""], ","),
        (["1 234,5", "7"], ","),
        (["1.234,56"], ","),
        (["1\u202f234,50 €"], ","),
        (["1234.56"], "."),
        (["1,234.56"], "."),
        (["12", "1,234"], None),
    ],
)
def test_the_decimal_sign_is_found_where_a_number_shows_it(values, sign):
    found = detect_decimal(values)

    assert (found.value if found else None) == sign


def test_numbers_written_both_ways_are_refused():
    with pytest.raises(InvalidInput, match=r"written both 1,5 and 1\.5"):
        detect_decimal(["1,5", "1.5"])


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["03/04/2026", "25/04/2026"], "day-first"),
        (["03.04.2026"], "day-first"),
        (["04/25/2026"], "month-first"),
        (["2026-04-25"], None),
    ],
)
def test_the_order_of_dates_is_found_where_one_shows_it(values, order):
    found = detect_dates(values)

    assert (found.value if found else None) == order


def test_dates_that_can_be_read_two_ways_are_refused():
    with pytest.raises(InvalidInput, match="03/04/2026 may be day or month first"):
        detect_dates(["03/04/2026"])


@pytest.mark.parametrize(
    ("name", "text"),
    [("decimal_comma", "1,234.56"), ("decimal_comma", "1.5"), ("decimal_point", "1.234,56"), ("decimal_point", "1,5")],
)
def test_a_number_written_the_other_way_is_refused_and_never_another_number(name, text):
    with pytest.raises(ValueError, match=r"a number written like 1.234.56"):
        transform_of(name)(text)


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("strip", " a ", "a"),
        ("collapse", " a   b ", "a b"),
        ("whole_number", "4687.0", "4687"),
        ("decimal_comma", "1 234,56", "1234.56"),
        ("decimal_comma", "1.234.567,8 €", "1234567.8"),
        ("decimal_point", "1,234.56", "1234.56"),
        ("decimal_point", "1'234.56", "1234.56"),
        ("times:1000000", "4.5", "4500000.0"),
        ("date:%d/%m/%Y", "25/04/2026", "2026-04-25"),
        ("given_name", "Anne Marie Dupont", "Anne Marie"),
        ("given_name", "Dupont, Anne", "Anne"),
        ("family_name", "Anne Marie Dupont", "Dupont"),
        ("slug:.", "Chloé O'Brien", "chloe.o.brien"),
        ("prefix:Team ", "North", "Team North"),
        ("suffix:@x.example", "ada", "ada@x.example"),
        ("before:-", "a-b", "a"),
        ("after:-", "a-b", "b"),
        ("digits", "+33 (0)1", "3301"),
        ("null:n/a", "n/a", None),
    ],
)
def test_a_transform_does_what_its_name_says(name, text, result):
    check_transform(name, "here")

    assert transform_of(name)(text) == result


@pytest.mark.parametrize("name", ["shout", "strip:x", "date", "times:many", "times:1e300000000", "times:inf"])
def test_a_transform_that_is_not_on_the_list_is_refused_with_the_list(name):
    with pytest.raises(InvalidInput, match="expected one of: strip, "):
        check_transform(name, "here")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("whole_number", "4.5"),
        ("whole_number", "x"),
        ("whole_number", "1e300000000"),
        ("whole_number", "Infinity"),
        ("whole_number", "sNaN"),
        ("times:10", "1e300000000"),
        ("times:10", "1e-300000000"),
        ("date:%d/%m/%Y", "2026"),
    ],
)
def test_a_text_that_a_transform_cannot_read_is_refused(name, text):
    with pytest.raises(ValueError):
        transform_of(name)(text)
