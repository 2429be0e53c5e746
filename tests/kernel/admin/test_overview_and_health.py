"""The overview of administration, the page of health, and who may open what."""

from __future__ import annotations

import pytest

from crm_kernel import contributions as c
from crm_kernel._internal.checkup import registered_in


def test_the_overview_lists_every_page_of_administration_the_reader_may_open(admin, login):
    page = admin.get("/admin/").text
    narrow = login(grants={"job.read": "all"}).get("/admin/").text

    for address in ("/admin/modules", "/admin/events", "/admin/health", "/jobs", "/users", "/roles"):
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
