"""May this customer be contacted: the verdict of one, its reason and its proof."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

import pytest

from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.queries import contact_points_of
from crm_kernel.customers.services import update_customer
from crm_kernel.errors import InvalidInput, NotFound

DAY = dt.timedelta(days=1)


def point_of(uow, customer, channel="email"):
    return next(point for point in contact_points_of(uow, customer) if point.channel == channel)


def test_without_a_consent_nobody_is_contacted_for_an_opt_in_purpose(ada, ask):
    verdict = ask(ada)

    assert (verdict.allowed, verdict.reason, verdict.proof) == (False, "no_consent", None)


def test_a_consent_allows_the_contact_and_is_its_proof(ada, ask, say, uow):
    consent = say(ada, "given", days_ago=2)

    verdict = ask(ada)

    assert (verdict.allowed, verdict.reason) == (True, "consent_given")
    assert (verdict.proof.kind, verdict.proof.id, verdict.proof.says) == ("consent", consent.uid, "given")
    assert (verdict.proof.at, verdict.proof.source) == (uow.now - 2 * DAY, "test")


def test_a_consent_is_for_its_channel_and_its_purpose_only(ada, ask, say, purpose):
    purpose("club")
    say(ada, "given")

    assert ask(ada).allowed
    assert ask(ada, channel="sms").reason == "no_consent"
    assert ask(ada, purpose="club").reason == "no_consent"


def test_a_withdrawal_ends_a_consent_and_is_the_proof(ada, ask, say):
    say(ada, "given", days_ago=2)
    withdrawal = say(ada, "withdrawn", days_ago=1)

    verdict = ask(ada)

    assert (verdict.allowed, verdict.reason, verdict.proof.id) == (False, "withdrawn", withdrawal.uid)


def test_an_older_consent_that_is_told_later_does_not_undo_a_withdrawal(ada, ask, say):
    say(ada, "withdrawn", days_ago=10)
    say(ada, "given", days_ago=400)

    assert ask(ada).reason == "withdrawn"


def test_the_past_is_judged_by_what_was_said_then(ada, ask, say, uow):
    say(ada, "given", days_ago=10)
    say(ada, "withdrawn", days_ago=5)

    assert ask(ada, at=uow.now - 7 * DAY).allowed
    assert ask(ada, at=uow.now - 11 * DAY).reason == "no_consent"


def test_a_consent_lapses_at_its_end(ada, ask, say, uow):
    say(ada, "given", days_ago=10, valid_to=uow.now)

    assert ask(ada, at=uow.now - DAY).allowed
    assert ask(ada).reason == "lapsed"


def test_a_consent_that_waits_for_its_confirmation_allows_nothing_and_ends_nothing(ada, ask, say):
    say(ada, "pending", days_ago=3)
    assert ask(ada).reason == "pending"

    say(ada, "given", days_ago=2)
    say(ada, "pending", days_ago=1)
    assert ask(ada).allowed


def test_a_purpose_with_double_opt_in_needs_a_confirmed_consent(ada, ask, say, purpose, uow):
    purpose("club", double_opt_in=True)
    say(ada, "given", purpose="club", days_ago=2)
    assert ask(ada, purpose="club").reason == "unconfirmed"

    say(ada, "given", purpose="club", days_ago=1, double_opt_in_at=uow.now)
    assert ask(ada, purpose="club").allowed


def test_an_opt_out_purpose_is_allowed_until_the_customer_objects(ada, ask, say):
    assert ask(ada, purpose="survey").reason == "not_objected"

    say(ada, "denied", purpose="survey")

    assert ask(ada, purpose="survey").reason == "denied"


def test_a_pause_says_when_it_ends(ada, ask, say, uow):
    say(ada, "withdrawn", purpose="survey", days_ago=1, valid_to=uow.now + 30 * DAY)

    verdict = ask(ada, purpose="survey")

    assert (verdict.allowed, verdict.next_eligible_at) == (False, uow.now + 30 * DAY)
    assert ask(ada, purpose="survey", at=uow.now + 30 * DAY).allowed


def test_a_purpose_that_is_always_allowed_needs_no_consent(ada, ask, say):
    say(ada, "withdrawn", purpose="service")

    verdict = ask(ada, purpose="service")

    assert (verdict.allowed, verdict.reason) == (True, "always")


def test_a_purpose_that_does_not_exist_or_is_retired_is_refused(ada, ask, say, purpose, uow):
    club = purpose("club")
    say(ada, "given", purpose="club")
    club.active = False
    uow.session.flush()

    assert ask(ada, purpose="club").reason == "unknown_purpose"
    assert ask(ada, purpose="rumour").reason == "unknown_purpose"


def test_a_channel_without_an_address_is_refused(ada, ask):
    assert ask(ada, channel="fax", purpose="service").reason == "no_address"
    assert ask(ada, channel="letter", purpose="service").reason == "no_address"


@pytest.mark.parametrize("kind", ["hard_bounced", "wrong_person_reported", "retired"])
def test_an_address_that_does_not_work_is_refused_whatever_the_consent(ada, ask, say, uow, kind):
    say(ada, "given")
    report_evidence(uow, point_of(uow, ada), kind, source="ema")

    verdict = ask(ada)

    assert (verdict.allowed, verdict.reason) == (False, "address_unusable")


def test_a_second_address_that_works_is_enough(ada, ask, say, uow):
    say(ada, "given")
    report_evidence(uow, point_of(uow, ada), "hard_bounced", source="ema")
    more = [{"uid": point.uid} for point in contact_points_of(uow, ada)]
    update_customer(uow, ada, {"contact_points": [*more, {"channel": "email", "value": "second@crm.test"}]})

    assert ask(ada).allowed


def test_a_letter_needs_an_address_that_is_valid_that_day(person, ask, uow):
    moved = person(addresses=[{"city": "Lyon", "valid_to": "2020-12-31"}])
    there = person(addresses=[{"city": "Lyon"}])

    assert ask(moved, channel="letter", purpose="service").reason == "address_unusable"
    assert ask(there, channel="letter", purpose="service").allowed


def test_an_archived_customer_is_not_contacted(ada, ask, say, uow):
    say(ada, "given")
    update_customer(uow, ada, {"status": "archived"})

    assert ask(ada).reason == "archived"


def test_every_refusal_is_listed_in_the_order_of_the_rules(ada, ask, uow):
    suppress(uow, "ada@crm.test", channel="email", reason="complaint", source="test")
    update_customer(uow, ada, {"status": "archived"})

    refusals = ask(ada).refusals

    assert [refusal.reason for refusal in refusals] == ["archived", "suppressed", "no_consent"]
    assert refusals[0].rule == "kernel.customer"


def test_an_unknown_channel_is_a_wrong_input(ada, ask):
    with pytest.raises(InvalidInput, match="pigeon"):
        ask(ada, channel="pigeon")


def test_an_unknown_customer_is_not_found(ada, uow):
    from crm_kernel.customers.consent.gate import may_contact

    with pytest.raises(NotFound):
        may_contact(uow, uuid4(), channel="email", purpose="marketing")
