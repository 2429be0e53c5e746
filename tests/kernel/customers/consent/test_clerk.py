"""A clerk asks for consent on a page, sees what waits, asks again and takes it back."""

from __future__ import annotations

import datetime as dt
import html
import re
import threading
import time

import pytest
import sqlalchemy as sa

from crm_kernel.access.services import create_role, grant
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.customers.consent.asking import confirm_consent
from crm_kernel.customers.consent.gate import may_contact
from crm_kernel.customers.consent.links import confirmation_link
from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.models import Customer
from crm_kernel.mail.transport import use_mail_transport
from crm_kernel.testing.deliveries import deliver
from crm_kernel.testing.people import browser

POINTS = [{"channel": "email", "value": "ada@crm.test"}]


@pytest.fixture
def mails(crm_app):
    """The mails sent so far."""
    sent = []
    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    yield sent
    del crm_app.extensions["crm_mail_transport"]


@pytest.fixture
def path(factories):
    """The page for a person with an address."""
    uid = factories.person(given_name="Ada", family_name="<Lovelace>", contact_points=POINTS).uid
    return f"/customers/{uid}/consent-requests"


@pytest.fixture
def clerk(login):
    """A clerk's browser."""
    return login(grants={"customer.read": "all", "consent.read": "all", "consent.create": "all"})


def rows(unit):
    with unit() as uow:
        return uow.session.execute(sa.select(Consent.status, Consent.source).order_by(Consent.id)).all()


def earlier(unit, minutes=30):
    with unit() as uow:
        uow.session.execute(sa.update(Consent).values(captured_at=uow.now - dt.timedelta(minutes=minutes)))


def test_what_a_clerk_asks_is_mailed_and_shown_as_waiting(crm_app, clerk, mails, path, unit):
    answer = clerk.post(path, data={"purpose": "marketing", "note": "at the desk"})
    deliver(crm_app)

    page = clerk.get(path).text
    assert answer.status_code == 303, answer.text
    assert [mail[0] for mail in mails] == ["ada@crm.test"]
    assert "Waiting for the customer" in page
    assert "&lt;Lovelace&gt;" in page
    assert [tuple(row) for row in rows(unit)] == [("pending", "user:web")]
    with unit() as uow:
        assert uow.session.scalars(sa.select(Consent.note)).one() == "at the desk"


def test_asking_again_waits_and_then_makes_a_second_request(clerk, mails, path, unit):
    clerk.post(path, data={"purpose": "marketing"})

    soon = clerk.post(path, data={"purpose": "marketing"})
    earlier(unit)
    later = clerk.post(path, data={"purpose": "marketing"})

    assert (soon.status_code, later.status_code) == (409, 303)
    assert "wait before asking again" in soon.text
    assert len(rows(unit)) == 2


def test_a_request_that_is_taken_back_ends_its_link_and_says_nothing_of_the_customer(crm_app, clerk, mails, path, unit):
    clerk.post(path, data={"purpose": "marketing"})
    with unit() as uow:
        link = confirmation_link(uow.session.scalars(sa.select(Consent)).one())
    action = re.search(r'action="([^"]+/withdraw)"', clerk.get(path).text)[1]

    first, second = clerk.post(action), clerk.post(action)

    assert (first.status_code, second.status_code) == (303, 409)
    assert "Over without an answer" in clerk.get(path).text
    token = link.rpartition("/")[2]
    browser(crm_app).post(f"/contact/confirm/{token}")
    assert [row.status for row in rows(unit)] == ["pending", "pending"]
    with unit() as uow:
        customer = uow.session.scalars(sa.select(Customer)).one()
        verdict = may_contact(uow, customer.uid, channel="email", purpose="marketing")
    assert verdict.reason != "withdrawn"


def test_a_request_that_the_customer_confirms_at_this_moment_is_not_taken_back(clerk, mails, path, unit):
    clerk.post(path, data={"purpose": "marketing"})
    action, answers = re.search(r'action="([^"]+/withdraw)"', clerk.get(path).text)[1], []
    taking_back = threading.Thread(target=lambda: answers.append(clerk.post(action).status_code))

    with unit() as uow:
        confirm_consent(uow, uow.session.scalars(sa.select(Consent)).one())
        taking_back.start()
        time.sleep(1)  # long enough for the clerk's request to look, and to find it open
    taking_back.join(60)

    assert answers == [409]
    assert [row.status for row in rows(unit)] == ["pending", "given"]


def test_an_instance_without_mail_says_so_and_asks_nobody(clerk, path, unit):
    page = html.unescape(clerk.get(path).text)

    assert "This instance sends no mail" in page
    assert clerk.post(path, data={"purpose": "marketing"}).status_code == 409
    assert rows(unit) == []


def test_an_unknown_purpose_is_refused_on_the_page(clerk, mails, path, unit):
    answer = clerk.post(path, data={"purpose": "nothing"})

    assert answer.status_code == 422
    assert rows(unit) == []


def test_a_request_of_another_customer_is_not_taken_back_here(clerk, mails, path, factories, unit):
    clerk.post(path, data={"purpose": "marketing"})
    action = re.search(r'action="([^"]+/withdraw)"', clerk.get(path).text)[1]
    other = factories.person(given_name="Bob").uid

    answer = clerk.post(re.sub(r"/customers/[^/]+/", f"/customers/{other}/", action))

    assert answer.status_code == 404
    assert "Waiting for the customer" in clerk.get(path).text


def test_who_may_not_record_consent_sees_no_page(login, path):
    reader = login("reader")

    assert reader.get(path).status_code == 403
    assert reader.post(path, data={"purpose": "marketing"}).status_code == 403


def test_who_may_ask_but_not_read_consents_is_told_of_no_request(clerk, login, mails, path, unit):
    clerk.post(path, data={"purpose": "marketing"})
    action = re.search(r'action="([^"]+/withdraw)"', clerk.get(path).text)[1]
    asking = login(grants={"customer.read": "all", "consent.create": "all"})

    page, back = asking.get(path), asking.post(action)
    earlier(unit)
    asked = asking.post(path, data={"purpose": "marketing"})

    assert (page.status_code, back.status_code, asked.status_code) == (200, 403, 303)
    assert "Waiting for the customer" not in page.text
    assert "/withdraw" not in page.text
    assert "--purpose PURPOSE" in page.text


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("status", {"requests": False, "state": False, "take back": False}),
        ("channel", {"requests": False, "state": False, "take back": False}),
        ("valid_to", {"requests": True, "state": False, "take back": False}),
        ("source", {"requests": True, "state": True, "take back": True}),
    ],
)
def test_what_a_role_hides_of_consents_is_hidden_here_too(clerk, login, mails, path, unit, hidden, shown):
    clerk.post(path, data={"purpose": "marketing"})
    with unit() as uow:
        role = create_role(uow, name="half blind")
        for permission in ("customer.read", "consent.read", "consent.create"):
            grant(uow, role, permission)
        restrict_field(uow, role, "consent", hidden, "hidden")

    page = login("half blind").get(path).text

    found = {
        "requests": "Ask again" in page,
        "state": "Waiting for the customer" in page,
        "take back": "/withdraw" in page,
    }
    assert found == shown
    assert ("--purpose marketing" in page) == shown["requests"]


def test_five_requests_take_as_many_queries_as_one(clerk, count_queries, mails, path, unit):
    clerk.post(path, data={"purpose": "marketing"})
    with count_queries() as one:
        clerk.get(path)
    for _again in range(4):
        earlier(unit, 60 * 25)
        clerk.post(path, data={"purpose": "marketing"})

    with count_queries() as several:
        page = clerk.get(path).text

    assert page.count("Ask again") == 5
    several.at_most(len(one))
