"""Duplicates in API and pages: the check while typing, the queue, two side by side, and what is not shown to whom."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from crm_kernel.customers.duplicates import scanning
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.models import Customer

ADA = {
    "kind": "person",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "birth_date": "1985-12-10",
    "contact_points": [{"channel": "email", "value": "ada@crm.test"}],
}


@pytest.fixture
def rest(api):
    """An API client that may do everything."""
    return api(grants={"*": "all"})


@pytest.fixture
def twice(rest, unit):
    """Ada twice, scanned: the ids of both and of the pair."""
    one = rest.post("/api/customers", ADA).get_json()["id"]
    two = rest.post("/api/customers", {**ADA, "given_name": "Adda"}).get_json()["id"]
    with unit() as uow:
        point = scanning.scan(uow, {})
        while point is not None:
            point = scanning.scan(uow, {"checkpoint": point})
        pair = uow.session.scalars(sa.select(DuplicateCandidate.uid)).one()
    return one, two, pair


@pytest.fixture
def send(login):
    """Submit a form as an administrator's browser does: ``send(path, name="lamp")``."""
    browser = login("administrator")

    def run(path, **fields):
        token = re.search(r'name="csrf-token" content="([^"]+)"', browser.get("/customers").text)[1]
        return browser.post(path, data={"csrf_token": token, **fields})

    return run


def test_the_api_tells_who_may_already_exist_and_writes_nothing(rest, twice, unit):
    answer = rest.post("/api/customers/duplicates", {**ADA, "family_name": "Lovelaec"})

    assert answer.status_code == 200
    items = answer.get_json()["items"]
    assert {item["id"] for item in items} == set(twice[:2])
    assert items[0]["probability"] > 0.9
    assert "email:same" in items[0]["reasons"]
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 2


def test_a_customer_is_not_its_own_duplicate(rest, twice):
    items = rest.post("/api/customers/duplicates", {**ADA, "id": twice[0]}).get_json()["items"]

    assert [item["id"] for item in items] == [twice[1]]
    assert rest.post("/api/customers/duplicates", {"id": "x"}).status_code == 422


def test_nobody_learns_of_customers_he_may_not_see(api, twice):
    stranger = api(grants={"customer.read": "own", "customer.create": "own"})

    assert stranger.post("/api/customers/duplicates", ADA).get_json() == {"items": []}
    assert api(grants={}).post("/api/customers/duplicates", ADA).status_code == 403


def test_the_form_of_a_new_customer_asks_and_shows_links(login, send, twice):
    page = login("administrator").get("/customers/new").text
    fragment = send(
        "/customers/duplicates/check",
        **{"kind": "person", "given_name": "Ada", "family_name": "Lovelace", "contact_points-0-channel": "email"},
        **{"contact_points-0-value": "ada@crm.test"},
    )

    assert 'hx-post="/customers/duplicates/check"' in page
    assert fragment.status_code == 200
    assert f'href="/customers/{twice[0]}"' in fragment.text
    assert "E-mail: the same" in fragment.text


def test_an_unknown_customer_warns_of_nobody(send, twice):
    assert send("/customers/duplicates/check", kind="person", family_name="Hopper").text.strip() == ""


def test_an_existing_customers_form_does_not_ask(login, twice):
    assert "duplicates/check" not in login("administrator").get(f"/customers/{twice[0]}/edit").text


def test_the_queue_leads_to_both_customers_side_by_side(login, twice):
    browser = login("administrator")

    queue = browser.get("/customers/duplicates").text
    page = browser.get(f"/customers/duplicates/{twice[2]}").text

    assert f"/customers/duplicates/{twice[2]}" in queue
    assert "Ada Lovelace" in queue
    assert "<strong>Adda</strong>" in page
    assert f'href="/customers/{twice[0]}"' in page


def test_the_navigation_leads_to_the_queue_whoever_may_decide(login, twice):
    entry = 'href="/customers/duplicates"'

    assert entry in login("administrator").get("/customers").text
    assert entry not in login(grants={"customer.read": "all"}).get("/customers").text


def test_a_dismissed_pair_leaves_the_queue(login, send, twice):
    answer = send(f"/customers/duplicates/{twice[2]}/dismiss")

    browser = login("administrator")
    assert answer.status_code == 303
    assert str(twice[2]) not in browser.get("/customers/duplicates").text
    assert "These are two customers" not in browser.get(f"/customers/duplicates/{twice[2]}").text


def test_a_place_nobody_was_sent_to_is_the_first_page(login, twice):
    browser = login("administrator")

    for place in ("nonsense", "nan,1", "0.5,-1", "0.5,99999999999999999999999", "inf,2"):
        assert str(twice[2]) in browser.get(f"/customers/duplicates?after={place}").text
    assert str(twice[2]) not in browser.get("/customers/duplicates?after=0.0,1").text


def test_a_pair_of_customers_one_may_not_see_does_not_exist(api, login, twice, unit):
    browser = login(grants={"customer.read": "own", "customer.update": "own"})

    assert str(twice[2]) not in browser.get("/customers/duplicates").text
    assert browser.get(f"/customers/duplicates/{twice[2]}").status_code == 404


def test_a_field_that_is_hidden_is_neither_compared_nor_told(api, login, rest, twice, unit):
    from crm_kernel.access.services import role_named
    from crm_kernel.access.services.field_rules import restrict_field

    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "customer", "contact_points", "hidden")
    guess = {"kind": "person", "contact_points": ADA["contact_points"]}

    assert rest.post("/api/customers/duplicates", guess).json["items"]
    assert api("manager").post("/api/customers/duplicates", guess).json == {"items": []}
    page = login("manager").get("/customers/duplicates").text
    assert "E-mail: " not in page
    assert "E-mail: " in login("administrator").get("/customers/duplicates").text


def test_the_document_describes_the_question(rest):
    described = rest.get("/api/openapi.json").json["paths"]["/api/customers/duplicates"]["post"]

    assert "SimilarCustomers" in described["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]


def test_every_comparison_says_which_field_it_tells_of():
    from crm_kernel.customers.duplicates.comparing import COMPARISONS
    from crm_kernel.customers.duplicates.queries import FIELDS
    from crm_kernel.customers.schemas import CustomerSchema

    assert {comparison.name for comparison in COMPARISONS} == FIELDS.keys()
    assert set(FIELDS.values()) - {""} <= CustomerSchema._declared_fields.keys()
