"""The overview of administration, the page of health, and who may open what."""

from __future__ import annotations

import re

import pytest

from crm_kernel import contributions as c
from crm_kernel._internal.checkup import registered_in


def test_the_overview_lists_every_page_of_administration_the_reader_may_open(admin, login):
    page = admin.get("/admin/").text
    narrow = login(grants={"job.read": "all"}).get("/admin/").text

    for address in (
        "/admin/modules",
        "/admin/events",
        "/admin/health",
        "/jobs",
        "/users",
        "/roles",
        "/admin/fields",
        "/admin/rights",
    ):
        assert f'<li><a href="{address}">' in page
    assert '<li><a href="/jobs">' in narrow
    assert '<li><a href="/admin/modules">' not in narrow


def test_health_shows_the_checks_of_the_doctor_worst_first(admin):
    page = admin.get("/admin/health").text

    assert "kernel at its head" in page or "branches at their heads" in page
    assert "crm doctor" in page
    verdicts = [page.find(">To mend<"), page.find(">Warning<"), page.find(">Fine<")]
    found = [place for place in verdicts if place >= 0]
    assert found == sorted(found)


def test_a_registered_check_that_raises_is_a_finding_and_no_error_page(crm_app, monkeypatch):
    def broken():
        raise RuntimeError("no probe")

    checks = [c.HealthCheck(name="alpha.probe", label="Probe", run=broken)]
    registry = crm_app.extensions["crm"].registry
    monkeypatch.setitem(registry.records, "health_checks", {check.name: check for check in checks})
    monkeypatch.setitem(registry._sorted, "health_checks", checks)

    [found] = registered_in(crm_app)

    assert (found.health, found.message) == ("error", "the check itself failed: RuntimeError: no probe")


@pytest.mark.parametrize(
    "path", ["/admin/modules", "/admin/modules/kernel", "/admin/events", "/admin/events/dead", "/admin/health"]
)
def test_a_page_of_administration_is_refused_to_whom_it_is_not_granted(login, client, path):
    assert login("representative").get(path).status_code == 403
    assert client.get(path).status_code == 302


@pytest.mark.parametrize(
    ("address", "folded"), [("/", True), ("/customers", True), ("/admin/", False), ("/users", False)]
)
def test_the_navigation_folds_administration_away_while_the_reader_works_elsewhere(admin, address, folded):
    page = admin.get(address).text

    start = page.index("<details", page.index('class="crm-nav"'))
    assert (not page[start:].startswith("<details open")) is folded
    assert page.index('href="/customers"') < start < page.index('href="/jobs"')


@pytest.mark.parametrize("address", ["/webhooks", "/webhook-sources", "/webhook-sources/new", "/customers/duplicates"])
def test_one_entry_of_the_navigation_is_marked(admin, address):
    nav = admin.get(address).text.partition('class="crm-nav"')[2].partition("</nav>")[0]

    marked = re.findall(r'<a href="([^"]+)" aria-current="page"', nav)
    assert marked == [address.removesuffix("/new")]


def test_an_empty_list_says_what_can_be_done(admin, login):
    reader = login(grants={"tag.read": "all"})

    assert 'href="/imports?type=product"' in admin.get("/products").text
    assert (
        "reate"
        not in reader.get("/tags")
        .text.partition('class="crm-empty"')[2]
        .partition("</section")[0]
        .partition("<details")[0]
    )
    assert "there is nothing to create here" in admin.get("/erasures").text
    assert "crm import" not in admin.get("/products").text.partition("<main")[2].partition("<details")[0]


def test_the_overview_leads_who_looks_after_everybodys_views_to_them(admin, login):
    own = login(grants={"saved_view.*": "own", "job.read": "all"})

    page = admin.get("/admin/")

    assert 'href="/views"' in page.text
    assert admin.get("/views").status_code == 200
    assert 'href="/views"' not in own.get("/admin/").text


def test_the_documentation_of_the_api_follows_the_theme_and_leads_back(admin):
    page = admin.get("/api/docs").text

    assert "theme.js" in page
    assert 'href="/">' in page.partition("<body>")[2]
