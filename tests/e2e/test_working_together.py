"""Somebody writes a note, attaches a file and tags a customer; whom the note mentions finds it by the bell."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture(scope="module")
def colleague(site, browser):
    """The browser state of a representative, Grace Hopper."""
    email = "grace@site.example"
    made = json.loads(
        site.crm("users", "create", email, "--name", "Grace Hopper", "--role", "representative", "--json")
    )
    context = browser.new_context(base_url=site.url, locale="en-GB")
    page = context.new_page()
    page.goto("/auth/login")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(made["password"])
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(lambda address: "/auth/" not in address)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def customer(site, browser, signed_in):
    """The page of a new customer."""
    context = browser.new_context(base_url=site.url, storage_state=signed_in)
    page = context.new_page()
    page.goto("/")
    headers = {"X-CSRFToken": page.locator("meta[name=csrf-token]").get_attribute("content"), "Referer": site.url}
    fields = {"kind": "organization", "display_name": "Together Ltd"}
    answer = context.request.post("/api/customers", data=fields, headers=headers)
    assert answer.status == 201, answer.text()
    address = f"/customers/{answer.json()['id']}"
    context.close()
    return address


@pytest.mark.parametrize("width", [1280, 360])
def test_a_mention_is_completed_by_keyboard_and_found_by_the_bell(open_page, colleague, customer, width, too_wide):
    ada, grace = open_page(width=width), open_page(width=width, storage_state=colleague)
    grace.goto("/")
    ada.goto(customer)

    note = ada.get_by_label("New note")
    note.press_sequentially("Please call, @hop")
    expect(ada.get_by_role("option", name="Grace Hopper")).to_be_visible()
    note.press("Enter")
    note.press_sequentially("**today**")
    ada.get_by_role("button", name="Add the note").click()
    expect(ada.locator(".crm-note .crm-mention")).to_have_text("@Grace Hopper")
    expect(ada.get_by_label("New note")).to_have_value("")

    grace.reload()
    expect(grace.locator(".crm-bell-count")).to_have_text("1")
    grace.get_by_role("link", name="Notifications").click()
    grace.get_by_role("button", name="Unread: Ada Site mentioned you: Together Ltd").click()
    expect(grace.locator(".crm-note strong").last).to_have_text("today")
    expect(grace.locator(".crm-bell-count")).to_have_count(0)
    assert too_wide(grace) <= 0


def test_files_and_tags_of_a_customer(open_page, customer):
    page = open_page()
    page.goto(customer)

    page.get_by_label("New file").set_input_files(
        {"name": "offer.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\noffer"}
    )
    page.get_by_role("button", name="Attach").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="offer.pdf").click()
    page.get_by_label("New tags, separated by commas").fill("Chairs, Lille")
    page.get_by_label("New tags, separated by commas").press("Enter")

    assert download.value.suggested_filename == "offer.pdf"
    page.get_by_role("link", name="Lille", exact=True).click()
    expect(page.get_by_role("link", name="Together Ltd")).to_have_count(1)
    assert "filter=" in page.url


def test_a_note_is_written_without_scripts(open_page, customer):
    page = open_page(java_script_enabled=False)
    page.goto(customer)

    page.get_by_label("New note").fill("By hand")
    page.get_by_role("button", name="Add the note").click()

    expect(page.locator(".crm-note-body")).to_have_text("By hand")
