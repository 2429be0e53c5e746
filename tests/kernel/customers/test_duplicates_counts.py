"""What the scan counts: names that are rare or common, and keys that too many share to tell anything."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
import sqlalchemy as sa

from crm_kernel.customers.duplicates import likely, queries, scanning, stored
from crm_kernel.customers.duplicates.blocking import CODES, keys_of, kind_of, stored_keys_of
from crm_kernel.customers.duplicates.likely import likely_customers
from crm_kernel.customers.duplicates.loading import load_profiles, save_state, stored_state
from crm_kernel.customers.duplicates.models import DuplicateBlock, DuplicateCandidate, DuplicateProfile, DuplicateTerm
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.queries import open_candidates, similar_customers
from crm_kernel.customers.models import Customer


@pytest.fixture
def scan(uow):
    """Run the scan to its end and return the last checkpoint."""

    def run():
        last, point = {}, {}
        while point is not None:
            last, point = point, scanning.scan(uow, {"checkpoint": point})
        return last

    return run


@pytest.fixture
def sharing(person):
    """Make customers with one phone number: ``sharing(4)``."""

    def make(count, number="+33144556677", **more):
        points = [{"channel": "phone", "value": number}]
        names = [f"{first}{second}" for first in "bcdfghjklm" for second in "aeiou"]
        return [
            person(given_name=f"{names[n]}ro", family_name=f"{names[-n]}ster", contact_points=points, **more)
            for n in range(count)
        ]

    return make


def test_stored_profiles_say_what_the_customers_do(uow, person, scan):
    one = person(
        birth_date="1915-12-10",
        contact_points=[
            {"channel": "email", "value": "ada@example.com"},
            {"channel": "phone", "value": "+33612345678"},
        ],
        addresses=[{"street": "12 bis St James Square", "postal_code": "75011", "city": "Le Mans"}],
    )

    scan()

    found = stored.profiles_of(uow, [one.id])
    assert found == load_profiles(uow, [one.id])
    assert found[one.id].birth == "19151210"


def test_every_stored_key_tells_its_kind():
    profile = Profile(
        given="ada", family="lovelace", words=("ada", "lovelace"), birth="19151210", phones=("33612345678",)
    )

    numbers = stored_keys_of(profile)

    kinds = Counter(key.partition(":")[0] for key in keys_of(profile))
    assert Counter(map(kind_of, numbers)) == {kind: n for kind, n in kinds.items() if kind in CODES}
    assert {kind_of(n) for n in numbers if n & 1} == {"t", "bn"}


def test_a_number_that_too_many_share_makes_no_pairs_and_is_told(uow, sharing, scan, monkeypatch):
    monkeypatch.setattr(stored, "MAX_BLOCK", 3)
    sharing(4)
    few = sharing(3, "+33699887766")

    last = scan()

    assert stored_state(uow)["passed_over"]["t"] == {"blocks": 1, "largest": 4}
    assert last["compared"] == 3
    assert len(few) == 3


def test_a_number_that_becomes_too_common_between_two_full_counts_makes_no_pairs_either(
    uow, sharing, scan, monkeypatch
):
    monkeypatch.setattr(stored, "MAX_BLOCK", 3)
    monkeypatch.setattr(scanning, "_COUNT_EVERY", 0)
    sharing(2)
    scan()
    assert uow.session.scalars(sa.select(DuplicateBlock.key)).all() == []
    uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=2)))
    sharing(2)

    last = scan()

    assert last["compared"] == 0
    assert uow.session.scalars(sa.select(DuplicateBlock.customers)).all() == [4]


def test_names_are_counted_by_the_database_and_rare_ones_are_not_written_down(uow, person, scan):
    for given, family in (("Ada", "Smith"), ("Alan", "Smith"), ("Grace", "Smith"), ("Eve", "Lovelace")):
        person(given_name=given, family_name=family)

    scan()

    counts = {row.term: row.customers for row in uow.session.scalars(sa.select(DuplicateTerm)) if row.comparison == 1}
    assert counts == {"": 4, "smith": 3}


def test_names_are_counted_anew_once_enough_customers_changed(uow, person, scan):
    for number in range(30):
        person(given_name=f"Ada{number}", family_name="Smith")
    scan()

    def smiths():
        query = sa.select(DuplicateTerm.customers).where(DuplicateTerm.comparison == 1, DuplicateTerm.term == "smith")
        return uow.session.scalar(query)

    def later(count):
        uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=2)))
        for number in range(count):
            person(given_name=f"Eve{number}", family_name="Smith")
        scan()
        return smiths()

    assert [smiths(), later(2), later(3)] == [30, 30, 35]


def test_to_share_a_rare_name_says_more_than_to_share_a_common_one(uow, person, scan, monkeypatch):
    monkeypatch.setattr("crm_kernel.customers.duplicates.terms._UNSEEN", 0)
    monkeypatch.setattr(scanning, "LEAST", 0.0)
    for number in range(40):
        person(given_name=f"Eve{number}", family_name="Smith", birth_date=f"19{number + 10}-01-02")
    pairs = {
        family: [person(given_name="Ada", family_name=family, birth_date=born).id for _twice in range(2)]
        for family, born in (("Smith", "1915-12-10"), ("Lovelace", "1917-05-06"))
    }

    scan()

    found = {(row.first_id, row.second_id): row for row in uow.session.scalars(sa.select(DuplicateCandidate))}
    common, rare = (found[tuple(pairs[family])] for family in ("Smith", "Lovelace"))
    assert common.levels == rare.levels
    assert common.score < rare.score


def test_forms_and_imports_take_a_rare_name_for_more_than_a_common_one_too(uow, person, scan, monkeypatch):
    monkeypatch.setattr("crm_kernel.customers.duplicates.terms._UNSEEN", 0)
    for place in (queries, likely):
        monkeypatch.setattr(place, "WARN", 0.0)
    for number in range(40):
        person(given_name=f"Eve{number}", family_name="Smith")
    ids = [person(given_name="Ada", family_name=family).uid for family in ("Smith", "Lovelace")]
    typed = [{"kind": "person", "given_name": "Ada", "family_name": family} for family in ("Smith", "Lovelace")]

    def told():
        forms = [next(one for one in similar_customers(uow, payload) if one.id == uid)
                 for payload, uid in zip(typed, ids, strict=True)]  # fmt: skip
        rows = [next(one for one in found if one.uid == uid)
                for found, uid in zip(likely_customers(uow, typed), ids, strict=True)]  # fmt: skip
        assert [one.probability for one in rows] == [one.probability for one in forms]
        return forms

    before = told()
    scan()
    common, rare = told()

    assert before[0].probability == before[1].probability
    assert common.reasons == rare.reasons
    assert common.probability < rare.probability


def test_keys_of_another_version_are_made_anew_by_a_full_scan(uow, person, scan):
    one, _other = (person(contact_points=[{"channel": "email", "value": "ada@example.com"}]) for _twice in range(2))
    scan()
    uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=2)))
    uow.session.execute(sa.delete(DuplicateProfile))
    save_state(uow, {**stored_state(uow), "format": scanning.FORMAT - 1})

    last = scan()

    assert last["progress"] == {"done": 4, "total": 4}
    assert one.id in stored.profiles_of(uow, [one.id])
    assert len(open_candidates(uow)[0]) == 1


def test_a_scan_that_is_stopped_anywhere_goes_on_and_finds_the_same(uow, sharing, monkeypatch):
    import json

    for name in ("CHUNK", "SCORED"):
        monkeypatch.setattr(scanning, name, 2)
    sharing(5, birth_date="1915-12-10")
    monkeypatch.setattr(scanning, "LEAST", 0.0)

    point, found = {}, []
    while point is not None:
        before = json.loads(json.dumps(point))  # a checkpoint is stored as JSON
        with uow.session.begin_nested() as kept:
            scanning.scan(uow, {"checkpoint": before})
            kept.rollback()  # killed before its commit
        uow.session.expire_all()
        point = scanning.scan(uow, {"checkpoint": before})
        found.append((point or {}).get("pass"))

    assert found == ["keys", "keys", "keys", "pairs", "pairs", "pairs", "pairs", *["scores"] * 5, None]
    assert uow.session.scalar(sa.select(sa.func.count()).select_from(DuplicateCandidate)) == 10
