"""Double opt-in: asked for, confirmed once by who holds the mailbox, and never by who merely follows the link."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

import pytest
import sqlalchemy as sa

from crm_kernel.customers.consent import asking
from crm_kernel.customers.consent.models import Consent, Purpose, Suppression
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.mail.transport import use_mail_transport
from crm_kernel.testing.deliveries import deliver

POINTS = [{"channel": "email", "value": "ada@crm.test"}]
WORDS = "I agree to a letter a month."


@pytest.fixture
def mails(crm_app):
    """The mails sent so far: (recipient, subject, text)."""
    sent = []
    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    yield sent
    del crm_app.extensions["crm_mail_transport"]


@pytest.fixture
def ada_stored(customer_factory, unit):
    """A stored person with an e-mail address; marketing needs double opt-in."""
    with unit() as uow:
        purpose = uow.session.scalars(sa.select(Purpose).where(Purpose.code == "marketing")).one()
        purpose.double_opt_in, purpose.statement, purpose.statement_version = True, WORDS, "2"
    return customer_factory(kind="person", given_name="Ada", family_name="Lovelace", contact_points=POINTS)


@pytest.fixture
def request_it(api, ada_stored):
    """Ask by the API: ``request_it()`` → answer."""
    clerk = api("representative")
    return lambda **values: clerk.post(
        f"/api/customers/{ada_stored.uid}/consent-requests", {"purpose": "marketing", **values}
    )


@pytest.fixture
def verdict(api, ada_stored):
    """What the gate says now."""
    clerk = api("representative")
    return lambda: clerk.get(f"/api/customers/{ada_stored.uid}/may-contact", channel="email", purpose="marketing").json


@pytest.fixture
def link(crm_app, mails, request_it):
    """The path of the mailed link."""
    assert request_it(form="newsletter", ip="192.0.2.7").status_code == 201
    deliver(crm_app)
    return path_in(mails[0][2])


@pytest.fixture
def stranger(crm_app):
    """A browser without a log-in, in an application that checks its tokens."""
    crm_app.config["WTF_CSRF_ENABLED"] = True
    return crm_app.test_client()


def path_in(text: str) -> str:
    return re.search(r"http://[^/]+(/contact/confirm/\S+)", text)[1]


def test_a_consent_asked_for_waits_and_permits_nothing(crm_app, mails, request_it, verdict):
    asked = request_it()
    deliver(crm_app)

    assert (asked.status_code, asked.json["status"]) == (201, "pending")
    assert "link" not in asked.text
    assert [mail[0] for mail in mails] == ["ada@crm.test"]
    assert WORDS in mails[0][2]
    assert (verdict()["allowed"], verdict()["reason"]) == (False, "pending")


def test_a_post_confirms_once_and_keeps_the_proof(link, stranger, verdict, unit, ada_stored):
    agent = {"User-Agent": "Ada's browser"}

    first = stranger.post(link, headers=agent)
    second = stranger.post(link, headers=agent)

    assert (first.status_code, second.status_code) == (200, 200)
    assert "confirmed this already" in second.text
    assert verdict()["allowed"]
    with unit() as uow:
        rows = uow.session.scalars(sa.select(Consent).order_by(Consent.id)).all()
        asked, given = rows
        assert (asked.status, given.status, given.confirms_id) == ("pending", "given", asked.id)
        assert given.double_opt_in_at is not None
        assert (given.ip, given.user_agent, given.statement, given.form_version) == (
            "127.0.0.1", "Ada's browser", WORDS, "2",
        )  # fmt: skip
        assert given.statement_digest == hashlib.sha256(WORDS.encode()).hexdigest()
        assert given.recorded_by == "customer"
        assert uow.session.scalars(sa.select(ContactPoint.state)).one() == "valid"


def test_following_the_link_shows_the_words_and_confirms_nothing(link, stranger, verdict, unit):
    for _visit in range(3):
        page = stranger.get(link)
        head = stranger.head(link)

    assert (page.status_code, head.status_code) == (200, 200)
    assert WORDS in page.text
    assert "a…a@crm.test" in page.text
    assert "ada@crm.test" not in page.text
    assert verdict()["reason"] == "pending"
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Consent)) == 1


def test_a_link_that_was_not_made_here_leads_nowhere(link, stranger):
    token = link.rpartition("/")[2]
    forged = [f"{token[:-4]}AAAA", token[:10], "é", "A" * 43, token.swapcase()]

    answers = {
        stranger.open(f"/contact/confirm/{text}", method=m).status_code for text in forged for m in ("GET", "POST")
    }

    assert answers == {404}


def test_guessing_links_is_slowed_down(stranger, link):
    answers = [stranger.get(f"/contact/confirm/{'A' * 40}{number:03}").status_code for number in range(40)]

    assert answers[0] == 404
    assert answers[-1] == 429


def test_an_old_link_says_so_and_confirms_nothing(link, stranger, unit, verdict):
    with unit() as uow:
        past = uow.now - dt.timedelta(days=1)
        uow.session.execute(sa.update(Consent).values(valid_to=past))

    answer = stranger.post(link)

    assert answer.status_code == 410
    assert "too old" in answer.text
    assert not verdict()["allowed"]


def test_a_link_does_not_undo_a_later_no(link, stranger, api, ada_stored, verdict):
    said = {"channel": "email", "purpose": "marketing", "status": "withdrawn"}
    api("administrator").post(f"/api/customers/{ada_stored.uid}/consents", said)

    assert stranger.post(link).status_code == 410
    assert verdict()["reason"] == "withdrawn"


def test_a_link_whose_address_is_gone_confirms_nothing(link, stranger, unit):
    with unit() as uow:
        uow.session.delete(uow.session.scalars(sa.select(ContactPoint)).one())

    assert stranger.post(link).status_code == 410


def test_asking_again_at_once_is_refused_and_later_allowed_three_times_a_day(request_it, unit, mails):
    codes = []
    for _turn in range(4):
        codes.append(request_it().status_code)
        codes.append(request_it().status_code)
        with unit() as uow:
            earlier = uow.now - dt.timedelta(minutes=11)
            uow.session.execute(sa.update(Consent).where(Consent.captured_at > earlier).values(captured_at=earlier))

    assert codes == [201, 409, 201, 409, 201, 409, 409, 409]


def test_nobody_is_asked_at_an_address_that_must_not_be_used(request_it, unit, mails):
    with unit() as uow:
        suppress(uow, "ada@crm.test", channel="email", reason="complaint", source="test")

    assert request_it().status_code == 409


def test_who_left_and_confirms_again_is_let_in_again(crm_app, mails, request_it, stranger, unit, verdict):
    with unit() as uow:
        suppress(uow, "ada@crm.test", channel="email", reason="unsubscribed", source="test")
    request_it()
    deliver(crm_app)

    stranger.post(path_in(mails[0][2]))

    assert verdict()["allowed"]
    with unit() as uow:
        assert uow.session.scalars(sa.select(Suppression)).one().until is not None


def test_who_agreed_is_not_asked_again(link, stranger, request_it):
    stranger.post(link)

    assert request_it().status_code == 409


@pytest.mark.parametrize("purpose", ["nonsense", "", None])
def test_a_purpose_that_does_not_exist_is_refused(request_it, purpose, mails):
    assert request_it(purpose=purpose).status_code == 422


def test_without_mail_nothing_is_asked(request_it, unit):
    assert request_it().status_code == 409
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Consent)) == 0


def test_only_who_may_record_a_consent_may_ask_for_one(api, ada_stored, mails):
    path = f"/api/customers/{ada_stored.uid}/consent-requests"

    assert api(grants={"customer.read": "all"}).post(path, {"purpose": "marketing"}).status_code == 403
    stranger = api(grants={"customer.read": "own", "consent.create": "all"})
    assert stranger.post(path, {"purpose": "marketing"}).status_code == 404


def test_the_mail_speaks_the_customers_language_and_the_job_holds_nothing_personal(
    crm_app, mails, request_it, unit, ada_stored
):
    from crm_kernel.jobs.models import JobRow

    with unit() as uow:
        uow.session.get(Customer, ada_stored.id).language = "fr"
    request_it()
    with unit() as uow:
        payload = uow.session.scalars(sa.select(JobRow.payload).where(JobRow.name == asking._MAIL)).one()
    deliver(crm_app)

    assert set(payload) == {"request"}
    assert "Bonjour" in mails[0][2]
