"""Every kind of page holds WCAG 2.2 AA as far as axe-core can tell: on a phone and a desk, light and dark.

axe finds what a machine can find (contrast, names, roles, target sizes); the order of the keyboard is in
``test_keyboard.py``. Swagger's own markup on the page of the API is somebody else's and not judged here.
"""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]

#: What the pages show: the address each kind of page is under once `records` has been made.
PAGES = {
    "the start page": "/",
    "a list": "/customers",
    "a list with a filter that nothing fits": "/customers?kind=person&q=nobody",
    "a board": "/sfa/opportunities?view=board",
    "a calendar": "/sfa/opportunities?view=calendar",
    "a calendar's week": "/sfa/opportunities?view=calendar&span=week",
    "an agenda": "/sfa/opportunities?view=calendar&span=agenda",
    "a dashboard": "/sfa/dashboard",
    "a customer": "{customer}",
    "an opportunity": "{opportunity}",
    "a form with subforms": "{customer}/edit",
    "an action's form": "{opportunity}/lose",
    "the timeline's form": "/interactions/new",
    "saved views": "/views",
    "bulk actions": "/bulk-runs",
    "the form of one field": "{customer}/field/stage",
    "the search": "/search?q=acces",
    "a search that finds nothing": "/search?q=nowhere",
    "the users": "/users",
    "a user": "{user}",
    "a role": "{role}",
    "the audit log": "/audit",
    "the imports": "/imports",
    "an explanation": "/access/explain?permission=customer.read",
    "the automation rules": "/rules",
    "a rule's form": "/rules/new",
    "the tags": "/tags",
    "the notifications": "/notifications",
    "the settings of notifications": "/notifications/settings",
    "the own profile": "/profile",
    "sign-in and security": "/profile/security",
    "the overview of administration": "/admin/",
    "the modules": "/admin/modules",
    "a module": "/admin/modules/sfa",
    "the events": "/admin/events",
    "the dead deliveries": "/admin/events/dead",
    "the health": "/admin/health",
    "the change of the password": "/auth/change",
}


@pytest.fixture(scope="module")
def records(site, browser, signed_in) -> dict[str, str]:
    """One record of each kind, connected: its kind → the address of its page."""
    context = browser.new_context(base_url=site.url, storage_state=signed_in)
    page = context.new_page()
    page.goto("/")
    token = page.locator("meta[name=csrf-token]").get_attribute("content")

    def make(path, **fields):
        answer = context.request.post(f"/api/{path}", data=fields, headers={"X-CSRFToken": token, "Referer": site.url})
        assert answer.status == 201, answer.text()
        return answer.json()["id"]

    firm = make(
        "customers",
        kind="organization",
        display_name="Accessible Ltd",
        contact_points=[
            {"channel": "email", "value": "hello@accessible.example", "is_primary": True},
            {"channel": "phone", "value": "+33199001234"},
        ],
        addresses=[{"purpose": "visit", "street": "1 quai Test", "postal_code": "59800", "city": "Lille"}],
    )
    person = make("customers", kind="person", given_name="Zoé", family_name="Accessible")
    make("relationships", from_customer=person, to_customer=firm, type="employment", role="Buyer")
    make(
        "interactions",
        customer=firm,
        kind="call",
        channel="phone",
        summary="Called",
        occurred_at="2026-01-01T10:00:00Z",
    )
    about = {"subject_type": "customer", "subject_id": firm}
    answers = [
        ("notes", {**about, "body": "A **note** with a [link](https://crm.example) for @Ada Site"}),
        ("tags/change", {"subject_type": "customer", "subject_ids": [firm], "add": ["Accessible", "Paris"]}),
    ]
    for path, fields in answers:
        headers = {"X-CSRFToken": token, "Referer": site.url}
        assert context.request.post(f"/api/{path}", data=fields, headers=headers).ok
    deal = make("sfa/opportunities", name="Accessible deal", customer=firm, amount="1200.50", currency="EUR")
    for number in range(3):
        make(
            "sfa/opportunities",
            name=f"Another deal {number}",
            customer=person,
            opened_on="2026-01-01",
            close_date="2026-01-31",
        )
    found = {"customer": f"/customers/{firm}", "opportunity": f"/sfa/opportunities/{deal}"}
    for kind in ("user", "role"):
        page.goto(f"/{kind}s")
        found[kind] = page.locator("main tbody a").first.get_attribute("href")
    context.close()
    return found


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_has_no_violation_that_axe_can_find(open_page, records, kind, violations):
    page = open_page()
    page.goto(PAGES[kind].format(**records))
    page.wait_for_load_state("networkidle")

    assert violations(page) == []


def test_the_palette_has_none(open_page, records, violations):
    page = open_page()
    page.goto("/customers")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("new")
    page.get_by_role("option").first.wait_for()

    assert violations(page) == []


@pytest.mark.parametrize("path", ["/auth/login", "/auth/reset"])
def test_the_pages_before_the_log_in_have_none(open_page, path, violations):
    page = open_page(storage_state=None)
    page.goto(path)

    assert violations(page) == []


def test_a_form_with_errors_has_none(open_page, violations):
    page = open_page()
    open_page.expected.append("422")
    page.goto("/customers/new")
    page.get_by_role("button", name="Add").first.click()
    page.locator("[name=contact_points-0-channel]").select_option("phone")
    page.locator("[name=contact_points-0-value]").fill("12 34")
    page.get_by_role("button", name="Save").click()
    page.locator("[data-error-summary]").wait_for()

    assert violations(page) == []


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/customers?nonsense=1", 422)])
def test_error_pages_have_none(open_page, path, status, violations):
    page = open_page()
    open_page.expected.append(str(status))
    assert page.goto(path).status == status

    assert violations(page) == []


def test_what_opens_on_a_click_has_none(open_page, records, violations):
    page = open_page()
    page.goto("/sfa/opportunities?view=board")
    page.locator("summary").filter(has_text="Filter").click()
    assert violations(page) == []

    page.keyboard.press("Escape")
    page.locator("summary[aria-label^='Appearance']").click()
    assert violations(page) == []

    page.keyboard.press("Escape")
    page.locator("[data-card-menu]").first.click()
    assert violations(page) == []

    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(records["opportunity"])
    page.get_by_role("button", name=re.compile("^Lose")).click()
    page.locator(".crm-dialog[open] form").wait_for()
    assert violations(page) == []


def test_the_page_of_the_api_has_none_beside_swaggers_own(open_page, violations):
    page = open_page()
    page.goto("/api/docs")
    page.locator(".swagger-ui .info").wait_for()
    page.evaluate("document.documentElement.dataset.bsTheme = 'light'")

    assert violations.as_it_is(page) == []


def test_the_pages_that_customers_open_from_a_message_have_none(open_page, site, records, violations):
    uid = records["customer"].rpartition("/")[2]
    asked = site.crm("consent", "ask", uid, "--purpose", "marketing", "--print-link").strip()
    chosen = site.crm("consent", "link", uid).strip()
    page = open_page(storage_state=None)

    for link in (asked, chosen):
        page.goto(link[link.index("/contact/") :])
        assert violations(page) == []

    page.get_by_role("button", name="Unsubscribe from everything").click()
    page.get_by_text("You are unsubscribed from everything.").wait_for()
    assert violations(page) == []
