"""Somebody arranges a list, keeps it, shares it with the team, and opens it first; colleagues see what they may see."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture(scope="module")
def people(api, colleague):
    """Radia and Rob of one team and Sue of none, all of whom see the team's opportunities at the most."""
    team = api("teams", name="North")["id"]
    return {
        "radia": colleague("Radia Perlman", "manager", team),
        "rob": colleague("Rob Pike", "manager", team),
        "sue": colleague("Sue Black", "manager"),
    }


@pytest.fixture(scope="module")
def address(api, people) -> str:
    """The list of a pipeline with four opportunities, three of them Radia's and two of these of one amount."""
    pipeline = api("sfa/pipelines", name="Boats")["id"]
    customer = api("customers", kind="organization", display_name="Boats Ltd")["id"]
    rows = (("Boat c", "100", "radia"), ("Boat a", "900", "radia"), ("Boat b", "900", "radia"), ("Boat d", "50", "sue"))
    for name, amount, owner in rows:
        fields = {"customer": customer, "pipeline": pipeline, "amount": amount, "currency": "EUR"}
        api("sfa/opportunities", name=name, owner=people[owner].id, **fields)
    return f"/sfa/opportunities?pipeline={pipeline}&view=list"


@pytest.fixture
def open_as(open_page, people):
    """Open pages as one of them: ``open_as("rob")``."""
    return lambda name, **options: open_page(storage_state=people[name].state, **options)


def save(page, name: str, sharing: str) -> None:
    page.locator("summary").filter(has_text="View").click()
    page.get_by_role("button", name="Save as a new view").click()
    page.locator("#view-name").fill(name)
    page.locator("#view-sharing").select_option(sharing)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(tab(page, name)).to_have_attribute("aria-current", "page")


def tab(page, name: str):
    return page.get_by_role("navigation", name="Saved views").get_by_role("link", name=name)


def shown(page) -> list[str]:
    return page.locator("main tbody .crm-col-main").all_inner_texts()


def arrange(page, address: str) -> None:
    """Choose a pipeline, columns, and an order by two fields, the second by its header and Shift."""
    page.goto(address)
    page.locator("summary").filter(has_text="Columns").click()
    chooser = page.get_by_role("form", name="Columns")
    boxes = chooser.locator("input[name=columns]")
    for value in [box.get_attribute("value") for box in boxes.all()]:
        chooser.locator(f"input[value='{value}']").set_checked(value in ("name", "amount"))
    chooser.get_by_role("button", name="Apply").click()
    expect(page.locator("main thead th")).to_have_text([re.compile("^$"), re.compile("Name"), re.compile("Amount")])
    page.locator("main thead").get_by_role("link", name="Amount").click()
    page.wait_for_url(re.compile("sort=amount"))
    page.locator("main thead").get_by_role("link", name=re.compile("^Name")).click(modifiers=["Shift"])
    page.wait_for_url(re.compile("sort=amount(,|%2C)name"))


def test_a_view_is_private_until_it_is_shared_with_the_team(open_as, address):
    page, rob, sue = open_as("radia"), open_as("rob"), open_as("sue")
    arrange(page, address)
    assert shown(page) == ["Boat c", "Boat a", "Boat b"]

    save(page, "Boats", "private")
    rob.goto("/sfa/opportunities")
    expect(tab(rob, "Boats")).to_have_count(0)

    page.locator("summary").filter(has_text="View").click()
    page.get_by_role("link", name="Rename, share").click()
    page.get_by_label("Who sees it").select_option("team")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(re.compile(r"/views/[0-9a-f-]{36}$"))
    rob.reload()
    tab(rob, "Boats").click()
    expect(rob.locator("main thead th")).to_have_count(3)
    assert shown(rob) == ["Boat c", "Boat a", "Boat b"]
    sue.goto("/sfa/opportunities")
    expect(tab(sue, "Boats")).to_have_count(0)


def test_everybody_sees_in_a_shared_view_what_he_may_see(open_page, open_as, address):
    page, sue = open_page(), open_as("sue")
    arrange(page, address)
    assert shown(page) == ["Boat d", "Boat c", "Boat a", "Boat b"]

    save(page, "Every boat", "everyone")
    sue.goto("/sfa/opportunities")
    tab(sue, "Every boat").click()

    expect(sue.locator("main tbody .crm-col-main")).to_have_text(["Boat d"])
    expect(sue.locator(".crm-page-subtitle")).to_have_text("1 record")


def test_the_view_somebody_wants_first_is_the_list_he_opens(open_as, address):
    page = open_as("rob")
    arrange(page, address)
    save(page, "Mine first", "private")

    page.locator("summary").filter(has_text="View").click()
    page.get_by_role("button", name="Show me this first").click()
    expect(page.locator(".crm-toast")).to_be_visible()
    page.goto("/")
    page.get_by_role("link", name="Opportunities", exact=True).first.click()

    expect(tab(page, "Mine first")).to_have_attribute("aria-current", "page")
    assert shown(page) == ["Boat c", "Boat a", "Boat b"]
    page.locator("summary").filter(has_text="View").click()
    page.get_by_role("button", name="No first view").click()
    expect(page.locator(".crm-toast")).to_be_visible()
    page.goto("/sfa/opportunities")
    expect(tab(page, "Mine first")).not_to_have_attribute("aria-current", "page")


def test_a_view_is_changed_by_what_one_does_in_it_on_a_phone(open_as, address, violations):
    page = open_as("sue", width=360)
    page.goto(address)
    save(page, "On the way", "private")
    page.locator("summary").filter(has_text="Sort").click()
    page.locator(".crm-pop[open]").get_by_role("link", name="Amount", exact=True).click()
    page.wait_for_url(re.compile("sort="))
    page.locator("summary").filter(has_text="View").click()
    assert violations(page, widths=(360,)) == []
    page.get_by_role("button", name="Save the changes").click()
    expect(page.locator(".crm-toast")).to_be_visible()

    page.goto("/sfa/opportunities")
    tab(page, "On the way").click()
    page.locator("summary").filter(has_text="Sort").click()
    expect(page.locator(".crm-pop[open]").get_by_role("link", name="Do not sort by Amount")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
