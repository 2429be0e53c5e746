"""The page of a cluster: whose values are proposed when only some of it is merged, and what showing it costs."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
import sqlalchemy as sa

from crm_kernel.access.services import create_role, grant
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.customers.duplicates import scanning
from crm_kernel.customers.duplicates.models import DuplicateCandidate

SAME = {"kind": "person", "family_name": "Lovelace", "birth_date": "1985-12-10"}


@pytest.fixture
def cluster(api, unit):
    """Store Ada once per payload and scan: ``cluster({}, {"notes": "x"})`` gives the API, their ids and their page."""
    rest = api(grants={"*": "all"})

    def make(*payloads):
        email = [{"channel": "email", "value": "ada@crm.test"}]
        made = [{**SAME, "given_name": "Ada", "contact_points": email, **payload} for payload in payloads]
        found = [rest.post("/api/customers", payload).json["id"] for payload in made]
        with unit() as uow:
            point = {}
            while point is not None:
                point = scanning.scan(uow, {"checkpoint": point})
            pair = uow.session.scalars(sa.select(DuplicateCandidate.uid)).first()
        return rest, found, f"/customers/duplicates/{pair}/all"

    return make


class _Form(HTMLParser):
    """What a browser would send of the form of a page: its hidden fields, and what is ticked."""

    def __init__(self, page):
        super().__init__()
        self.fields = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "input" and "name" in given and (given.get("type") == "hidden" or "checked" in given):
            self.fields.setdefault(given["name"], []).append(given.get("value"))


def test_a_value_that_only_one_who_is_left_out_has_is_nobodys_choice(cluster, login):
    rest, (first, second, third), address = cluster({}, {"notes": "of the second"}, {"notes": "of the third"})
    browser = login("administrator")
    sent = _Form(browser.get(address).text).fields
    assert (sent["keep"], sent["choice.notes"]) == ([first], [second])

    answer = browser.post(address, data={**sent, "same": [first, third]})

    assert (answer.status_code, answer.location) == (303, f"/customers/{first}")
    assert rest.get(f"/api/customers/{first}").json["notes"] == "of the third"
    assert rest.get(f"/api/customers/{second}").json["notes"] == "of the second"


def test_a_form_without_choices_takes_the_values_of_those_that_are_merged(cluster, login):
    rest, (first, second, third), address = cluster({}, {"notes": "of the second"}, {})
    browser = login("administrator")
    token = _Form(browser.get(address).text).fields["csrf_token"]

    answer = browser.post(address, data={"csrf_token": token, "keep": first, "same": [third]})

    assert answer.status_code == 303
    assert rest.get(f"/api/customers/{first}").json["notes"] is None
    assert rest.get(f"/api/customers/{second}").json["notes"] == "of the second"


def test_the_one_that_was_proposed_to_stay_can_be_left_out(cluster, login):
    rest, (first, second, third), address = cluster(*({"notes": text} for text in ("one", "two", "three")))
    browser = login("administrator")
    sent = _Form(browser.get(address).text).fields
    assert sent["choice.notes"] == [first]

    answer = browser.post(address, data={**sent, "keep": second, "same": [second, third]})

    assert (answer.status_code, answer.location) == (303, f"/customers/{second}")
    assert rest.get(f"/api/customers/{second}").json["notes"] == "two"


def test_what_somebody_chose_of_one_who_is_left_out_is_refused_and_stays_refused(cluster, login):
    rest, (first, second, third), address = cluster(*({"notes": text} for text in ("one", "two", "three")))
    browser = login("administrator")
    sent = {**_Form(browser.get(address).text).fields, "same": [first, second], "choice.notes": third}

    refused = browser.post(address, data=sent)
    again = browser.post(address, data=_Form(refused.text).fields)

    assert refused.status_code == again.status_code == 422
    assert "Its value is that of a customer that is left out." in again.text
    assert rest.get(f"/api/customers/{first}").json["notes"] == "one"


def test_the_page_costs_the_same_however_many_there_are(cluster, login, count_queries):
    with_all = {"addresses": [{"street": "12 St James Square", "postal_code": "75011", "city": "Paris"}], "notes": "x"}
    _rest, _few, address = cluster(*[with_all] * 3)
    browser = login("administrator")
    browser.get(address)
    with count_queries() as three:
        page = browser.get(address).text
    assert page.count('name="same"') == 3

    cluster(*[with_all] * 5)
    with count_queries() as eight:
        page = browser.get(address).text

    assert page.count('name="same"') == 8
    assert len(eight) == len(three), f"three:\n{three}\n\neight:\n{eight}"


def test_a_merge_reads_its_cluster_once(cluster, login, count_queries):
    _rest, _three, address = cluster({}, {"notes": "of the second"}, {})
    browser = login("administrator")
    sent = _Form(browser.get(address).text).fields

    with count_queries() as queries:
        answer = browser.post(address, data=sent)

    assert answer.status_code == 303
    in_order = [text for text in queries.statements if "ORDER BY duplicate_candidate.score DESC" in text]
    assert len(in_order) == 1


def test_since_when_customers_are_known_is_told_to_who_may_see_it(cluster, login, unit):
    _rest, (first, second, _third), address = cluster({}, {}, {})
    pages = (address, f"/customers/{first}/merge?with={second}")
    with unit() as uow:
        role = create_role(uow, name="blind")
        grant(uow, role, "*")
        restrict_field(uow, role, "customer", "created_at", "hidden")

    shown, hidden = ([login(who).get(page) for page in pages] for who in ("administrator", "blind"))

    assert [answer.status_code for answer in (*shown, *hidden)] == [200] * 4
    assert ["known since" in answer.text for answer in (*shown, *hidden)] == [True, True, False, False]
