"""A representative's day in the browser: the story the first step must tell."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

#: Seconds; as in conftest.py.
PATIENCE = 120.0

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


def fill_reference(page, label: str, text: str) -> None:
    field = page.get_by_role("combobox", name=label)
    field.click()
    field.fill(text)
    page.get_by_role("option", name=re.compile(text)).first.click()


@pytest.fixture
def opportunity(open_page):
    """A page on the board with a new opportunity of a new customer on it; its name."""

    def make(customer: str, name: str, amount: str = "1 200,50"):
        page = open_page()
        page.goto("/customers/new")
        page.locator("[name=kind]").select_option("organization")
        page.locator("[name=display_name]").fill(customer)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name=customer)).to_be_visible()
        page.goto("/sfa/opportunities/new")
        page.locator("[name=name]").fill(name)
        fill_reference(page, "Customer", customer)
        page.locator("[name=amount]").fill(amount.replace(" ", "").replace(",", "."))
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.wait_for_load_state()  # a button that opens a dialog is a plain link until its script has run
        return page

    return make


def test_a_wrong_password_is_told_without_saying_what_was_wrong(open_page, site):
    page = open_page(storage_state=None)
    page.goto("/")
    page.locator("[name=email]").fill(site.login["email"])
    page.locator("[name=password]").fill("not the password")
    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page).to_have_url(re.compile("/auth/login"))
    expect(page.locator("body")).not_to_contain_text("not the password")
    expect(page.locator("main")).to_contain_text("E-mail and password do not fit")


def test_a_wrong_phone_number_is_refused_at_its_field_with_the_reason(open_page):
    page = open_page()
    open_page.expected.append("422")
    page.goto("/customers/new")
    page.locator("[name=kind]").select_option("person")
    page.locator("[name=family_name]").fill("Dupont")
    page.get_by_role("button", name="Add").first.click()
    page.locator("[name=contact_points-0-channel]").select_option("phone")
    page.locator("[name=contact_points-0-value]").fill("12 34")
    page.get_by_role("button", name="Save").click()

    value = page.locator("[name=contact_points-0-value]")
    expect(value).to_have_attribute("aria-invalid", "true")
    expect(value).to_have_value("12 34")
    expect(page.locator("[data-error-summary]")).to_contain_text("12 34")

    value.fill("01 99 00 12 34")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Dupont")).to_be_visible()
    expect(page.locator("#panel-kernel-contact_points")).to_contain_text("01 99 00 12 34")


def test_an_opportunity_moves_by_mouse_and_by_keyboard_and_stays_moved(opportunity):
    page = opportunity("Moving Ltd", "Move me")
    page.goto("/sfa/opportunities?view=board")
    columns = page.locator("[data-column]")
    card = page.locator("[data-card]", has_text="Move me")

    _until(
        page, "window.Sortable && [...document.querySelectorAll('[data-cards]')].every((list) => Sortable.get(list))"
    )
    with page.expect_response(_changes):
        card.drag_to(columns.nth(1).locator("[data-cards]"), target_position={"x": 100, "y": 20})
    expect(columns.nth(1)).to_contain_text("Move me")
    page.reload()
    expect(columns.nth(1)).to_contain_text("Move me")

    page.locator("[data-card]", has_text="Move me").focus()
    with page.expect_response(_changes):
        for key in ("Space", "ArrowRight", "Enter"):
            page.keyboard.press(key)
    expect(columns.nth(2)).to_contain_text("Move me")
    expect(page.locator("#crm-announcer")).to_contain_text("moved to")
    page.reload()
    expect(columns.nth(2)).to_contain_text("Move me")


def test_losing_by_a_drop_asks_for_the_reason(opportunity):
    page = opportunity("Losing Ltd", "Lose me")
    page.goto("/sfa/opportunities?view=board")
    lost = page.locator("[data-column]").last
    page.locator("[data-card]", has_text="Lose me").get_by_role("button", name=re.compile("^Move")).click()
    page.locator("[data-board-menu] button").filter(has_text=re.compile("Lost", re.IGNORECASE)).click()
    dialog = page.locator(".crm-dialog[open]")
    expect(dialog).to_contain_text("Reason")
    dialog.get_by_role("combobox").first.select_option(index=1)
    with page.expect_response(_changes):
        dialog.get_by_role("button", name="Lose", exact=True).click()

    expect(lost).to_contain_text("Lose me")
    page.reload()
    expect(page.locator("[data-column]").last).to_contain_text("Lose me")


def test_a_won_opportunity_is_found_in_the_customers_timeline_and_in_the_sales(opportunity):
    page = opportunity("Winning Ltd", "Win me")
    page.get_by_role("button", name="Win").click()
    page.locator(".crm-dialog[open]").get_by_role("button", name="Win").click()
    expect(page.locator("main")).to_contain_text("Won")

    page.get_by_role("link", name="Winning Ltd").click()
    expect(page.locator("#timeline")).to_contain_text("Win me")
    page.goto("/sales")
    expect(page.locator("main table")).to_contain_text("Winning Ltd")
    expect(page.locator("main table")).to_contain_text("€1,200.50")
    page.goto("/sfa/dashboard")
    expect(page.locator("main")).to_contain_text("€1,200.50")


def test_search_finds_a_customer_by_the_start_of_a_word_without_accents(open_page):
    page = open_page()
    page.goto("/customers/new")
    page.locator("[name=kind]").select_option("organization")
    page.locator("[name=display_name]").fill("Crêperie Élan")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Crêperie Élan")).to_be_visible()
    page.wait_for_load_state()  # the shortcut is a script's
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Records, pages, things to do")).to_be_focused()
    page.keyboard.type("crepe ela")
    expect(page.get_by_role("option", name="Crêperie Élan")).to_be_visible()
    # The answer to all that was typed, not to its beginning: a later one marks the first hit again.
    expect(page.get_by_role("option").last).to_have_attribute("data-url", re.compile("crepe.ela|crepe%20ela"))
    page.keyboard.press("ArrowUp")  # from the first to the last: everything that is found, on a page
    page.keyboard.press("Enter")

    page.wait_for_url("**/search?q=*")
    page.keyboard.press("Control+k")
    page.keyboard.type("crepreie")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Crêperie Élan")).to_be_visible()


def test_the_whole_shell_speaks_french(open_page):
    page = open_page(locale="fr-FR")
    page.goto("/customers")
    page.locator("summary[aria-label^='Appearance'], summary[aria-label^='Apparence']").click()
    page.get_by_role("button", name="Français").click()

    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_role("heading", name="Clients")).to_be_visible()
    page.goto("/sfa/opportunities")
    expect(page.get_by_role("heading", name="Opportunités")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/", "/customers", "/customers/new", "/sfa/opportunities?view=board", "/sfa/dashboard", "/api/docs"]
)
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_no_page_scrolls_sideways_or_complains(open_page, path, width, scheme, too_wide):
    page = open_page(width=width, color_scheme=scheme)
    page.goto(path)
    page.wait_for_load_state("networkidle")

    assert too_wide(page) <= 1 or path == "/api/docs"


def test_a_list_and_a_form_work_without_javascript(open_page):
    page = open_page(java_script_enabled=False)
    page.goto("/customers?q=elan")
    expect(page.locator("main table")).to_be_visible()
    page.goto("/customers/new")
    page.locator("[name=kind]").select_option("organization")
    page.locator("[name=display_name]").fill("Plain HTML Ltd")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("heading", name="Plain HTML Ltd")).to_be_visible()


def test_disabling_the_module_takes_its_menu_and_pages_and_keeps_its_rows(opportunity, open_page, site):
    page = opportunity("Keeping Ltd", "Keep me")
    open_page.expected.append("404")
    page.goto("/")
    expect(page.get_by_role("link", name="Opportunities").first).to_be_visible()
    before = site.crm("export", "sfa.opportunity", "--format", "jsonl").count("\n")

    site.crm("modules", "disable", "sfa")
    site.wait_for("/sfa/opportunities", 404)
    _reload_until(page, lambda: not page.get_by_role("link", name="Opportunities").count())
    assert page.goto("/sfa/opportunities").status == 404

    site.crm("modules", "enable", "sfa")
    site.wait_for("/sfa/opportunities", 200)
    _reload_until(page, lambda: page.get_by_role("link", name="Opportunities").count())
    assert site.crm("export", "sfa.opportunity", "--format", "jsonl").count("\n") == before > 0


def _changes(response):
    """Say whether a response answers a change. What the page shows is no proof that the server has heard of it."""
    return response.request.method != "GET"


def _until(page, script):
    """Wait until a script of the page is true."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(f"Boolean({script})"):
        assert time.monotonic() < end, script
        time.sleep(0.05)


def _reload_until(page, holds):
    """Open the start page again until something holds: for a moment the old worker still answers its kept connections."""
    end = time.monotonic() + PATIENCE
    page.goto("/")
    while not holds():
        assert time.monotonic() < end, page.content()
        page.goto("/")
