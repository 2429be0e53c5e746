"""Every mail that the kernel sends says what it says through the catalogue: subject and text."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access.invitations.services import invite
from crm_kernel.collaboration.notifications.digests import plan_digests
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.customers.consent.models import Purpose
from crm_kernel.mail.transport import use_mail_transport
from crm_kernel.testing.deliveries import deliver

from .pseudo import hard_coded, speak_pseudo, values_in_database

pytestmark = pytest.mark.crm_databases("sqlite")

#: Addresses in a mail are no text.
_LINK = re.compile(r"https?://\S+")


@pytest.fixture
def mails(crm_app):
    """The mails sent so far: (recipient, subject, text)."""
    sent = []
    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    yield sent
    del crm_app.extensions["crm_mail_transport"]


@pytest.fixture
def spoken(crm_app, unit):
    """Give what in a mail neither passed the catalogue nor is data."""

    def look(mail):
        with unit():
            data = values_in_database(["CRM"])
        return [text for part in mail[1:] for text in hard_coded(_LINK.sub(" ", part), data)]

    return look


def test_a_hard_coded_line_of_a_mail_is_found(spoken, monkeypatch):
    speak_pseudo(monkeypatch)

    assert spoken(("ada@crm.test", "⟦Hello⟧", "Yours, the team\n\nhttps://crm.test/words/here"))


def test_the_mail_with_a_new_password(crm_app, client, login, mails, spoken, monkeypatch):
    user = login("representative").user
    speak_pseudo(monkeypatch)

    client.post("/auth/reset", data={"email": user.email})
    deliver(crm_app)

    [mail] = mails
    assert "⟦" in mail[1]
    assert spoken(mail) == []


def test_an_invitation(crm_app, unit, mails, spoken, monkeypatch):
    speak_pseudo(monkeypatch)
    with unit() as uow:
        invite(uow, email="zoe@crm.test", role="reader", language="en")

    deliver(crm_app)

    [mail] = mails
    assert "⟦" in mail[1]
    assert spoken(mail) == []


def test_the_question_of_a_double_opt_in(crm_app, unit, api, customer_factory, mails, spoken, monkeypatch):
    with unit() as uow:
        purpose = uow.session.scalars(sa.select(Purpose).where(Purpose.code == "marketing")).one()
        purpose.double_opt_in, purpose.statement, purpose.statement_version = True, "I want the newsletter.", "2"
    point = {"channel": "email", "value": "ada@crm.test"}
    ada = customer_factory(kind="person", given_name="Ada", family_name="Lovelace", contact_points=[point])
    api("representative").post(f"/api/customers/{ada.uid}/consent-requests", {"purpose": "marketing"})
    speak_pseudo(monkeypatch)

    deliver(crm_app)

    [mail] = mails
    assert "⟦" in mail[1]
    assert spoken(mail) == []


def test_a_digest_of_notifications(crm_app, unit, api, factories, mails, spoken, monkeypatch):
    boss, rep = api("administrator"), api("representative")
    acme = factories.organization(display_name="Acme")
    boss.patch(f"/api/customers/{acme.uid}", {"owner": str(rep.user.uid)})
    deliver(crm_app)
    with unit() as uow:
        row = uow.session.scalars(sa.select(Notification)).one()
        row.mail_due_at = uow.now - dt.timedelta(minutes=1)
        uow.session.flush()
        plan_digests(uow, {})
    speak_pseudo(monkeypatch)

    deliver(crm_app)

    [mail] = mails
    assert "⟦" in mail[1]
    assert spoken(mail) == []
