"""Everything on list, board and detail page is done by keyboard alone, and the focus is never lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]

FOCUSED = ":focus"


@pytest.fixture(scope="module")
def call(site, browser, signed_in):
    """Create through the API as the administrator: ``call("customers", kind="person", …)`` → its id."""
    context = browser.new_context(base_url=site.url, storage_state=signed_in)
    page = context.new_page()
    page.goto("/")
    token = page.locator("meta[name=csrf-token]").get_attribute("content")

    def run(path, **fields):
        answer = context.request.post(f"/api/{path}", data=fields, headers={"X-CSRFToken": token, "Referer": site.url})
        assert answer.status == 201, answer.text()
        return answer.json()["id"]

    yield run
    context.close()


@pytest.fixture(scope="module")
def pipeline(call) -> str:
    """A pipeline of this file's own with 53 opportunities in its first stage: its id."""
    customer = call("customers", kind="organization", display_name="Keys Ltd")
    made = call("sfa/pipelines", name="Keys")
    for number in range(53):
        call("sfa/opportunities", name=f"Key {number:02}", customer=customer, pipeline=made)
    return made


@pytest.fixture
def board(open_page, pipeline):
    page = open_page()
    page.goto(f"/sfa/opportunities?view=board&pipeline={pipeline}&sort=name")
    return page


def tab_to(page, selector: str, most: int = 60) -> None:
    """Press Tab until something that fits has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    pytest.fail(f"{selector} is not reached by {most} times Tab")


def test_the_first_stop_skips_the_navigation(open_page):
    page = open_page()
    page.goto("/customers")
    page.keyboard.press("Tab")
    expect(page.locator(".crm-skip")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("path", ["/customers", "/sfa/opportunities?view=board", "/customers/new"])
def test_every_stop_of_the_tab_key_is_seen(open_page, path):
    page = open_page()
    page.goto(path)

    for _ in range(45):
        page.keyboard.press("Tab")
        seen = page.evaluate("""() => {
          const found = document.activeElement, box = found.getBoundingClientRect();
          const shown = getComputedStyle(found);
          const ring = shown.outlineStyle !== "none" && parseFloat(shown.outlineWidth) > 0;
          return found === document.body || (box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && ring)
            ? null : found.outerHTML.slice(0, 200);
        }""")
        assert seen is None


def test_a_filter_closes_on_escape_and_gives_the_focus_back(open_page):
    page = open_page()
    page.goto("/customers")
    head = page.locator("summary").filter(has_text="Filter")
    head.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details[open] .crm-filter-list")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")

    expect(head).to_be_focused()
    expect(page.locator("details[data-pop][open]")).to_have_count(0)


def test_a_list_is_sorted_and_a_record_opened_by_keyboard(open_page, pipeline):
    page = open_page()
    page.goto("/sfa/opportunities")
    tab_to(page, "thead a")
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=*")
    tab_to(page, "tbody a")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/sfa/opportunities/[0-9a-f-]{36}"))


def test_a_lifted_card_goes_back_on_escape_and_keeps_the_focus(board):
    card = board.locator("[data-card]").first
    name = card.get_attribute("aria-label")
    card.focus()
    for key in ("Space", "ArrowRight", "Escape"):
        board.keyboard.press(key)

    expect(board.locator(FOCUSED)).to_have_attribute("aria-label", name)
    expect(board.locator("[data-column]").first.locator("[data-card]").first).to_have_attribute("aria-label", name)
    expect(board.locator("#crm-announcer")).to_contain_text("Cancelled")


def test_a_cards_menu_closes_on_escape_and_gives_the_focus_back(board):
    tab_to(board, "[data-card-menu]")
    name = board.locator(FOCUSED).get_attribute("aria-label")
    board.keyboard.press("Enter")
    expect(board.locator("[data-board-menu] button[value]:focus")).to_have_count(1)
    board.keyboard.press("Escape")

    expect(board.locator(FOCUSED)).to_have_attribute("aria-label", name)


def test_the_rest_of_a_column_comes_on_enter_and_takes_the_focus(board):
    column = board.locator("[data-column]").first
    expect(column.locator("[data-card]")).to_have_count(50)
    column.locator(".crm-board-more a").focus()
    board.keyboard.press("Enter")

    expect(column.locator("[data-card]")).to_have_count(53)
    expect(board.locator(FOCUSED)).to_have_attribute("aria-label", "Key 50")
    expect(column.locator(".crm-board-more")).to_have_count(0)
    for key in ("Space", "ArrowRight", "Enter"):
        board.keyboard.press(key)
    expect(board.locator("[data-column]").nth(1)).to_contain_text("Key 50")


def test_a_card_that_was_moved_into_a_column_is_not_loaded_into_it_again(board):
    first, second = board.locator("[data-column]").first, board.locator("[data-column]").nth(1)
    board.locator(".crm-board-more a").first.evaluate("link => link.closest('ol').append(link.closest('li'))")
    hidden = board.request.get(board.locator(".crm-board-more a").first.get_attribute("hx-get")).text()
    slot = re.search(r'<li class="crm-board-slot">.*?</li>', hidden, re.DOTALL)[0]
    second.locator("[data-cards]").evaluate("(list, slot) => list.insertAdjacentHTML('afterbegin', slot)", slot)
    first.locator(".crm-board-more a").click()

    expect(board.locator(".crm-board-more")).to_have_count(0)
    uid = re.search('data-card="([^"]+)"', slot)[1]
    expect(board.locator(f'[data-card="{uid}"]')).to_have_count(1)


def test_the_rest_of_a_column_is_a_list_without_javascript(open_page, pipeline):
    page = open_page(java_script_enabled=False)
    page.goto(f"/sfa/opportunities?view=board&pipeline={pipeline}&sort=name")
    page.locator(".crm-board-more a").first.click()

    expect(page.locator("main table")).to_contain_text("Key 52")
    expect(page.locator("main table")).not_to_contain_text("Key 49")


def test_a_dialog_takes_the_focus_to_its_first_field_and_gives_it_back(open_page, call, pipeline):
    customer = call("customers", kind="organization", display_name="Dialog Ltd")
    deal = call("sfa/opportunities", name="Dialog", customer=customer, pipeline=pipeline)
    page = open_page()
    page.goto(f"/sfa/opportunities/{deal}")
    button = page.get_by_role("button", name=re.compile("^Lose")).first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".crm-dialog[open] :is(input, select, textarea):focus")).to_have_count(1)
    page.keyboard.press("Escape")

    expect(button).to_be_focused()


def test_a_dialog_opened_from_a_menu_gives_the_focus_back_to_the_menus_button(open_page, call):
    page = open_page()
    page.goto(f"/customers/{call('customers', kind='organization', display_name='Menu Ltd')}")
    menu = page.locator("main summary[aria-label='More actions']")
    menu.focus()
    for _ in range(page.locator("main .crm-menu-item").count()):
        page.keyboard.press("ArrowDown")
        if "Delete" in page.locator(FOCUSED).inner_text():
            break
    expect(page.locator(FOCUSED)).to_contain_text("Delete")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")

    expect(menu).to_be_focused()
