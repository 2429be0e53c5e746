"""An administrator writes a rule in the browser and asks what it would have done."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@contextmanager
def rewritten(page):
    """Wait until what is done in this block has been answered and the page shows the answer."""
    with page.expect_response(lambda answer: "/condition" in answer.url):
        yield
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


def test_a_rule_gets_its_condition_its_action_and_says_what_it_would_have_done(open_page):
    page = open_page()
    for kind, field, name in (("organization", "display_name", "Larch Mining"), ("person", "family_name", "Larch")):
        page.goto("/customers/new")
        page.locator("[name=kind]").select_option(kind)
        page.locator(f"[name={field}]").fill(name)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.goto("/rules/new")
    page.locator("[name=name]").fill("Greet firms")
    page.locator("[name=record_type]").select_option("customer")
    page.locator("[name=event]").select_option("kernel.customer_created")
    page.get_by_role("button", name="Save").click()

    page.get_by_role("link", name="Change the condition").click()
    with rewritten(page):
        page.get_by_role("button", name="Condition", exact=True).click()
    with rewritten(page):
        page.locator('[name="f.0.field"]').select_option("kind")
    with rewritten(page):
        page.locator('[name="f.0.value"]').select_option("organization")
    expect(page.locator("#filter-builder-foot")).to_contain_text("Kind is Organization")
    page.get_by_role("button", name="Keep this condition").click()
    expect(page.locator("main")).to_contain_text("Kind is Organization")

    page.get_by_role("link", name="Add an action").click()
    page.get_by_role("link", name="Add a note to the timeline").click()
    page.locator("[name=summary]").fill("Say hello")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="Try it, or replay past events").click()
    page.get_by_role("button", name="Count").click()

    told = page.locator("main")
    expect(told).to_contain_text("Each time: Add a note to the timeline (Summary: Say hello)")
    expect(told).to_contain_text("because this does not hold today")
    expect(told.get_by_role("link", name="Larch Mining")).to_be_visible()
