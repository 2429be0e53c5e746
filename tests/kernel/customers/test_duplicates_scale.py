"""A long queue of duplicates: a page and a decision cost what they are about, not what waits beside them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.customers.duplicates import queue
from crm_kernel.customers.duplicates.clusters import regroup
from crm_kernel.customers.duplicates.comparing import COMPARISONS
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queue import cluster_of, open_clusters
from crm_kernel.customers.duplicates.recognising import propose, recognise
from crm_kernel.customers.duplicates.services import dismiss_duplicate
from crm_kernel.customers.models import Customer
from crm_kernel.testing.people import add_user

#: Clusters of three customers, and as many pairs beside that somebody said are two.
CLUSTERS = 2_000
#: What is never read as a whole.
TABLES = ("duplicate_candidate", "customer")


@pytest.fixture
def long_queue(uow):
    """Fill the queue: ``CLUSTERS`` times three customers and their three pairs, and dismissed ones; analysed."""
    first = (uow.session.scalar(sa.select(sa.func.max(Customer.id))) or 0) + 1
    made = {"created_at": uow.now, "updated_at": uow.now, "kind": "person", "custom": {}}
    people = [{**made, "id": first + n, "uid": uuid7(), "display_name": f"p{n}", "sort_name": f"p{n}"}
              for n in range(3 * CLUSTERS)]  # fmt: skip
    uow.session.execute(sa.insert(Customer.__table__), people)
    common = {"levels": [0] * len(COMPARISONS), "found_at": uow.now}
    pairs = []
    for number in range(CLUSTERS):
        one, score = first + 3 * number, 0.5 + number / CLUSTERS / 4
        trio = [(one, one + 1, 0.0), (one, one + 2, 0.1), (one + 1, one + 2, 0.2)]
        lowest = 4 * number + 1
        pairs += [{**common, "id": lowest + place, "uid": uuid7(), "first_id": a, "second_id": b, "score": score + more,
                   "state": "open", "cluster": lowest} for place, (a, b, more) in enumerate(trio)]  # fmt: skip
        apart = {"first_id": one, "second_id": one + 3, "score": 0.6, "state": "dismissed", "cluster": None}
        if number + 1 < CLUSTERS:
            pairs.append({**common, "id": lowest + 3, "uid": uuid7(), **apart})
    uow.session.execute(sa.insert(DuplicateCandidate.__table__), pairs)
    uow.session.execute(sa.text("ANALYZE"))


def test_a_page_of_the_queue_reads_what_it_shows(uow, long_queue, plans, read_whole):
    first, following = open_clusters(uow, limit=5)
    with plans() as found:
        second, _more = open_clusters(uow, limit=5, after=following)

    assert len(found) == 3
    assert read_whole(found, *TABLES) == []
    assert [len(cluster.members) for cluster in (*first, *second)] == [3] * 10
    scores = [cluster.score for cluster in (*first, *second)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(0.5 + (CLUSTERS - 1) / CLUSTERS / 4 + 0.2)
    assert len({cluster.id for cluster in (*first, *second)}) == 10


@pytest.fixture
def rep(uow, long_queue):
    """Be somebody who sees two clusters of the middle, two customers of a third, and one each of two more."""
    user = add_user(uow)
    lowest = uow.session.scalar(sa.select(sa.func.min(DuplicateCandidate.first_id)))
    own = [lowest + 3 * 900 + n for n in (0, 1, 2, 3, 4, 5, 7, 8, 10, 14)]
    table = Customer.__table__
    uow.session.execute(sa.update(table).where(table.c.id.in_(own)).values(owner_id=user.id))
    uow.session.execute(sa.text("ANALYZE"))
    uow.actor = Actor(kind="user", name="rep", user_id=user.id, grants={"customer.*": Scope.OWN})


def test_who_sees_few_customers_pays_for_their_pairs_alone(uow, rep, plans, read_whole):
    first, following = open_clusters(uow, limit=2)
    with plans() as found:
        second, end = open_clusters(uow, limit=2, after=following)

    (walk,) = (index.name for index in DuplicateCandidate.__table__.indexes if index.columns.keys()[0] == "state")
    assert len(found) == 4
    assert read_whole(found, *TABLES) == []
    assert [plan for plan in found if walk in plan] == []
    assert [len(cluster.members) for cluster in (*first, *second)] == [2, 3, 3]
    assert end is None


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_who_sees_few_is_shown_what_a_walk_over_all_pairs_finds(uow, rep, limit, monkeypatch):
    def pages():
        following, found = None, []
        while following is not None or not found:
            page, following = open_clusters(uow, limit=limit, after=following)
            found.append([(cluster.id, [pair.id for pair in cluster.pairs]) for cluster in page])
        return found

    by_customer = pages()
    monkeypatch.setattr(queue, "_FEW", 0)

    assert by_customer == pages()
    assert sum(len(page) for page in by_customer) == 3


def test_one_cluster_is_read_alone(uow, long_queue, plans, read_whole):
    (one,), _more = open_clusters(uow, limit=1)

    with plans() as found:
        again = cluster_of(uow, one.pairs[-1].id)

    assert again.id == one.id
    assert read_whole(found, *TABLES) == []


def test_a_decision_reads_the_pairs_of_its_customers_and_of_nobody_else(uow, long_queue, plans, read_whole):
    (one,), _more = open_clusters(uow, limit=1)
    customers = [member.id for member in one.members[:2]]

    with plans() as found:
        regroup(uow, customers)

    assert found
    assert read_whole(found, *TABLES) == []


def test_what_was_dismissed_long_ago_still_keeps_its_customers_apart(uow, long_queue):
    (one,), _more = open_clusters(uow, limit=1)
    weakest = one.pairs[-1]

    dismiss_duplicate(uow, weakest.id)

    left = [cluster for cluster in open_clusters(uow, limit=5)[0] if set(cluster.members) & set(one.members)]
    apart = {weakest.first.id, weakest.second.id}
    assert left
    assert not any(apart <= {member.id for member in cluster.members} for cluster in left)


WHO = {
    "kind": "person",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "birth_date": "1985-12-10",
    "contact_points": [{"channel": "phone", "value": "+33612345678"}],
}


@pytest.fixture
def adas(create):
    """Ada three times, the last with a slip."""
    return [create(**{**WHO, "family_name": name}) for name in ("Lovelace", "Lovelace", "Lovelcae")]


def test_to_recognise_somebody_reads_no_table_as_a_whole(uow, adas, long_queue, plans, read_whole):
    if uow.session.get_bind().dialect.name == "postgresql":  # the pairs of the long queue brought their keys
        uow.session.execute(sa.text("SELECT setval('duplicate_candidate_id_seq', 1000000)"))

    with plans() as found:
        recognised = recognise(uow, WHO)
        propose(uow, adas[2], [one for one in recognised.likely if one.id != adas[2].uid])

    assert recognised.customer is None
    assert found
    assert read_whole(found, *TABLES) == []
