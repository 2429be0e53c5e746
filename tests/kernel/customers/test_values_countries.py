"""Country names in the languages of address books."""

from __future__ import annotations

import pytest

from crm_kernel.customers.values.countries import country_code, country_name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fr", "FR"),
        ("États-Unis", "US"),
        ("United States of America", "US"),
        ("U.S.A.", "US"),
        ("DEUTSCHLAND", "DE"),
        ("Côte d’Ivoire", "CI"),
        ("UK", "GB"),
        ("Atlantis", None),
        ("EU", None),
        ("", None),
    ],
)
def test_a_country_is_found_by_code_or_name(text: str, code: str | None) -> None:
    assert country_code(text) == code


@pytest.mark.parametrize("code", ["FR", "GB", "US", "CI", "CD", "CG", "HK", "XK", "NA"])
def test_a_country_is_found_by_the_name_we_write(code: str) -> None:
    assert country_code(country_name(code)) == code


def test_an_unknown_code_names_itself() -> None:
    assert country_name("QQ") == "QQ"
