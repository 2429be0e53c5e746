"""Somebody changes many records: those ticked, or all that a filter matches; sees first what it would do, and undoes it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]

#: More than a page of the list holds.
MANY = 57


@pytest.fixture(scope="module")
def mills(api) -> str:
    """The list of many customers of one industry, none of whom has a region."""
    for number in range(MANY):
        api("customers", kind="organization", display_name=f"Mill {number:02}", industry="Mills", region="Before")
    return "/customers?industry=Mills"


def choose(page, what: str, value: str) -> None:
    """Say what is to be done and try it."""
    page.get_by_label("What is to be done?").select_option(label=what)
    page.get_by_role("button", name="Next").click()
    page.get_by_label(what.removeprefix("Set: "), exact=True).fill(value)
    page.get_by_role("button", name="Try").click()


def start(page, number: int) -> None:
    """Start what was tried, and wait for its end without loading the page again."""
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/bulk-runs/[0-9a-f-]{36}"))
    expect(page.locator("#bulk-progress [role=status]")).to_have_text(f"{number} of {number} records")


def regions(api_page, region: str) -> int:
    """Return how many mills are of a region, as the list counts them."""
    api_page.goto(f"/customers?industry=Mills&region={region}")
    text = api_page.locator(".crm-page-subtitle").inner_text()
    return int(text.split()[0]) if text[0].isdigit() else 0


def test_what_is_ticked_is_tried_changed_and_put_back(open_page, mills):
    page, other = open_page(), open_page()
    page.goto(mills)
    for box in page.locator("main tbody input[name=id]").all()[:2]:
        box.check()
    expect(page.locator("[data-bulk-count]")).to_have_text("2 selected")
    page.get_by_role("button", name="Change…").click()
    choose(page, "Set: Region", "Brittany")

    expect(page.locator("main")).to_contain_text("2 records. It can be taken back for 30 days.")
    expect(page.locator("main .crm-links li")).to_have_count(2)
    expect(page.locator("main .crm-links .crm-badge")).to_have_text(["Possible", "Possible"])
    assert regions(other, "Brittany") == 0
    start(page, 2)
    assert regions(other, "Brittany") == 2

    page.get_by_role("button", name="Take back").click()
    page.locator(".crm-dialog[open]").get_by_role("button", name="Take back").click()
    expect(page.locator("#bulk-progress [role=status]")).to_have_text(["2 of 2 records"] * 2)
    expect(page.get_by_role("heading", name="Taken back")).to_be_visible()
    expect(page.get_by_role("button", name="Take back")).to_have_count(0)
    assert regions(other, "Brittany") == 0
    assert regions(other, "Before") == MANY


def test_all_that_the_filter_matches_are_changed_and_not_the_page_alone(open_page, mills, violations, too_wide):
    page, other = open_page(width=360), open_page()
    page.goto(mills)
    page.locator("main tbody input[name=id]").first.check()
    page.get_by_label(f"All {MANY} records that match").check()
    page.get_by_role("button", name="Change…").click()
    choose(page, "Set: Region", "Alsace")

    expect(page.locator("main")).to_contain_text(f"{MANY} records. It can be taken back for 30 days.")
    sample = page.locator("main .crm-links li")
    assert 0 < sample.count() < MANY
    assert violations(page, widths=(360,)) == []
    start(page, MANY)

    assert too_wide(page) <= 0
    assert regions(other, "Alsace") == MANY


def test_a_value_that_is_refused_is_said_before_anything_is_changed(open_page, mills):
    page = open_page()
    page.goto(mills)
    page.locator("main tbody input[name=id]").first.check()
    page.get_by_role("button", name="Change…").click()
    choose(page, "Set: Website", "javascript:alert(1)")

    row = page.locator("main .crm-links li")
    expect(row.locator(".crm-badge")).to_have_text("Refused")
    expect(row).to_contain_text("'javascript:alert(1)' begins with javascript: expected http or https")
