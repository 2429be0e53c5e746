"""Two users who merge the same customers at the same moment: one does, the other is told, and nothing is half done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from crm_kernel.customers.merging.models import MergeItem, MergeRun
from crm_kernel.customers.models import ContactPoint, Customer


@pytest.fixture
def users(api):
    """Two users, each with an API client."""
    return api("administrator"), api("administrator")


@pytest.fixture
def customers(users):
    """The ids of three customers with two e-mail addresses each."""
    made = []
    for name in ("ada", "adda", "aida"):
        points = [{"channel": "email", "value": f"{name}{number}@crm.test"} for number in range(2)]
        body = {"kind": "person", "given_name": name, "family_name": "Lovelace", "contact_points": points}
        made.append(users[0].post("/api/customers", body).json["id"])
    return made


def at_once(users, requests):
    """Send one request of each user at the same moment and return the answers."""
    start = threading.Barrier(len(users))

    def send(user, request):
        start.wait()
        return user.post(*request)

    with ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(send, users, requests))


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [((0, 1), (1, 0), {1}), ((0, 1), (0, 1), {1}), ((0, 1), (0, 2), {1}), ((0, 1), (1, 2), {1, 2})],
    ids=["crosswise", "the same", "one into two", "one that goes into one that stays"],
)
def test_two_merges_at_once_are_one_after_the_other_or_one_conflict(users, customers, unit, first, second, allowed):
    def merge(pair):
        return f"/api/customers/{customers[pair[1]]}/merge", {"source": customers[pair[0]]}

    answers = at_once(users, [merge(first), merge(second)])

    done = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(done) in allowed
    assert {answer.status_code for answer in refused} <= {409, 412}
    assert all(answer.json.get("detail") or answer.json.get("title") for answer in refused)
    with unit() as uow:
        _whole(uow, {customers.index(answer.json["source"]) for answer in done}, customers)


def _whole(uow, gone, customers):
    """Check that the customers of these places went, and that what was theirs belongs to ones that stay."""
    rows = {str(row.uid): row for row in uow.session.scalars(sa.select(Customer))}
    merged = {place for place, uid in enumerate(customers) if rows[uid].merged_into_id is not None}
    left = {row.id for row in rows.values() if row.merged_into_id is None}
    points = uow.session.scalars(sa.select(ContactPoint.customer_id)).all()
    runs = set(uow.session.scalars(sa.select(MergeRun.id)))

    assert merged == gone
    assert {rows[customers[place]].merged_into_id for place in merged} <= left
    assert len(points) == 6
    assert set(points) <= left
    assert len(runs) == len(gone)
    assert set(uow.session.scalars(sa.select(MergeItem.run_id))) == runs


def test_a_merge_and_its_undoing_at_once_leave_one_of_the_two(users, customers, unit):
    run = users[0].post(f"/api/customers/{customers[1]}/merge", {"source": customers[0]}).json["id"]
    undo = (f"/api/customers/{customers[1]}/unmerge", {"run": run})

    answers = at_once(users, [undo, undo])

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    with unit() as uow:
        assert set(uow.session.scalars(sa.select(Customer.merged_into_id))) == {None}
        assert len(uow.session.scalars(sa.select(ContactPoint.id)).all()) == 6
