"""The customer page: timeline, cards, what is in progress, and how many queries that takes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.relationships import create_relationship
from crm_kernel.customers.services import create_customer
from crm_kernel.sales.models import Sale
from crm_kernel.sales.services import record_sale
from crm_kernel.touchpoints.services import record_interaction


@pytest.fixture
def ada(unit):
    """A customer with 40 contacts, an employer and a sale; her public id."""
    with unit() as uow:
        ada = create_customer(
            uow,
            {
                "kind": "person",
                "given_name": "Ada",
                "family_name": "Lovelace",
                "contact_points": [{"channel": "email", "value": "ada@crm.test"}],
            },
        )
        acme = create_customer(uow, {"kind": "organization", "display_name": "Acme"})
        create_relationship(
            uow, {"from_customer_id": ada.id, "to_customer_id": acme.id, "type": "employment", "role": "CEO"}
        )
        record_sale(
            uow,
            title="Engine",
            amount=Decimal("1234.5"),
            currency="USD",
            channel="rep",
            source_plugin="sfa",
            external_ref="1",
            customer=ada,
        )
        for number in range(40):
            record_interaction(
                uow,
                ada,
                kind="call",
                channel="phone",
                direction="out",
                summary=f"Call <{number}>",
                source_plugin="kernel",
                occurred_at=uow.now - dt.timedelta(hours=number),
            )
        return ada.uid


def test_the_page_shows_timeline_cards_and_facts_escaped(login, ada):
    page = login(grants={"*": "all"}).get(f"/customers/{ada}").get_data(as_text=True)

    for text in (
        "Ada Lovelace",
        "ada@crm.test",
        "Unverified",
        "Acme",
        "CEO",
        "$1,234.50",
        "Call &lt;0&gt;",
        "Call &lt;29&gt;",
    ):
        assert text in page, text
    assert "Call <" not in page
    assert "Call &lt;30&gt;" not in page


def test_earlier_entries_come_when_asked_for(login, ada):
    import html
    import re

    browser = login(grants={"*": "all"})
    page = browser.get(f"/customers/{ada}").get_data(as_text=True)
    address = html.unescape(re.search(r'hx-get="([^"]*timeline[^"]*)"', page)[1])

    answer = browser.get(address)

    text = answer.get_data(as_text=True)
    assert "Call &lt;30&gt;" in text
    assert "Call &lt;39&gt;" in text
    assert "hx-get" not in text
    assert browser.get(f"/customers/{ada}/timeline?before=yesterday").status_code == 404


def test_the_page_takes_few_queries(login, ada, count_queries):
    browser = login(grants={"*": "all"})
    browser.get(f"/customers/{ada}")

    with count_queries() as queries:
        browser.get(f"/customers/{ada}")

    statements = [text for text in queries.statements if "SAVEPOINT" not in text]
    assert len(statements) <= 12 + 3, queries


def test_a_reader_of_customers_alone_sees_no_sales_and_no_contacts(login, ada):
    page = login(grants={"customer.read": "all"}).get(f"/customers/{ada}").get_data(as_text=True)

    assert "Ada Lovelace" in page
    assert "1,234.50" not in page
    assert "Call &lt;" not in page


def test_the_timeline_of_a_hidden_customer_is_not_found(login, ada, unit):
    browser = login(grants={"customer.read": "own", "interaction.read": "all"})

    answer = browser.get(f"/customers/{ada}/timeline?before=2030-01-01T00:00:00%2B00:00_{ada}")

    assert answer.status_code == 404
    with unit() as uow:
        uow.session.query(Customer).filter_by(uid=ada).one().owner_id = browser.user.id
    assert browser.get(f"/customers/{ada}/timeline?before=2030-01-01T00:00:00%2B00:00_{ada}").status_code == 200


def test_the_page_of_a_contact_names_what_it_is_about_and_leads_there(login, unit, ada):
    with unit() as uow:
        sale = uow.session.scalars(sa.select(Sale)).one()
        usual = {"kind": "call", "channel": "phone", "direction": "out", "summary": "Thanks", "source_plugin": "css"}
        customer = uow.session.get_one(Customer, sale.customer_id)
        contact = record_interaction(uow, customer, **usual, subject_type="sale", subject_uid=sale.uid)
        uids = contact.uid, sale.uid

    page = login("administrator").get(f"/interactions/{uids[0]}").get_data(as_text=True)

    assert f'<a href="/sales/{uids[1]}">Engine</a>' in page
    assert f">{uids[1]}<" not in page
    assert "Id of what it is about" not in page
