"""Records by their dates: a month, a week, the next one, a day, and from there the record."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


@pytest.fixture(scope="module")
def dated(api) -> str:
    """A pipeline's calendar with an opportunity that closes on the 14th of this month's successor."""
    pipeline = api("sfa/pipelines", name="Calendar")["id"]
    customer = api("customers", kind="organization", display_name="Calendar Ltd")["id"]
    fields = {"pipeline": pipeline, "customer": customer, "opened_on": "2026-01-05", "close_date": "2026-03-12"}
    api("sfa/opportunities", name="Closes in March", **fields)
    return f"/sfa/opportunities?view=calendar&pipeline={pipeline}&day=2026-02-10"


def heading(page):
    return page.locator("#crm-calendar-heading")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_next_month_is_reached_and_the_record_opened(open_page, dated, violations, width, too_wide):
    page = open_page(width=width)
    page.goto(dated)
    expect(heading(page)).to_have_text("February 2026")
    expect(page.get_by_role("link", name="Closes in March")).to_have_count(0)

    page.get_by_role("link", name="Later", exact=True).click()
    expect(heading(page)).to_have_text("March 2026")
    day = page.locator(".crm-day").filter(has=page.locator("time[datetime='2026-03-12']"))
    expect(day.get_by_role("link", name="Closes in March")).to_be_visible()
    assert violations(page, widths=(width,)) == []
    assert too_wide(page) <= 0
    day.get_by_role("link", name="Closes in March").click()

    expect(page.get_by_role("heading", name="Closes in March", level=1)).to_be_visible()


def test_a_week_begins_where_the_language_says_and_moves_by_seven_days(open_page, dated):
    page = open_page()
    page.goto(dated.replace("2026-02-10", "2026-03-04"))
    page.get_by_role("navigation", name="Span").get_by_role("link", name="Week").click()
    days = page.locator(".crm-day time")
    expect(days).to_have_count(7)
    first = dt.date.fromisoformat(days.first.get_attribute("datetime"))
    expect(page.get_by_role("link", name="Closes in March")).to_have_count(0)

    page.get_by_role("link", name="Later", exact=True).click()

    expect(days.first).to_have_attribute("datetime", (first + dt.timedelta(days=7)).isoformat())
    expect(page.get_by_role("link", name="Closes in March")).to_be_visible()
    page.get_by_role("link", name="Earlier", exact=True).click()
    expect(days.first).to_have_attribute("datetime", first.isoformat())


def test_a_new_record_of_a_day_has_that_day(open_page, dated):
    page = open_page()
    page.goto(dated)
    page.locator(".crm-day").filter(has=page.locator("time[datetime='2026-02-18']")).hover()
    page.get_by_role("link", name=re.compile(r"New Opportunity on .*18")).click()

    expect(page.locator("[name=close_date]")).to_have_value("2026-02-18")


def test_the_agenda_is_reached_by_keyboard_alone(open_page, dated):
    page = open_page()
    page.goto(dated.replace("2026-02-10", "2026-03-04"))
    page.get_by_role("navigation", name="Span").get_by_role("link", name="Agenda").focus()
    page.keyboard.press("Enter")
    entry = page.get_by_role("link", name="Closes in March")
    entry.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Closes in March", level=1)).to_be_visible()
