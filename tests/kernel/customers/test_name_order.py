"""The order of names: each reader's own on every page, never in what is stored, exported or told to programs."""

from __future__ import annotations

import pytest

from crm_kernel.records.names import turned


@pytest.fixture
def people(customer_factory):
    """A French person, a Hungarian one, one whose name is written otherwise, and an organization."""
    return {
        "jean": customer_factory(kind="person", given_name="Jean", family_name="de la Tour", language="fr"),
        "bela": customer_factory(kind="person", given_name="Béla", family_name="Bartók", language="hu-HU"),
        "duke": customer_factory(
            kind="person", given_name="Arthur", family_name="Wellesley", display_name="The Duke of Wellington"
        ),
        "acme": customer_factory(kind="organization", display_name="Ada Lovelace"),
    }


@pytest.fixture
def reader(login, unit):
    """A browser of somebody who prefers an order: ``reader("family-first")``."""

    def log_in(order):
        browser = login("administrator")
        with unit() as uow:
            uow.session.get(type(browser.user), browser.user.id).name_order = order
        return browser

    return log_in


@pytest.mark.parametrize(
    ("name", "sort_name", "shown"),
    [
        ("Jean de la Tour", "de la tour jean", "de la Tour Jean"),
        ("Anne-Marie Saint-Exupéry", "saint exupery anne marie", "Saint-Exupéry Anne-Marie"),
        ("太郎 山田", "山田 太郎", "山田 太郎"),
        ("Cher", "cher", "Cher"),
        ("Jane Doe PhD", "doe jane", "Jane Doe PhD"),
        ("", "", ""),
    ],
)
def test_a_name_is_turned_round_where_its_sort_name_begins(name, sort_name, shown):
    assert turned(name, sort_name) == shown


@pytest.mark.parametrize(
    ("order", "shown", "hidden"),
    [
        (None, ["Jean de la Tour", "Béla Bartók"], ["de la Tour Jean", "Bartók Béla"]),
        ("family-first", ["de la Tour Jean", "Bartók Béla"], ["Jean de la Tour", "Béla Bartók"]),
        ("by-language", ["Jean de la Tour", "Bartók Béla"], ["de la Tour Jean", "Béla Bartók"]),
    ],
)
def test_lists_details_and_search_follow_the_reader(people, reader, order, shown, hidden):
    browser = reader(order)

    pages = [
        browser.get("/customers").text,
        browser.get(f"/customers/{people['jean'].uid}").text + browser.get(f"/customers/{people['bela'].uid}").text,
        browser.get("/search?q=tour").text + browser.get("/search?q=bela").text,
    ]

    for page in pages:
        assert [name for name in shown if name not in page] == []
        assert [name for name in hidden if name in page] == []
    assert "The Duke of Wellington" in pages[0]
    assert "Ada Lovelace" in pages[0]


def test_references_and_merges_follow_the_reader(people, reader, crm_app, unit):
    browser = reader("family-first")

    suggested = browser.get("/customers/suggest?q=tour").json
    merge = browser.get(f"/customers/{people['jean'].uid}/merge").text

    assert [found["title"] for found in suggested] == ["de la Tour Jean"]
    assert "de la Tour Jean" in merge


def test_the_form_the_api_and_the_export_hold_the_name_as_it_is_stored(people, reader, api):
    browser, client = reader("family-first"), api("administrator")
    uid = people["jean"].uid

    form = browser.get(f"/customers/{uid}/edit").text
    exported = browser.get("/customers/export.csv").text

    assert 'value="Jean de la Tour"' in form
    assert "Jean de la Tour" in exported
    assert client.get(f"/api/customers/{uid}").json["display_name"] == "Jean de la Tour"
    assert browser.get(f"/api/customers/{uid}").json["display_name"] == "Jean de la Tour"


def test_the_instances_order_counts_for_who_chose_none(people, crm_app, login, monkeypatch):
    from crm_kernel._internal import runtime

    found = runtime.runtime_of(crm_app)
    monkeypatch.setattr(found, "config", found.config.replace(name_order="family-first"))

    assert "de la Tour Jean" in login("administrator").get("/customers").text


def test_a_user_chooses_the_order_on_his_profile(people, reader):
    browser = reader(None)
    sent = {"name": "Ann", "language": "en", "timezone": "UTC"}

    refused = browser.post("/profile", data={**sent, "name_order": "sideways"})
    saved = browser.post("/profile", data={**sent, "name_order": "family-first"})

    assert refused.status_code == 422
    assert "expected one of: given-first, family-first, by-language" in refused.text
    assert saved.status_code == 302
    assert "de la Tour Jean" in browser.get("/customers").text


def test_turning_names_costs_no_query(people, reader, count_queries):
    plain, turned_round = reader(None), reader("family-first")

    with count_queries() as before:
        plain.get("/customers")
    with count_queries() as after:
        turned_round.get("/customers")

    assert len(after) == len(before)


def test_both_ends_of_a_relationship_follow_the_reader(people, reader, api):
    client = api("administrator")
    tie = {"from_customer": str(people["jean"].uid), "to_customer": str(people["bela"].uid), "type": "family"}
    made = client.post("/api/relationships", tie)

    page = reader("family-first").get("/relationships").text

    assert made.status_code == 201, made.json
    assert "de la Tour Jean" in page
    assert "Bartók Béla" in page
