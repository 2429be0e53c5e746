"""The preference page and one-click unsubscribing: no log-in, no guessing, every choice in the ledger."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from crm_kernel.customers.consent.ledger import Evidence
from crm_kernel.customers.consent.links import list_unsubscribe_headers, preferences_link, unsubscribe_link
from crm_kernel.customers.consent.models import Consent, Purpose, Suppression
from crm_kernel.customers.consent.preferences import unsubscribe_from_all
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.customers.models import ContactPoint, Customer

POINTS = [{"channel": "email", "value": "ada@crm.test"}, {"channel": "mobile", "value": "+33612345678"}]
ALL = ["marketing email", "marketing phone", "marketing sms", "survey email", "survey phone", "survey sms"]


@pytest.fixture
def ada_stored(customer_factory):
    """A stored person with an e-mail address and a mobile number."""
    return customer_factory(kind="person", given_name="Ada", family_name="Lovelace", contact_points=POINTS)


@pytest.fixture
def path(crm_app, ada_stored):
    """The path of her preference page."""
    with crm_app.test_request_context():
        return urlsplit(preferences_link(ada_stored)).path


@pytest.fixture
def leave(unit, ada_stored):
    """The path of an unsubscribe link: ``leave()``, ``leave("marketing")``."""

    def make(purpose=""):
        with unit() as uow:
            point = uow.session.scalars(sa.select(ContactPoint).where(ContactPoint.channel == "email")).one()
            return urlsplit(unsubscribe_link(ada_stored, point, purpose=purpose)).path

    return make


@pytest.fixture
def stranger(crm_app):
    """A browser without a log-in, in an application that checks its tokens."""
    crm_app.config["WTF_CSRF_ENABLED"] = True
    return crm_app.test_client()


@pytest.fixture
def ledger(unit):
    """The ledger as it stands: (purpose, channel, status) in its order."""

    def read():
        with unit() as uow:
            rows = uow.session.scalars(sa.select(Consent).order_by(Consent.id))
            return [(row.purpose, row.channel, row.status) for row in rows]

    return read


@pytest.fixture
def may(api, ada_stored):
    """Ask the gate: ``may("marketing")``."""
    clerk = api("administrator")
    return lambda purpose, channel="email": clerk.get(
        f"/api/customers/{ada_stored.uid}/may-contact", channel=channel, purpose=purpose
    ).json["allowed"]


def test_the_page_offers_public_purposes_over_the_channels_there_are(stranger, path):
    page = stranger.get(path)

    assert page.status_code == 200
    assert [text for text in ALL if f'value="{text}"' in page.text] == ALL
    assert "service email" not in page.text
    assert "Lovelace" not in page.text
    assert "ada@crm.test" not in page.text


def test_only_what_differs_becomes_a_fact(stranger, path, ledger, may):
    wanted = ["marketing email", "survey email", "survey sms"]

    saved = stranger.post(path, data={"shown": ALL, "wanted": wanted})
    again = stranger.post(path, data={"shown": ALL, "wanted": wanted})

    assert (saved.status_code, again.status_code) == (303, 303)
    assert ledger() == [("marketing", "email", "given"), ("survey", "phone", "withdrawn")]
    assert (may("marketing"), may("survey", "phone"), may("survey", "sms")) == (True, False, True)


def test_what_the_page_did_not_show_stays_as_it_is(stranger, path, ledger):
    stranger.post(path, data={"shown": ["marketing email"], "wanted": ["marketing email", "service email", "x y", ""]})

    assert ledger() == [("marketing", "email", "given")]


def test_leaving_everything_suppresses_the_addresses_and_ticking_lets_in_again(stranger, path, unit, may):
    stranger.post(path, data={"all": "1"})
    with unit() as uow:
        reasons = set(uow.session.scalars(sa.select(Suppression.reason)))
    left = may("survey")
    stranger.post(path, data={"shown": ["survey email"], "wanted": ["survey email"]})

    assert (reasons, left, may("survey")) == ({"unsubscribed"}, False, True)


def test_leaving_everything_works_for_a_number_that_was_stored_under_another_default_region(
    customer_factory, unit, default_region
):
    home = {"purpose": "home", "street": "1 rue de la Paix", "city": "Paris", "country_code": "FR"}
    made = customer_factory(contact_points=[{"channel": "mobile", "value": "(201) 555-0123"}], addresses=[home])
    default_region("FR")

    with unit() as uow:
        unsubscribe_from_all(uow, uow.session.get_one(Customer, made.id), Evidence())

    with unit() as uow:
        assert set(uow.session.scalars(sa.select(Suppression.channel))) == {"sms", "phone"}


def test_what_somebody_else_decided_cannot_be_chosen_away(stranger, path, unit, ledger):
    with unit() as uow:
        suppress(uow, "ada@crm.test", channel="email", reason="legal", source="test")

    page = stranger.get(path).text
    stranger.post(path, data={"shown": ["survey email"], "wanted": ["survey email"]})

    assert 'name="shown" value="survey email"' not in page
    assert ledger() == []


def test_a_purpose_with_double_opt_in_waits_for_its_mail(stranger, path, unit, ledger, crm_app):
    from crm_kernel.mail.transport import use_mail_transport
    from crm_kernel.testing.deliveries import deliver

    sent = []
    with unit() as uow:
        uow.session.execute(sa.update(Purpose).where(Purpose.code == "marketing").values(double_opt_in=True))
    assert 'name="shown" value="marketing email"' not in stranger.get(path).text
    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    try:
        answer = stranger.post(path, data={"shown": ["marketing email"], "wanted": ["marketing email"]})
        deliver(crm_app)
    finally:
        del crm_app.extensions["crm_mail_transport"]

    assert "said=asked" in answer.location
    assert (ledger(), len(sent)) == ([("marketing", "email", "pending")], 1)
    # It waits: asking again at once is refused in words, and leaving the box empty withdraws nothing.
    assert stranger.post(path, data={"shown": ["marketing email"], "wanted": ["marketing email"]}).status_code in (
        303,
        409,
    )
    assert ledger() == [("marketing", "email", "pending")]


def test_one_press_of_a_mail_program_unsubscribes_without_cookie_or_token(crm_app, leave, ledger, may, api, ada_stored):
    crm_app.config["WTF_CSRF_ENABLED"] = True
    said = {"channel": "email", "purpose": "marketing", "status": "given"}
    api("administrator").post(f"/api/customers/{ada_stored.uid}/consents", said)
    provider = crm_app.test_client(use_cookies=False)
    link = leave("marketing")

    answers = [provider.post(link, data={"List-Unsubscribe": "One-Click"}).status_code for _press in range(3)]

    assert answers == [200, 200, 200]
    assert ledger() == [("marketing", "email", "given"), ("marketing", "email", "withdrawn")]
    assert (may("marketing"), may("survey")) == (False, True)


def test_following_an_unsubscribe_link_changes_nothing(stranger, leave, ledger):
    page = stranger.get(leave("marketing"))

    assert page.status_code == 200
    assert "News and offers" in page.text
    assert ledger() == []


def test_a_link_without_a_purpose_ends_all_and_suppresses_the_address(stranger, leave, unit, may):
    link = leave()

    assert stranger.post(link).status_code == 303
    assert stranger.get(link, query_string={"done": 1}).status_code == 200

    with unit() as uow:
        found = uow.session.scalars(sa.select(Suppression)).one()
        assert (found.reason, found.channel, found.recorded_by) == ("unsubscribed", "email", "customer")
    assert (may("survey"), may("survey", "sms"), may("service")) == (False, True, True)


def test_links_of_one_kind_do_not_open_another_and_none_can_be_guessed(stranger, path, leave):
    chosen, left = path.rpartition("/")[2], leave().rpartition("/")[2]

    # Not the last sign: of its bits some say nothing.
    forged = ("B" if chosen[0] == "A" else "A") + chosen[1:]
    answers = {
        stranger.get(f"/contact/{place}/{token}").status_code
        for place, token in (
            ("preferences", left), ("unsubscribe", chosen), ("confirm", chosen), ("preferences", forged),
            ("preferences", "00000000-0000-0000-0000-000000000000"),
        )
    }  # fmt: skip

    assert answers == {404}


def test_an_old_link_opens_the_customer_that_stays_after_a_merge(stranger, path, unit, ada_stored, customer_factory):
    other = customer_factory(kind="person", family_name="Byron", contact_points=POINTS[:1])
    with unit() as uow:
        uow.session.get(Customer, ada_stored.id).merged_into_id = other.id

    assert stranger.post(path, data={"shown": ALL, "wanted": ["marketing email"]}).status_code == 303

    with unit() as uow:
        assert set(uow.session.scalars(sa.select(Consent.customer_id))) == {other.id}


def test_a_link_to_a_deleted_customer_says_the_same_as_a_wrong_one(stranger, path, unit, ada_stored):
    with unit() as uow:
        uow.session.delete(uow.session.get(Customer, ada_stored.id))

    gone, wrong = stranger.get(path), stranger.get(path[:-2] + "AA")

    assert (gone.status_code, wrong.status_code) == (404, 404)
    assert "leads nowhere" in gone.text
    assert "leads nowhere" in wrong.text


def test_the_page_speaks_the_customers_language_until_another_is_chosen(stranger, path, unit, ada_stored):
    with unit() as uow:
        uow.session.get(Customer, ada_stored.id).language = "fr"

    assert '<html lang="fr"' in stranger.get(path).text


def test_the_headers_of_a_mail_name_the_one_press(crm_app, ada_stored, unit):
    with unit() as uow:
        point = uow.session.scalars(sa.select(ContactPoint).where(ContactPoint.channel == "email")).one()
        headers = list_unsubscribe_headers(ada_stored, point, purpose="marketing")

    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith("<http")
    assert "ada" not in headers["List-Unsubscribe"]
