"""The scan of stored customers: what it finds, what it remembers, and that it looks only at what changed."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.duplicates import queries, scanning
from crm_kernel.customers.duplicates.comparing import COMPARISONS
from crm_kernel.customers.duplicates.loading import stored_state
from crm_kernel.customers.duplicates.models import DuplicateCandidate, DuplicateKey
from crm_kernel.customers.duplicates.queries import open_candidates, similar_customers
from crm_kernel.customers.duplicates.services import dismiss_duplicate
from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.customers.values.states import Evidence


@pytest.fixture
def scan(uow):
    """Run the scan to its end and return the checkpoints."""

    def run():
        points, point = [], None
        while True:
            point = scanning.scan(uow, {"checkpoint": point} if point else {})
            if point is None:
                return points
            points.append(point)

    return run


@pytest.fixture
def ada(person):
    """Ada twice, with a short form and swapped digits, and Grace."""
    return (
        person(
            birth_date="1915-12-10",
            contact_points=[{"channel": "email", "value": "ada@example.com"}],
            addresses=[{"street": "12 St James Square", "postal_code": "75011", "city": "Paris"}],
        ),
        person(
            given_name="Adda",
            birth_date="1915-12-01",
            contact_points=[{"channel": "email", "value": "ADA@example.com"}],
        ),
        person(given_name="Grace", family_name="Hopper", birth_date="1996-12-09"),
    )


def pairs(uow):
    found, _next = open_candidates(uow)
    return [{pair.first.id, pair.second.id} for pair in found]


def test_the_scan_finds_customers_that_are_there_twice(uow, ada, scan):
    scan()

    assert pairs(uow) == [{ada[0].id, ada[1].id}]
    (candidate,) = open_candidates(uow)[0]
    assert candidate.score > 0.9
    assert "email:same" in candidate.reasons
    assert "birth_date:one_slip" in candidate.reasons


def test_a_dismissed_pair_is_never_proposed_again(uow, ada, scan):
    scan()
    dismiss_duplicate(uow, open_candidates(uow)[0][0].id)

    ada[0].updated_at = uow.now
    uow.session.flush()
    scan()

    assert pairs(uow) == []
    assert uow.session.scalars(sa.select(DuplicateCandidate.state)).all() == ["dismissed"]


def test_a_second_scan_looks_at_what_changed_alone(uow, ada, scan, person):
    scan()
    uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=2)))
    new = person(birth_date="1915-12-10", contact_points=[{"channel": "email", "value": "ada@example.com"}])

    points = scan()

    assert points[-1]["progress"] == {"done": 2, "total": 2}
    assert {frozenset(pair) for pair in pairs(uow)} == {
        frozenset({ada[0].id, ada[1].id}),
        frozenset({ada[0].id, new.id}),
        frozenset({ada[1].id, new.id}),
    }


def test_a_pair_that_no_longer_looks_alike_leaves_the_queue(uow, ada, scan):
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.services import update_record

    scan()
    change = {"given_name": "Barbara", "family_name": "Liskov", "birth_date": "1939-11-07", "contact_points": []}
    update_record(uow, record_type("customer"), ada[1].uid, change, version=ada[1].version)
    scan()

    assert pairs(uow) == []


def test_an_address_that_is_somebody_elses_by_now_speaks_for_no_pair_any_more(uow, ada, scan):
    scan()
    uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=2)))
    told = ContactPoint.customer_id == ada[1].id
    shared = uow.session.scalars(sa.select(DuplicateKey.key).where(DuplicateKey.customer_id == ada[1].id)).all()

    [point] = uow.session.scalars(sa.select(ContactPoint).where(told))
    report_evidence(uow, point, Evidence.WRONG_PERSON_REPORTED, source="user:email")
    points = scan()

    assert points[-1]["progress"]["total"] == 0
    left = uow.session.scalars(sa.select(DuplicateKey.key).where(DuplicateKey.customer_id == ada[1].id)).all()
    assert set(left) < set(shared)
    uow.session.expire_all()
    assert not [pair for pair in open_candidates(uow)[0] if "email:same" in pair.reasons]


def test_chunks_give_what_one_pass_gives_and_say_how_far_they_are(uow, ada, scan, monkeypatch):
    monkeypatch.setattr(scanning, "CHUNK", 1)

    points = scan()

    assert pairs(uow) == [{ada[0].id, ada[1].id}]
    assert [point["progress"]["done"] for point in points] == [1, 2, 3, 3, 4, 5, 6]
    assert {point["progress"]["total"] for point in points} == {6}


def test_each_pair_teaches_once_however_often_it_is_scanned(uow, ada, scan, person):
    def seen():
        return sum(stored_state(uow)["patterns"].values())

    scan()
    first = seen()
    scan()
    scan()
    again = seen()
    later = person(given_name="Adda", contact_points=[{"channel": "email", "value": "ada@example.com"}])
    later.created_at = later.updated_at = uow.now + dt.timedelta(minutes=1)
    uow.session.flush()
    scan()
    more = seen()

    assert again == first
    assert more == first + 2


def test_who_shares_most_is_compared_first_where_many_share_a_little(uow, person, scan, monkeypatch):
    monkeypatch.setattr(queries, "_COMPARED", 3)
    for _number in range(5):
        person(birth_date=None)
    wanted = person(contact_points=[{"channel": "email", "value": "ada@example.com"}])
    scan()
    payload = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}
    payload["contact_points"] = [{"channel": "email", "value": "ada@example.com"}]

    assert similar_customers(uow, payload)[0].id == wanted.uid


def test_an_instance_without_customers_has_no_duplicates(uow, scan):
    scan()

    assert pairs(uow) == []


def test_keys_go_with_their_customer(uow, ada, scan):
    scan()
    uow.session.execute(sa.delete(Customer).where(Customer.id == ada[1].id))

    kept = set(uow.session.scalars(sa.select(DuplicateKey.customer_id)))
    assert kept == {ada[0].id, ada[2].id}
    assert uow.session.scalar(sa.select(sa.func.count()).select_from(DuplicateCandidate)) == 0


def test_a_customer_is_found_before_it_is_scanned_by_its_address_number_or_name(uow, ada):
    payload = {
        "kind": "person",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "contact_points": [{"channel": "email", "value": "Ada@Example.com"}],
    }

    found = similar_customers(uow, payload)

    assert {similar.id for similar in found} == {ada[0].uid, ada[1].uid}
    assert found[0].probability > 0.9
    assert similar_customers(uow, payload, besides=ada[0].uid)[0].id == ada[1].uid


def test_a_customer_is_found_with_a_mistyped_name_once_it_is_scanned(uow, ada, scan):
    payload = {"kind": "person", "given_name": "Ada", "family_name": "Lovelaec", "birth_date": "1915-12-10"}
    before = similar_customers(uow, payload)

    scan()

    assert before == []
    assert [similar.id for similar in similar_customers(uow, payload)][:1] == [ada[0].uid]


def test_what_is_no_value_at_all_resembles_nobody(uow, ada):
    payload = {
        "kind": None,
        "given_name": ["x"],
        "contact_points": "y",
        "identifiers": [{"type": "siren", "value": "1"}],
    }

    assert similar_customers(uow, payload) == []


def test_a_decision_teaches_the_weights(uow, ada, scan, monkeypatch):
    monkeypatch.setattr(scanning, "_ENOUGH", 1)
    scan()
    (candidate,) = open_candidates(uow)[0]
    learnt = scanning.stored_state(uow)["weights"]

    dismiss_duplicate(uow, candidate.id)
    scan()

    taught = scanning.stored_state(uow)["weights"]
    email = next(place for place, c in enumerate(COMPARISONS) if c.name == "email")
    assert taught["m"][email][-1] < learnt["m"][email][-1]
    assert taught["prior"] <= learnt["prior"]


def test_who_is_like_somebody_costs_the_same_however_much_a_message_says_of_him(uow, person, scan, count_queries):
    held = person(contact_points=[{"channel": "email", "value": "ada49@example.com"}])
    scan()
    points = [{"channel": "email", "value": f"ada{number}@example.com"} for number in range(2_000)]
    numbers = [{"type": "tax", "value": f"A{number}"} for number in range(2_000)]
    payload = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace", "contact_points": points}

    with count_queries() as queries:
        found = similar_customers(uow, {**payload, "identifiers": numbers})

    assert [one.id for one in found] == [held.uid]
    queries.at_most(12)


def test_words_without_end_are_not_compared(uow, organization, scan, count_queries):
    organization("Acme")
    scan()

    with count_queries() as queries:
        found = similar_customers(uow, {"kind": "organization", "display_name": "Acme " + "Works " * 100_000})

    assert found == []
    queries.at_most(12)


def test_whom_a_number_or_an_address_names_comes_before_whom_only_a_name_does(uow, person, monkeypatch):
    person()
    known = person(given_name="Augusta", contact_points=[{"channel": "email", "value": "ada@example.com"}])
    monkeypatch.setattr(queries, "_COMPARED", 1)
    loaded = []
    load = queries.load_profiles
    monkeypatch.setattr(queries, "load_profiles", lambda unit, keys: loaded.extend(keys) or load(unit, keys))

    similar_customers(uow, {"kind": "person", "given_name": "Ada", "family_name": "Lovelace",
                            "contact_points": [{"channel": "email", "value": "ADA@example.com"}]})  # fmt: skip

    assert loaded == [known.id]
