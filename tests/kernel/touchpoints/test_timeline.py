"""The timeline: newest first, page by page, one query, nothing of what the actor may not see."""

from __future__ import annotations

from uuid import uuid4

import pytest

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import page_of, parse_query
from crm_kernel.touchpoints.queries import timeline_of


@pytest.fixture
def summaries(uow, customer):
    """The summaries on the timeline's first page."""
    return lambda: [item.summary for item in timeline_of(uow, customer).items]


@pytest.fixture
def as_rep(uow):
    """Go on as a user with grants: ``as_rep(customer=Scope.ALL)``; interactions may be read. Returns the user."""
    from crm_kernel.testing.people import add_user

    def become(**scopes):
        user = add_user(uow)
        grants = {"interaction.read": Scope.ALL, **{f"{name}.read": scope for name, scope in scopes.items()}}
        uow.actor = Actor(kind="user", name="rep", user_id=user.id, grants=grants)
        return user

    return become


@pytest.fixture
def sale(uow, customer):
    """A sale of nobody's to the customer."""
    from decimal import Decimal

    from crm_kernel.sales.services import record_sale

    return record_sale(
        uow,
        title="Boat",
        amount=Decimal(10),
        currency="USD",
        channel="rep",
        source_plugin="sfa",
        external_ref="1",
        customer=customer,
    )


def test_the_newest_comes_first(contact, summaries):
    for minutes, summary in [(1, "second"), (0, "first"), (2, "third")]:
        contact(summary, minutes=minutes)

    assert summaries() == ["third", "second", "first"]


def test_pages_follow_each_other_without_gap_or_repeat_even_at_equal_times(uow, customer, contact):
    for number in range(7):
        contact(str(number), minutes=number // 4)

    seen, before = [], None
    while True:
        page = timeline_of(uow, customer, before=before, limit=2)
        seen += [item.summary for item in page.items]
        before = page.earlier
        if before is None:
            break

    assert len(seen) == 7
    assert set(seen[:3]) == {"4", "5", "6"}
    assert set(seen[3:]) == {"0", "1", "2", "3"}


def test_a_page_is_one_query_wherever_it_is(uow, customer, contact, sale, count_queries):
    for number in range(10):
        contact(str(number), minutes=number, subject_type="sale", subject_uid=sale.uid)
    middle = timeline_of(uow, customer, limit=5).earlier

    with count_queries() as queries:
        timeline_of(uow, customer)
        timeline_of(uow, customer, before=middle)

    queries.at_most(2)


def test_contacts_of_other_customers_are_not_on_it(uow, contact, customer):
    from crm_kernel.customers.services import create_customer

    contact("mine")
    other = create_customer(uow, {"kind": "household", "display_name": "Other"})

    assert timeline_of(uow, other).items == []


def test_an_entry_about_a_record_is_seen_by_those_who_see_the_record(uow, contact, sale, summaries, as_rep):
    contact("plain")
    contact("about a sale", minutes=1, subject_type="sale", subject_uid=sale.uid)
    assert summaries() == ["about a sale", "plain"]

    as_rep(customer=Scope.ALL, sale=Scope.OWN)
    assert summaries() == ["plain"]

    as_rep(customer=Scope.ALL)
    assert summaries() == ["plain"]

    as_rep(customer=Scope.ALL, sale=Scope.ALL)
    assert summaries() == ["about a sale", "plain"]


def test_a_subject_that_is_gone_or_of_an_unloaded_type_is_hidden(contact, summaries):
    contact("plain")
    contact("about a deleted sale", subject_type="sale", subject_uid=uuid4())
    contact("about a loan", subject_type="bank.loan", subject_uid=uuid4())

    assert summaries() == ["plain"]


def test_nothing_is_seen_of_a_hidden_customer_in_any_list(uow, customer, contact, summaries, as_rep):
    contact("secret")
    interactions = record_type("interaction")

    rep = as_rep(customer=Scope.OWN)
    assert summaries() == []
    assert page_of(uow, interactions, parse_query(interactions, [])).items == []

    customer.owner_id = rep.id
    uow.session.flush()
    assert summaries() == ["secret"]
    assert len(page_of(uow, interactions, parse_query(interactions, [])).items) == 1
