"""Exactness of money: properties over all amounts and rates, without a database."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_kernel.sales.money import CENT_OF_CENT, product, rounded, share

amounts = st.integers(-(10**17), 10**17).map(lambda number: Decimal(number).scaleb(-4))
rates = st.integers(1, 9 * 10**18).map(lambda number: Decimal(number).scaleb(-12))


def half_even(value: Fraction) -> Decimal:
    """An independent rounding: exact fractions, Python's own half-even ``round``."""
    with localcontext(prec=60):
        return Decimal(round(value * 10**4)).scaleb(-4)


@settings(deadline=None)
@given(amounts, rates)
def test_a_product_is_exact_and_rounded_once_half_even(amount, rate):
    assert product(amount, rate) == half_even(Fraction(amount) * Fraction(rate))


@settings(deadline=None)
@given(amounts, amounts, st.integers(1, 10**17).map(lambda number: Decimal(number).scaleb(-4)))
def test_a_share_is_exact_and_rounded_once_half_even(total, part, whole):
    assert share(total, part, whole) == half_even(Fraction(total) * Fraction(part) / Fraction(whole))


@settings(deadline=None)
@given(amounts)
def test_rounding_an_amount_changes_nothing(amount):
    assert rounded(amount) == amount
    assert product(amount, Decimal(1)) == amount


def test_ties_go_to_the_even_neighbour():
    half = CENT_OF_CENT / 2

    assert [rounded(Decimal(n) * CENT_OF_CENT + half) / CENT_OF_CENT for n in (0, 1, 2, 3)] == [0, 2, 2, 4]
