"""Ties between customers: whom they may join, when they may overlap, and who sees them."""

from __future__ import annotations

import datetime as dt

import pytest

from crm_kernel.customers.queries import relationships_of
from crm_kernel.customers.relationships import (
    RELATIONSHIP_TYPES,
    create_relationship,
    delete_relationship,
    end_relationship,
    update_relationship,
)

DAY = dt.date


@pytest.fixture
def tie(uow):
    """Tie two customers: ``tie(jane, "employment", acme, role="CEO", start=…, end=…)``."""

    def make(one, type_, other, *, start=None, end=None, role=None):
        row = {"from_customer_id": one.id, "to_customer_id": other.id, "type": type_}
        return create_relationship(uow, {**row, "role": role, "valid_from": start, "valid_to": end})

    return make


def test_a_tie_is_seen_from_both_ends(uow, person, organization, tie):
    jane, acme = person(), organization("Acme")

    tie(jane, "employment", acme, role="CEO", start=DAY(2020, 1, 1))

    mine, theirs = relationships_of(uow, jane)[0], relationships_of(uow, acme)[0]
    assert (str(mine.label), mine.other_name, mine.role) == ("employee of", "Acme", "CEO")
    assert (str(theirs.label), theirs.other_name) == ("employer of", "Ada Lovelace")
    assert (mine.current(DAY(2021, 1, 1)), mine.current(DAY(2019, 12, 31))) == (True, False)


def test_a_tie_is_told_as_a_change_of_both_customers(uow, person, organization, tie):
    jane, acme = person(), organization()
    uow.events.clear()

    tie(jane, "employment", acme)

    assert {(event.customer_id, event.changed) for event in uow.events} == {
        (jane.uid, "relationships"),
        (acme.uid, "relationships"),
    }


def test_households_have_persons_as_members(uow, person, create, tie, organization, refused):
    home = create(kind="household", display_name="Byrons")

    tie(person(), "household", home)

    assert list(refused(tie, organization(), "household", home)) == ["from_customer"]
    assert list(refused(tie, person(), "household", person())) == ["to_customer"]


def test_nobody_is_tied_to_itself(organization, tie, refused):
    acme = organization()

    assert list(refused(tie, acme, "partner", acme)) == ["to_customer"]


def test_an_unknown_type_and_a_period_backwards_are_refused(person, organization, tie, refused):
    jane, acme = person(), organization()

    assert list(refused(tie, jane, "nemesis", acme)) == ["type"]
    assert list(refused(tie, jane, "employment", acme, start=DAY(2020, 1, 2), end=DAY(2020, 1, 1))) == ["valid_to"]


def test_the_same_tie_does_not_hold_twice_at_a_time(person, organization, tie, refused):
    jane, acme = person(), organization()
    tie(jane, "employment", acme, role="CEO", start=DAY(2020, 1, 1), end=DAY(2020, 12, 31))

    tie(jane, "employment", acme, role="CFO", start=DAY(2020, 1, 1))
    tie(jane, "employment", acme, role="CEO", start=DAY(2021, 1, 1))

    for start, end in [(DAY(2020, 12, 31), None), (None, None), (None, DAY(2020, 1, 1)), (DAY(2022, 1, 1), None)]:
        assert list(refused(tie, jane, "employment", acme, role="CEO", start=start, end=end)) == ["valid_from"]


def test_an_organization_has_one_parent_at_a_time(organization, tie, refused):
    child, first, second = (organization(name) for name in ("Child", "First", "Second"))
    tie(child, "parent_company", first, end=DAY(2020, 12, 31))

    assert list(refused(tie, child, "parent_company", second, start=DAY(2020, 6, 1))) == ["valid_from"]
    tie(child, "parent_company", second, start=DAY(2021, 1, 1))


def test_an_organization_is_never_its_own_ancestor(organization, tie, refused):
    a, b, c = (organization(name) for name in "ABC")
    tie(a, "parent_company", b)
    tie(b, "parent_company", c)

    assert list(refused(tie, c, "parent_company", a)) == ["to_customer"]


def test_a_circle_that_never_holds_at_one_time_is_allowed(organization, tie):
    a, b = organization("A"), organization("B")
    tie(a, "parent_company", b, end=DAY(2020, 12, 31))

    assert tie(b, "parent_company", a, start=DAY(2021, 1, 1)).id is not None


def test_a_tie_can_be_changed_under_the_same_rules(uow, organization, tie, refused):
    a, b, c = (organization(name) for name in "ABC")
    tie(b, "parent_company", a)
    free = tie(a, "parent_company", c)

    assert list(refused(update_relationship, uow, free, {"to_customer_id": b.id})) == ["to_customer"]
    update_relationship(uow, free, {"role": "minority"})
    assert free.role == "minority"


def test_an_ended_tie_stays_as_history(uow, person, organization, tie):
    jane, acme = person(), organization()
    job = tie(jane, "employment", acme, start=DAY(2020, 1, 1))

    end_relationship(uow, job, on=DAY(2020, 6, 30))

    assert [found.current(DAY(2020, 7, 1)) for found in relationships_of(uow, jane)] == [False]


def test_a_tie_that_was_never_true_is_deleted(uow, person, organization, tie):
    jane, acme = person(), organization()

    delete_relationship(uow, tie(jane, "employment", acme))

    assert relationships_of(uow, jane) == []


def test_every_type_says_what_it_is_from_both_ends():
    assert all(str(type_.label) and str(type_.reverse) for type_ in RELATIONSHIP_TYPES.values())


def test_ties_are_read_in_one_query(uow, person, organization, tie, count_queries):
    jane = person()
    for number in range(5):
        tie(jane, "employment", organization(f"Acme {number}"))

    with count_queries() as queries:
        assert len(relationships_of(uow, jane)) == 5

    queries.at_most(1)


def test_a_tie_to_a_hidden_customer_is_hidden(uow, person, organization, tie):
    from crm_kernel.access.actor import Actor, Scope
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.testing.people import add_user

    rep = add_user(uow)
    jane, seen, hidden = person(), organization("Seen"), organization("Hidden")
    jane.owner_id = seen.owner_id = rep.id
    tie(jane, "employment", seen)
    tie(jane, "contact", hidden)
    grants = {"customer.read": Scope.OWN, "relationship.read": Scope.ALL}

    uow.actor = Actor(kind="user", name="rep", user_id=rep.id, grants=grants)

    assert [found.other_name for found in relationships_of(uow, jane)] == ["Seen"]
    ties = record_type("relationship")
    assert [item["type"] for item in page_of(uow, ties, parse_query(ties, [])).items] == ["employment"]
