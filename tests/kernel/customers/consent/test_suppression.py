"""Values that must not be used: recognised by their digest, whoever they belong to."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.bulk import create_customers, update_customers
from crm_kernel.customers.consent.models import Suppression
from crm_kernel.customers.consent.suppression import (
    lift_suppression,
    suppress,
    suppress_customer,
    suppressions_of,
)
from crm_kernel.customers.models import Customer
from crm_kernel.customers.queries import contact_points_of
from crm_kernel.customers.services import delete_customer, update_customer
from crm_kernel.errors import Conflict

DAY = dt.timedelta(days=1)


@pytest.fixture
def block(uow):
    """Suppress a value: ``block("ada@crm.test")``."""

    def make(value, **options):
        return suppress(uow, value, **{"channel": "email", "reason": "complaint", "source": "test", **options})

    return make


def test_a_suppressed_address_is_refused_with_the_suppression_as_proof(ada, ask, say, block):
    say(ada, "given")
    row = block(" Ada@CRM.test ")

    verdict = ask(ada)

    assert (verdict.allowed, verdict.reason) == (False, "suppressed")
    assert (verdict.proof.kind, verdict.proof.id, verdict.proof.says) == ("suppression", row.uid, "complaint")


def test_the_list_holds_no_value(ada, block, uow):
    block("ada@crm.test")

    row = uow.session.execute(sa.select(Suppression.__table__)).mappings().one()

    assert not [value for value in row.values() if "ada" in str(value)]


def test_a_suppression_is_for_its_channel(ada, ask, say, block):
    say(ada, "given", channel="sms")
    say(ada, "given", channel="phone")
    block("+33 6 12 34 56 78", channel="sms")

    assert ask(ada, channel="sms").reason == "suppressed"
    assert ask(ada, channel="phone").allowed


def test_a_number_is_the_same_in_all_telephone_channels(person, ask, block):
    caller = person(contact_points=[{"channel": "phone", "value": "+33612345678"}])
    block("+33 6 12 34 56 78", channel="any", reason="manual")

    assert ask(caller, channel="phone", purpose="service").reason == "suppressed"


def test_a_suppression_ends_and_says_when(ada, ask, say, block, uow):
    say(ada, "given")
    block("ada@crm.test", until=uow.now + DAY)

    verdict = ask(ada)

    assert (verdict.reason, verdict.next_eligible_at) == ("suppressed", uow.now + DAY)
    assert ask(ada, at=uow.now + DAY).allowed


def test_a_complaint_does_not_stop_what_is_always_allowed_and_an_erasure_does(ada, ask, block):
    block("ada@crm.test")
    assert ask(ada, purpose="service").allowed

    block("ada@crm.test", reason="erased")
    assert ask(ada, purpose="service").reason == "suppressed"


def test_an_address_that_is_not_suppressed_is_enough(person, ask, say, block):
    customer = person(
        contact_points=[{"channel": "email", "value": "one@crm.test"}, {"channel": "email", "value": "two@crm.test"}]
    )
    say(customer, "given")
    block("one@crm.test")

    assert ask(customer).allowed


def test_an_erased_person_who_comes_back_is_not_contacted(ada, person, ask, say, uow):
    suppress_customer(uow, ada, reason="erased", source="erasure")
    delete_customer(uow, ada)
    uow.session.expunge_all()

    again = person(contact_points=[{"channel": "email", "value": "ada@crm.test"}])
    say(again, "given")

    assert ask(again).reason == "suppressed"
    assert ask(again, purpose="service").reason == "suppressed"


def test_an_erased_person_who_comes_back_by_an_import_is_not_contacted(ada, ask, uow):
    suppress_customer(uow, ada, reason="erased", source="erasure")
    row = {"kind": "person", "family_name": "X", "contact_points": [{"channel": "email", "value": "ADA@crm.test"}]}

    key = create_customers(uow, [row])[0]

    assert ask(uow.session.get_one(Customer, key), purpose="service").reason == "suppressed"


@pytest.mark.parametrize("name", ["jane.doe", "@jane", "jane@mastodon.social", "https://social.test/jane"])
def test_an_erased_name_in_a_social_network_is_that_name_and_nothing_else(person, ask, uow, name):
    point = {"channel": "social", "value": name}

    suppress_customer(uow, person(contact_points=[point]), reason="erased", source="erasure")

    assert ask(person(contact_points=[point]), channel="social", purpose="service").reason == "suppressed"
    mail = [{"channel": "email", "value": "jane@mastodon.social"}]
    assert ask(person(contact_points=mail), purpose="service").allowed


def test_an_erased_number_is_the_one_that_was_stored_whatever_the_default_region_is_now(
    person, ask, uow, default_region
):
    jane = person(contact_points=[{"channel": "phone", "value": "(201) 555-0123"}])
    default_region("FR")

    suppress_customer(uow, jane, reason="erased", source="erasure")

    again = person(contact_points=[{"channel": "phone", "value": "+1 201 555 0123"}])
    assert ask(again, channel="phone", purpose="service").reason == "suppressed"


def test_changing_an_address_to_a_suppressed_one_and_back_is_noticed(ada, person, ask, block, uow):
    block("bad@crm.test", reason="legal")
    customer = person(contact_points=[{"channel": "email", "value": "good@crm.test"}])
    point = contact_points_of(uow, customer)[0]

    update_customer(uow, customer, {"contact_points": [{"uid": point.uid, "value": "bad@crm.test"}]})
    assert ask(customer, purpose="service").reason == "suppressed"

    update_customers(uow, {customer.id: {"contact_points": [{"uid": point.uid, "value": "good@crm.test"}]}})
    uow.session.expire_all()
    assert ask(customer, purpose="service").allowed


def test_the_same_suppression_twice_is_one(block):
    assert block("ada@crm.test") is block("ADA@crm.test")


def test_a_lifted_suppression_stays_on_the_list_with_its_end(ada, ask, say, block, uow):
    say(ada, "given")
    row = block("ada@crm.test")

    lift_suppression(uow, row, note="asked by phone")

    assert ask(ada).allowed
    assert (row.until, row.note) == (uow.now, "asked by phone")
    assert suppressions_of(uow, contact_points_of(uow, ada)[0]) == []
    with pytest.raises(Conflict):
        lift_suppression(uow, row)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"value": "not an address"}, "value"),
        ({"channel": "letter"}, "channel"),
        ({"reason": "mood"}, "reason"),
        ({"until": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "until"),
    ],
)
def test_a_wrong_suppression_is_refused(block, refused, options, field):
    given = {"value": "ada@crm.test", **options}

    assert list(refused(block, given.pop("value"), **given)) == [field]
