"""Which customers a webhook is told of: built by choosing, said in words, kept by whoever answers for it."""

from __future__ import annotations

import html
import re

import pytest

FIRMS = '{"field":"kind","op":"eq","value":"organization"}'


@pytest.fixture
def page(webhook):
    """The address of the webhook's page."""
    return webhook.removeprefix("/api")


@pytest.fixture
def browser(login):
    return login("administrator")


def test_a_condition_is_built_by_choosing_and_told_in_words(browser, page, endpoint):
    built = "f.join=all&f.0.field=kind&f.0.op=eq&f.0.value=organization"

    before = browser.get(page).text
    shown = browser.get(f"{page}/condition?{built}&do=apply").text
    tree = html.unescape(re.search(r'name="tree" value="([^"]*)"', shown)[1])
    saved = browser.post(f"{page}/condition", data={"tree": tree, "version": "1"})
    after = browser.get(page).text

    assert "every record" in before
    assert f"{page}/condition" in before
    assert saved.status_code == 303
    assert endpoint().filter == f'{{"and":[{FIRMS}]}}'
    assert "Organization" in after
    assert FIRMS not in html.unescape(after)


def test_the_form_shows_no_filter_and_keeps_it(admin, browser, webhook, page, endpoint):
    assert admin.patch(webhook, {"filter": FIRMS}).status_code == 200

    form = browser.get(f"{page}/edit").text
    sent = {"name": "Renamed", "url": endpoint().url, "events": "*", "enabled": "1", "version": "2"}
    saved = browser.post(f"{page}/edit", data=sent)

    assert 'name="filter"' not in form
    assert saved.status_code == 303
    assert (endpoint().name, endpoint().filter) == ("Renamed", FIRMS)


def test_a_condition_is_taken_away(admin, browser, webhook, page, endpoint):
    admin.patch(webhook, {"filter": FIRMS})

    assert browser.post(f"{page}/condition", data={"tree": "", "version": "2"}).status_code == 303
    assert endpoint().filter is None


@pytest.mark.parametrize("tree", ["{", '{"field": "gone", "op": "eq", "value": 1}'])
def test_what_is_no_condition_over_customers_is_refused(browser, page, endpoint, tree):
    assert browser.post(f"{page}/condition", data={"tree": tree, "version": "1"}).status_code == 422
    assert endpoint().filter is None


def test_who_may_not_change_webhooks_builds_no_condition(login, page):
    reader = login(grants={"webhook.read": "all", "customer.read": "all"})

    assert reader.get(f"{page}/condition").status_code == 403
    assert reader.post(f"{page}/condition", data={"tree": "", "version": "1"}).status_code == 403
