"""Somebody builds a filter by choosing from lists, sees the count change, and sends the address to a colleague."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture(scope="module")
def customers(site, browser, signed_in):
    """Three organizations of one industry; two of them have an e-mail address, one of these is archived."""
    context = browser.new_context(base_url=site.url, storage_state=signed_in)
    page = context.new_page()
    page.goto("/")
    headers = {"X-CSRFToken": page.locator("meta[name=csrf-token]").get_attribute("content"), "Referer": site.url}
    for name, mail, status in (("Ash", True, "active"), ("Birch", True, "archived"), ("Cedar", False, "active")):
        points = [{"channel": "email", "value": f"{name.lower()}@wood.example"}] if mail else []
        fields = {"display_name": f"{name} Wood", "industry": "Timber", "status": status, "contact_points": points}
        answer = context.request.post("/api/customers", data={"kind": "organization", **fields}, headers=headers)
        assert answer.status == 201, answer.text()
    context.close()


def control(page, name):
    return page.locator(f'#filter-builder [name="{name}"]')


@contextmanager
def rewritten(page):
    """Wait until what is done in this block has been answered and the page shows the answer."""
    with page.expect_response(lambda answer: "/customers/filter" in answer.url):
        yield
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


def press(page, action):
    with rewritten(page):
        page.locator(f'#filter-builder button[value="{action}"]').click()


def choose(page, name, value):
    with rewritten(page):
        control(page, name).select_option(value)


def build(page):
    """Ask for: industry is Timber, and has an e-mail address, and not archived."""
    press(page, "add:f")
    choose(page, "f.0.field", "industry")
    with rewritten(page):
        control(page, "f.0.value").fill("Timber")
        control(page, "f.0.value").blur()
    press(page, "related:f")
    choose(page, "f.1.relation", "contact_points")
    press(page, "add:f")
    choose(page, "f.2.field", "status")
    choose(page, "f.2.op", "ne")
    choose(page, "f.2.value", "archived")


def test_a_filter_is_built_counted_applied_and_shared(open_page, customers):
    page = open_page()
    page.goto("/customers/filter")

    build(page)
    count = page.locator("[data-builder-count]")
    expect(count).to_have_text("1 record")
    choose(page, "f.2.op", "eq")
    expect(count).to_have_text("1 record")
    address = page.locator(".crm-builder-address input")
    expect(address).to_have_value(re.compile("archived"))
    page.get_by_role("button", name="Apply").click()

    expect(page.locator("main")).to_contain_text("Birch Wood")
    expect(page.locator("main")).not_to_contain_text("Ash Wood")
    other = open_page(width=360)
    other.goto(page.url)
    expect(other.locator("main")).to_contain_text("Birch Wood")


def test_a_condition_is_changed_again_from_the_list_it_led_to(open_page, customers):
    page = open_page()
    page.goto("/customers/filter")
    build(page)
    expect(page.locator("[data-builder-count]")).to_have_text("1 record")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"/customers\?.*filter="))

    page.goto(page.url.replace("/customers?", "/customers/filter?"))
    press(page, "drop:f.1")

    expect(page.locator("[data-builder-count]")).to_have_text("2 records")


def test_without_scripts_the_same_pages_lead_there(open_page, customers):
    page = open_page(java_script_enabled=False)
    page.goto("/customers/filter")

    page.locator('#filter-builder button[value="add:f"]').click()
    control(page, "f.0.field").select_option("industry")
    page.get_by_role("button", name="Update").last.click()
    control(page, "f.0.value").fill("Timber")
    page.get_by_role("button", name="Update").last.click()

    expect(page.locator("[data-builder-count]")).to_have_text("3 records")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("main")).to_contain_text("Cedar Wood")
