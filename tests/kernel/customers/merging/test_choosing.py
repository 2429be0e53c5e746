"""Choosing between two customers' values: modules' fields and custom fields beside the customer's own."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.crm_plugins("toybank")
ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}


@pytest.fixture
def rest(toybank, api):
    """An API client that may do everything."""
    return api(grants={"*": "all"})


@pytest.fixture
def tier(rest, unit):
    """A custom field of customers."""
    from crm_kernel.records.custom_fields.services import add_field

    with unit() as uow:
        add_field(uow, "customer", "tier", "text")


@pytest.fixture
def pair(rest, tier):
    """The ids of two customers that differ in a module's fields and in a custom field."""
    made = []
    for risk, level in ((7, "gold"), (2, "silver")):
        made.append(
            rest.post("/api/customers", {**ADA, "cf_tier": level, "extensions": {"toybank": {"risk": risk}}}).json["id"]
        )
    return made


@pytest.fixture
def pages(toybank, login):
    """A browser of somebody who may do everything."""
    return login(grants={"*": "all"})


def merge(pages, pair, **choices):
    token = re.search(r'name="csrf-token" content="([^"]+)"', pages.get("/customers").text)[1]
    form = {f"choice.{name.replace('__', '.')}": uid for name, uid in choices.items()}
    answer = pages.post(
        f"/customers/{pair[0]}/merge", data={"csrf_token": token, "with": pair[1], "keep": pair[1], **form}
    )
    assert answer.status_code == 303, answer.text


def test_the_page_shows_a_modules_fields_and_custom_fields_side_by_side(pages, pair):
    page = pages.get(f"/customers/{pair[0]}/merge?with={pair[1]}").text

    assert "Banking: " in page
    for name in ("choice.toybank.risk", "choice.cf_tier"):
        assert page.count(f'name="{name}"') == 2
    assert all(text in page for text in ("gold", "silver"))


@pytest.mark.parametrize(("whose", "expected"), [(0, (7, "gold")), (1, (2, "silver"))])
def test_what_was_chosen_stays(pages, rest, pair, whose, expected):
    merge(pages, pair, toybank__risk=pair[whose], cf_tier=pair[whose])

    found = rest.get(f"/api/customers/{pair[1]}").json
    assert (found["extensions"]["toybank"]["risk"], found["cf_tier"]) == expected


def test_to_choose_that_there_is_no_value_is_a_choice_too(pages, rest, tier):
    filled = rest.post("/api/customers", {**ADA, "cf_tier": "gold", "extensions": {"toybank": {"risk": 7}}}).json["id"]
    empty = rest.post("/api/customers", {**ADA, "extensions": {"toybank": {"iban": None}}}).json["id"]

    merge(pages, [filled, empty], toybank__risk=empty, cf_tier=empty)

    found = rest.get(f"/api/customers/{empty}").json
    assert (found["extensions"]["toybank"]["risk"], found["cf_tier"]) == (None, None)


def test_without_a_choice_a_value_there_wins_over_none(pages, rest, tier):
    filled = rest.post("/api/customers", {**ADA, "cf_tier": "gold", "extensions": {"toybank": {"risk": 7}}}).json["id"]
    empty = rest.post("/api/customers", ADA).json["id"]

    merge(pages, [filled, empty])

    found = rest.get(f"/api/customers/{empty}").json
    assert (found["extensions"]["toybank"]["risk"], found["cf_tier"]) == (7, "gold")


def test_a_chosen_value_is_given_back_with_all_others(pages, rest, pair):
    before = [rest.get(f"/api/customers/{uid}").json for uid in pair]
    merge(pages, pair, toybank__risk=pair[0], cf_tier=pair[0])

    rest.post(f"/api/customers/{pair[1]}/unmerge", {})

    for old, uid in zip(before, pair, strict=True):
        new = rest.get(f"/api/customers/{uid}").json
        assert (new["cf_tier"], new["extensions"]) == (old["cf_tier"], old["extensions"])
