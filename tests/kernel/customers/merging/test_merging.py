"""Two customers become one, and two again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.customers.models import Address, ContactPoint, Person, Relationship
from crm_kernel.errors import Conflict, InvalidInput, StaleVersion


def emails(uow, customer):
    query = sa.select(ContactPoint.value, ContactPoint.is_primary).where(
        ContactPoint.customer_id == customer.id, ContactPoint.channel == "email"
    )
    return sorted(tuple(row) for row in uow.session.execute(query))


def email(value, **more):
    return {"channel": "email", "value": value, **more}


def test_the_survivor_takes_what_it_lacks_and_keeps_what_it_has(uow, person, snapshot):
    source = person(given_name="Augusta", job_title="Countess", language="en", notes="old")
    target = person(given_name="Ada", notes="new")
    before = snapshot()

    run = merge(uow, source, target)

    side = uow.session.get_one(Person, target.id)
    assert (side.given_name, side.job_title) == ("Ada", "Countess")
    assert (target.language, target.notes) == ("en", "new")
    assert source.merged_into_id == target.id

    unmerge(uow, run)

    assert snapshot() == before


def test_a_chosen_value_wins(uow, person, snapshot):
    source, target = person(given_name="Augusta", stage="customer"), person(given_name="Ada")
    before = snapshot()

    run = merge(uow, source, target, {"given_name": "source", "stage": "source"})

    assert (target.display_name, target.stage) == ("Augusta Lovelace", "customer")
    unmerge(uow, run)
    assert snapshot() == before


def test_contact_points_are_joined_and_one_is_primary(uow, person, snapshot):
    source = person(contact_points=[email("a@example.org"), email("both@example.org")])
    target = person(contact_points=[email("b@example.org"), email("both@example.org")])
    before = snapshot()

    run = merge(uow, source, target)

    assert emails(uow, target) == [("a@example.org", False), ("b@example.org", True), ("both@example.org", False)]
    assert emails(uow, source) == []
    unmerge(uow, run)
    assert snapshot() == before


def test_the_worse_state_of_an_address_stays(uow, person):
    from crm_kernel.customers.evidence import report_evidence

    source, target = (person(contact_points=[email("both@example.org")]) for _ in range(2))
    point = uow.session.scalar(sa.select(ContactPoint).where(ContactPoint.customer_id == source.id))
    report_evidence(uow, point, "hard_bounced", source="test")

    merge(uow, source, target)

    assert (
        uow.session.scalar(sa.select(ContactPoint.state).where(ContactPoint.customer_id == target.id)) == "hard_bounce"
    )


def test_addresses_that_say_the_same_become_one(uow, person, snapshot):
    place = {"street": "1 rue Foch", "city": "Paris", "postal_code": "75001"}
    source, target = person(addresses=[place]), person(addresses=[place])
    before = snapshot()

    run = merge(uow, source, target)

    assert uow.session.scalar(sa.select(sa.func.count(Address.id)).where(Address.customer_id == target.id)) == 1
    unmerge(uow, run)
    assert snapshot() == before


def test_a_tie_between_the_two_goes_and_comes_back(uow, person, tie, snapshot):
    source, target, third = person(), person(), person()
    tie(source, target), tie(third, source), tie(third, target)
    before = snapshot()

    run = merge(uow, source, target)

    rows = uow.session.execute(sa.select(Relationship.from_customer_id, Relationship.to_customer_id)).all()
    assert [tuple(row) for row in rows] == [(third.id, target.id)]
    unmerge(uow, run)
    assert snapshot() == before


def test_a_survivor_that_would_be_its_own_ancestor_is_refused(uow, organization, tie):
    source, middle, target = organization("A"), organization("B"), organization("C")
    tie(source, middle, "parent_company"), tie(middle, target, "parent_company")

    with pytest.raises(Conflict, match="end that tie first"):
        merge(uow, source, target)


class TestRefusals:
    def test_a_customer_and_itself(self, uow, person):
        one = person()

        with pytest.raises(InvalidInput, match="itself"):
            merge(uow, one, one)

    def test_two_kinds(self, uow, person, organization):
        with pytest.raises(InvalidInput, match="different kinds"):
            merge(uow, person(), organization())

    def test_one_that_was_merged(self, uow, person):
        one, two, three = person(), person(), person()
        merge(uow, one, two)

        for pair in ((one, three), (three, one)):
            with pytest.raises(Conflict, match="already"):
                merge(uow, *pair)

    def test_one_that_was_changed_since_it_was_read(self, uow, person):
        source, target = person(), person()

        with pytest.raises(StaleVersion):
            merge(uow, source, target, versions=(source.version + 1, None))

    @pytest.mark.parametrize(
        "choices", [{"nix": "source"}, {"notes": "both"}, {"cf_nix": "source"}, {"bank.x": "source"}]
    )
    def test_an_unknown_choice(self, uow, person, choices):
        with pytest.raises(InvalidInput, match="choices"):
            merge(uow, person(), person(), choices)


class TestOrder:
    def test_chains_lead_to_the_last_and_are_taken_back_from_there(self, uow, person, snapshot):
        one, two, three = person(), person(), person()
        before = snapshot()
        first = merge(uow, one, two)
        second = merge(uow, two, three)

        assert {one.merged_into_id, two.merged_into_id} == {three.id}
        with pytest.raises(Conflict, match=str(second.uid)):
            unmerge(uow, first)
        unmerge(uow, second)
        assert one.merged_into_id == two.id
        unmerge(uow, first)

        assert snapshot() == before

    def test_two_merges_into_one_are_taken_back_last_first(self, uow, person, snapshot):
        one, two, three = person(notes="1"), person(notes="2"), person()
        before = snapshot()
        first, second = merge(uow, one, three), merge(uow, two, three)

        with pytest.raises(Conflict, match=str(second.uid)):
            unmerge(uow, first)
        unmerge(uow, second)
        unmerge(uow, first)

        assert snapshot() == before

    def test_twice_is_refused(self, uow, person):
        run = merge(uow, person(), person())
        unmerge(uow, run)

        with pytest.raises(Conflict, match="already"):
            unmerge(uow, run)

    def test_versions_move_forward(self, uow, person):
        source, target = person(), person()
        before = source.version, target.version

        run = merge(uow, source, target)
        between = source.version, target.version
        unmerge(uow, run)

        assert before < between < (source.version, target.version)
        assert all(a < b for a, b in zip(before, between, strict=True))
