"""One field is changed where it is read, without the whole form, and taken back with one click."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture
def customer(api) -> str:
    """The page of a new customer whose stage is lead."""
    made = api("customers", kind="organization", display_name="In Place Ltd", stage="lead", industry="Places")
    return f"/customers/{made['id']}"


def fact(page, label: str):
    return (
        page.locator(".crm-facts > div").filter(has=page.locator("dt", has_text=re.compile(f"^{label}$"))).locator("dd")
    )


def edit(page, value: str) -> None:
    """Change the stage by keyboard alone, from its pencil."""
    page.get_by_role("button", name="Edit Stage").focus()
    page.keyboard.press("Enter")
    field = page.locator(".crm-dialog[open]").get_by_label("Stage")
    expect(field).to_be_focused()
    field.select_option(value)
    page.locator(".crm-dialog[open]").get_by_role("button", name="Save").click()


@pytest.mark.parametrize("width", [1280, 360])
def test_a_field_is_changed_on_the_page_and_taken_back(open_page, customer, violations, width, too_wide):
    page = open_page(width=width)
    page.goto(customer)
    expect(fact(page, "Stage")).to_contain_text("Lead")

    edit(page, "prospect")
    expect(fact(page, "Stage")).to_contain_text("Prospect")
    toast = page.locator(".crm-toast")
    expect(toast).to_contain_text("Stage: saved.")
    toast.get_by_role("link", name="Undo").focus()  # what has the focus does not leave meanwhile
    assert violations(page, widths=(width,)) == []
    assert too_wide(page) <= 0
    toast.get_by_role("link", name="Undo").click()

    expect(fact(page, "Stage")).to_contain_text("Lead")
    page.reload()
    expect(fact(page, "Stage")).to_contain_text("Lead")


def test_an_undo_after_somebody_elses_change_leaves_that_change(open_page, customer):
    page, other = open_page(), open_page()
    page.goto(customer)
    edit(page, "prospect")
    expect(page.locator(".crm-toast")).to_contain_text("Stage: saved.")
    other.goto(customer)
    edit(other, "customer")
    expect(fact(other, "Stage")).to_contain_text("Customer")

    page.locator(".crm-toast").get_by_role("link", name="Undo").click()

    expect(fact(page, "Stage")).to_contain_text("Customer")
    other.reload()
    expect(fact(other, "Stage")).to_contain_text("Customer")


def test_a_cell_of_a_list_is_changed_in_the_list(open_page, customer):
    page = open_page()
    page.goto("/customers?industry=Places")
    row = page.locator("main tbody tr").first
    row.hover()
    row.get_by_role("button", name="Edit Stage").click()
    dialog = page.locator(".crm-dialog[open]")
    dialog.get_by_label("Stage").select_option("former")
    dialog.get_by_role("button", name="Save").click()

    expect(row).to_contain_text("Former customer")
    page.wait_for_url(re.compile(r"/customers\?industry=Places"))
