"""The command palette by keyboard alone: what is typed badly is found, and what is not permitted is not there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture(scope="module")
def rep(api, colleague):
    """A representative, an opportunity that is his and one that is not, and a customer with an accent."""
    found = colleague("Tim Palette")
    customer = api("customers", kind="organization", display_name="Café Zéphyrine")["id"]
    api("sfa/opportunities", name="Zephyr mine", customer=customer, owner=found.id)
    api("sfa/opportunities", name="Zephyr secret", customer=customer)
    return found


@pytest.fixture
def ask(open_page):
    """Open the palette by its keys and type: ``ask("words")`` → the page."""

    def run(text, **options):
        page = open_page(**options)
        page.goto("/notifications")
        page.wait_for_load_state()
        page.keyboard.press("Control+k")
        expect(page.locator("dialog[data-palette]").get_by_role("combobox")).to_be_focused()
        page.keyboard.type(text)
        return page

    return run


def option(page, name):
    return page.get_by_role("option", name=name)


@pytest.mark.parametrize("typed", ["cafe zephyrine", "CAFÉ ZÉPH", "zephirine", "zepyhrine"])
def test_a_record_is_found_without_accents_and_with_a_slip(ask, rep, typed):
    page = ask(typed)
    expect(option(page, "Café Zéphyrine")).to_be_visible()
    while page.locator("[role=option][aria-selected=true]").inner_text() != "Café Zéphyrine":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Café Zéphyrine")).to_be_visible()


def test_a_modules_command_opens_its_page(ask, rep):
    page = ask("kanban", storage_state=rep.state)
    expect(option(page, "Pipeline board")).to_be_visible()
    page.keyboard.press("Enter")

    page.wait_for_url("**/sfa/opportunities?view=board")


def test_nothing_is_offered_that_is_not_permitted(ask, rep):
    page = ask("zephyr", storage_state=rep.state)
    expect(option(page, "Zephyr mine")).to_be_visible()
    expect(option(page, "Zephyr secret")).to_have_count(0)
    page.locator("dialog[data-palette]").get_by_role("combobox").fill("modules")
    expect(option(page, re.compile("^Search everywhere for “modules”"))).to_be_visible()
    expect(page.get_by_role("option", name="Modules", exact=True)).to_have_count(0)

    page = ask("modules")
    expect(page.get_by_role("option", name="Modules", exact=True)).to_be_visible()


def test_it_closes_on_escape_and_gives_the_focus_back(ask):
    page = ask("cust")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[data-palette]")).to_be_hidden()
    link = page.get_by_role("link", name="Customers", exact=True)
    link.focus()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")

    expect(link).to_be_focused()


def test_on_a_phone_it_opens_by_its_button(open_page, violations, too_wide):
    page = open_page(width=360)
    page.goto("/customers")
    page.get_by_role("button", name="Commands", exact=True).click()
    page.keyboard.type("new")
    expect(page.get_by_role("option").first).to_be_visible()

    assert violations(page, widths=(360,)) == []
    assert too_wide(page) <= 0
