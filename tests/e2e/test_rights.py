"""The page of rights is short until somebody looks for a permission; the editor of a role keeps what was chosen meanwhile."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


def test_a_typed_word_opens_the_parts_that_hold_it_and_hides_the_rest(open_page, violations, too_wide):
    page = open_page(width=360)
    page.goto("/admin/rights")
    parts = page.locator("details[data-narrow-part]")
    expect(page.locator("details[data-narrow-part][open]")).to_have_count(0)
    several = parts.count()

    page.get_by_role("searchbox", name="Find a permission").fill("MERGE customér")
    expect(page.locator("tr[data-narrow-row]:visible")).to_have_count(1)
    expect(page.locator("tr[data-narrow-row]:visible")).to_contain_text("customer.merge")
    assert violations(page, widths=(360,)) == []
    assert too_wide(page) <= 0
    page.get_by_role("searchbox", name="Find a permission").fill("no such thing")
    expect(page.locator("[data-narrow-none]")).to_be_visible()
    page.get_by_role("searchbox", name="Find a permission").fill("")

    expect(page.locator("details[data-narrow-part]:visible")).to_have_count(several)
    expect(page.locator("details[data-narrow-part][open]")).to_have_count(0)


def test_what_is_chosen_in_a_part_that_is_hidden_again_is_still_sent(open_page):
    page = open_page()
    page.goto("/admin/rights")
    page.locator("details[data-narrow-part] summary").first.click()
    page.get_by_role("link", name="reader").first.click()
    page.get_by_role("searchbox", name="Find a permission").fill("customer.delete")
    page.get_by_label("customer.delete", exact=True).select_option("own")
    page.get_by_role("searchbox", name="Find a permission").fill("tag.merge")
    page.get_by_role("button", name="See what this changes").click()

    expect(page.locator("main")).to_contain_text(re.compile(r"customer\.delete: Own records"))
    expect(page.locator("code[data-command]")).to_have_text("crm roles grant reader customer.delete --scope own")
