"""The state of contact points: only evidence changes it, and no edit launders it."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.models import ContactPointEvent
from crm_kernel.customers.queries import contact_points_of, evidence_of
from crm_kernel.customers.services import change_contact_point, remove_contact_point, update_customer

LATER = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def point(person, uow):
    """One unverified e-mail address; the events so far are forgotten."""
    customer = person(contact_points=[{"channel": "email", "value": "a@crm.test"}])
    uow.events.clear()
    return contact_points_of(uow, customer)[0]


@pytest.fixture
def report(uow, point):
    """Report evidence about the address: ``report("delivered")``."""
    return lambda kind, **options: report_evidence(uow, point, kind, source="ema", **options)


def test_evidence_changes_the_state_and_tells_it(uow, point, report):
    state = report("hard_bounced", occurred_at=LATER, detail="550 no such user", external_ref="<1@mx>")

    assert (state, point.state, point.state_since) == ("hard_bounce", "hard_bounce", LATER)
    event = uow.events[0]
    assert (event.contact_point_id, event.before, event.after) == (point.uid, "unverified", "hard_bounce")
    proof = evidence_of(uow, point)[0]
    assert (proof.kind, proof.detail, proof.source, proof.occurred_at) == (
        "hard_bounced",
        "550 no such user",
        "ema",
        LATER,
    )


def test_evidence_that_changes_nothing_is_kept_and_not_told(uow, point, report):
    report("complained")

    assert (point.state, uow.events, len(evidence_of(uow, point))) == ("unverified", [], 1)


def test_evidence_told_twice_counts_once(uow, point, report):
    for _time in range(2):
        report("soft_bounced", external_ref="<1@mx>")

    assert len(evidence_of(uow, point)) == 1
    assert len(uow.events) == 1


def test_five_soft_bounces_in_a_row_are_a_hard_one(point, report):
    states = [report("soft_bounced", external_ref=f"<{number}@mx>").value for number in range(5)]

    assert states == ["soft_bounce"] * 4 + ["hard_bounce"]


def test_a_delivery_breaks_the_row_of_soft_bounces(point, report):
    for kind in ["soft_bounced"] * 4 + ["delivered"] + ["soft_bounced"] * 4:
        report(kind)

    assert point.state == "soft_bounce"


def test_unknown_evidence_is_a_programming_error(report):
    with pytest.raises(ValueError):
        report("rumoured")


def test_a_form_cannot_set_a_state(create, refused, person):
    errors = refused(
        create,
        kind="person",
        family_name="A",
        contact_points=[{"channel": "email", "value": "a@crm.test", "state": "valid"}],
    )

    assert list(errors) == ["contact_points.0.state"]


def test_saving_a_bounced_address_unchanged_keeps_it_bounced(uow, point, report):
    report("hard_bounced")

    change_contact_point(uow, point, {"value": "A@crm.test", "label": "work"})

    assert (point.value, point.state) == ("A@crm.test", "hard_bounce")
    assert [event.kind for event in evidence_of(uow, point)] == ["hard_bounced"]


def test_a_corrected_address_starts_unverified_and_says_why(uow, point, report):
    report("hard_bounced")
    uow.events.clear()

    change_contact_point(uow, point, {"value": "b@crm.test"})

    assert (point.state, point.state_since) == ("unverified", uow.now)
    assert [(event.kind, event.value_normalized) for event in evidence_of(uow, point)] == [("corrected", "b@crm.test")]
    assert [event.name for event in uow.events] == ["kernel.contact_point_state_changed", "kernel.customer_updated"]


def test_editing_a_bounced_address_away_and_back_does_not_launder_it(uow, point, report):
    report("hard_bounced")

    change_contact_point(uow, point, {"value": "b@crm.test"})
    change_contact_point(uow, point, {"value": "a@crm.test"})

    assert point.state == "hard_bounce"


def test_removing_a_bounced_address_and_adding_it_again_does_not_launder_it(uow, person, point, report):
    from crm_kernel.customers.models import Customer
    from crm_kernel.customers.services import add_contact_point

    report("hard_bounced")
    customer = uow.session.get(Customer, point.customer_id)

    remove_contact_point(uow, point)
    again = add_contact_point(uow, customer, {"channel": "email", "value": "a@crm.test"})

    assert again.state == "hard_bounce"
    assert uow.session.execute(sa.select(ContactPointEvent.contact_point_id)).scalar_one() is None


def test_the_same_address_at_another_customer_keeps_its_own_state(uow, person, point, report):
    report("hard_bounced")

    other = person(contact_points=[{"channel": "email", "value": "a@crm.test"}])

    assert contact_points_of(uow, other)[0].state == "unverified"


def test_a_whole_list_sent_again_without_ids_keeps_states(uow, point, report):
    from crm_kernel.customers.models import Customer

    report("confirmed")
    customer = uow.session.get(Customer, point.customer_id)

    update_customer(
        uow,
        customer,
        {"contact_points": [{"channel": "email", "value": "b@crm.test"}, {"channel": "email", "value": "a@crm.test"}]},
    )

    found = {p.value: (p.state, p.is_primary) for p in contact_points_of(uow, customer)}
    assert found == {"a@crm.test": ("valid", True), "b@crm.test": ("unverified", False)}
