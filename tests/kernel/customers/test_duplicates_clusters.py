"""Clusters of the review queue: what is grouped, merged at once or not at all, and kept apart."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.duplicates import clusters, scanning
from crm_kernel.customers.duplicates.clusters import Link, clusters_of, weakest_of
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import open_candidates
from crm_kernel.customers.duplicates.queue import cluster_of, open_clusters
from crm_kernel.customers.duplicates.services import dismiss_cluster, dismiss_duplicate, merge_cluster
from crm_kernel.customers.merging.services import unmerge
from crm_kernel.customers.models import Person
from crm_kernel.errors import InvalidInput, NotFound, StaleVersion

ADA = {"birth_date": "1985-12-10", "contact_points": [{"channel": "email", "value": "ada@crm.test"}]}


@pytest.fixture
def scan(uow):
    """Run the scan to its end."""

    def run():
        point = {}
        while point is not None:
            point = scanning.scan(uow, {"checkpoint": point})

    return run


@pytest.fixture
def three(person, scan):
    """Ada three times, and Grace twice; scanned."""
    found = [person(given_name=name, **ADA) for name in ("Ada", "Adda", "Ada")]
    for _twice in range(2):
        person(given_name="Grace", family_name="Hopper", birth_date="1996-12-09")
    scan()
    return found


def pair_of(uow, one, other):
    query = sa.select(DuplicateCandidate).where(
        DuplicateCandidate.first_id == min(one.id, other.id), DuplicateCandidate.second_id == max(one.id, other.id)
    )
    return uow.session.scalars(query).one()


def ids(cluster):
    return {member.id for member in cluster.members}


LINKS = st.lists(
    st.tuples(st.integers(1, 30), st.integers(1, 30), st.floats(0.5, 1)).filter(lambda link: link[0] < link[1]),
    max_size=60, unique_by=lambda link: link[:2],
).map(lambda found: [Link(number, *link) for number, link in enumerate(found, 1)])  # fmt: skip


@given(
    LINKS, st.sets(st.tuples(st.integers(1, 30), st.integers(1, 30)).filter(lambda pair: pair[0] < pair[1]), max_size=8)
)
def test_no_cluster_is_too_big_holds_two_that_are_apart_or_is_in_pieces(links, apart):
    links = [link for link in links if (link.first, link.second) not in apart]

    numbers = clusters_of(links, apart)

    assert numbers.keys() == {link.id for link in links}
    for number in set(numbers.values()):
        own = [link for link in links if numbers[link.id] == number]
        members = {key for link in own for key in (link.first, link.second)}
        assert number == min(link.id for link in own)
        assert len(members) <= clusters.MOST
        assert len(own) == 1 or not any(one in members and other in members for one, other in apart)
        reached = {own[0].first}
        for _round in own:
            reached |= {key for link in own for key in (link.first, link.second) if {link.first, link.second} & reached}
        assert reached == members


@given(LINKS)
def test_small_groups_are_exactly_what_pairs_tie_together(links):
    tied = {key: {key} for link in links for key in (link.first, link.second)}
    for link in links:
        whole = tied[link.first] | tied[link.second]
        for key in whole:
            tied[key] = whole
    small = [link for link in links if len(tied[link.first]) <= clusters.MOST]

    numbers = clusters_of(links)

    for one in small:
        same = {link.id for link in small if tied[link.first] is tied[one.first]}
        assert {link.id for link in small if numbers[link.id] == numbers[one.id]} == same


def test_the_weakest_link_is_the_weakest_that_is_needed():
    links = [Link(1, 1, 2, 0.99), Link(2, 2, 3, 0.7), Link(3, 1, 3, 0.55)]

    assert weakest_of(links) == 0.7


def test_a_customer_that_is_there_three_times_is_one_review(uow, three):
    found, following = open_clusters(uow)

    assert following is None
    assert [len(cluster.members) for cluster in found].count(3) == 1
    adas = next(cluster for cluster in found if len(cluster.members) == 3)
    assert ids(adas) == {customer.id for customer in three}
    assert adas.weakest <= adas.score
    assert len(adas.pairs) == 3
    assert all(cluster_of(uow, pair.id).id == adas.id for pair in adas.pairs)


def test_the_queue_goes_on_where_a_page_ended(uow, three):
    first, following = open_clusters(uow, limit=1)
    second, end = open_clusters(uow, limit=1, after=following)

    assert end is None
    assert ids(first[0]).isdisjoint(ids(second[0]))


def test_all_of_a_cluster_are_merged_at_once(uow, three):
    pair = pair_of(uow, three[0], three[2])

    runs = merge_cluster(uow, pair.uid, three[0].uid, versions={one.uid: one.version for one in three})

    assert [run.source_id for run in runs] == [three[1].id, three[2].id]
    assert {one.merged_into_id for one in three[1:]} == {three[0].id}
    assert [len(cluster.members) for cluster in open_clusters(uow)[0]] == [2]


def test_those_left_out_wait_for_their_own_decision(uow, three):
    merge_cluster(uow, pair_of(uow, three[0], three[1]).uid, three[0].uid, [three[2].uid])

    assert three[1].merged_into_id is None
    waiting = [ids(cluster) for cluster in open_clusters(uow)[0]]
    assert {three[0].id, three[1].id} in waiting


def test_each_value_is_that_of_the_customer_it_was_chosen_from(uow, three):
    for one, (notes, title) in zip(three, (("first", None), ("second", "Countess"), ("third", None)), strict=True):
        one.notes = notes
        uow.session.get(Person, one.id).job_title = title
    uow.session.flush()
    first, second, third = three

    values = {"notes": second.uid, "job_title": first.uid, "given_name": second.uid}
    runs = merge_cluster(uow, pair_of(uow, first, second).uid, third.uid, values=values)

    assert (third.notes, uow.session.get(Person, third.id).job_title, third.display_name) == (
        "second", None, "Adda Lovelace",
    )  # fmt: skip
    for run in reversed(runs):
        unmerge(uow, run)
    assert (third.notes, third.display_name) == ("third", "Ada Lovelace")


def test_the_value_of_one_that_is_left_out_cannot_be_chosen(uow, three, refused):
    first, second, third = three
    pair = pair_of(uow, first, second).uid

    errors = refused(merge_cluster, uow, pair, first.uid, [second.uid], values={"notes": third.uid})

    assert list(errors) == ["values.notes"]
    assert first.merged_into_id is second.merged_into_id is None


def test_one_that_cannot_be_merged_lets_none_be_merged(uow, unit, api, three):
    stale = {three[2].uid: three[2].version - 1}

    with pytest.raises(StaleVersion), uow.session.begin_nested():
        merge_cluster(uow, pair_of(uow, three[0], three[1]).uid, three[0].uid, versions=stale)

    uow.session.expire_all()
    assert {one.merged_into_id for one in three} == {None}
    assert len(cluster_of(uow, pair_of(uow, three[0], three[1]).uid).members) == 3


@pytest.mark.parametrize(("keep", "sources"), [("stranger", None), ("ada", ["stranger"]), ("ada", [])])
def test_only_members_of_the_cluster_are_merged(uow, three, person, keep, sources):
    people = {"ada": three[0].uid, "stranger": person(given_name="Zoe", family_name="Zander").uid}
    going = None if sources is None else [people[name] for name in sources]

    with pytest.raises(InvalidInput):
        merge_cluster(uow, pair_of(uow, three[0], three[1]).uid, people[keep], going)


def test_two_that_were_said_to_be_two_are_in_no_cluster_and_never_come_back(uow, three, scan):
    dismiss_duplicate(uow, pair_of(uow, three[0], three[1]).uid)
    before = [ids(cluster) for cluster in open_clusters(uow)[0]]

    for one in three:
        one.updated_at = uow.now
    scan()

    both = {three[0].id, three[1].id}
    assert not any(both <= members for members in before)
    assert not any(both <= ids(cluster) for cluster in open_clusters(uow)[0])
    assert both not in [{pair.first.id, pair.second.id} for pair in open_candidates(uow)[0]]


def test_what_was_said_of_one_is_known_of_the_one_it_became(uow, three, scan):
    dismiss_duplicate(uow, pair_of(uow, three[0], three[1]).uid)
    merge_cluster(uow, pair_of(uow, three[1], three[2]).uid, three[1].uid, [three[2].uid])

    scan()

    assert not any({three[0].id, three[1].id} <= ids(cluster) for cluster in open_clusters(uow)[0])


def test_a_cluster_is_dismissed_as_a_whole_and_is_gone(uow, three):
    pair = pair_of(uow, three[0], three[1])

    dismissed = dismiss_cluster(uow, pair.uid)

    assert {row.state for row in dismissed} == {"dismissed"}
    assert len(dismissed) == 3
    with pytest.raises(NotFound):
        cluster_of(uow, pair.uid)
    with pytest.raises(NotFound):
        merge_cluster(uow, pair.uid, three[0].uid)


@pytest.fixture
def stored(api, unit):
    """Ada three times, scanned and committed: the ids of all and of one pair."""
    rest = api(grants={"*": "all"})
    found = [rest.post("/api/customers", {"kind": "person", "given_name": name, "family_name": "Lovelace", **ADA}).json["id"]
             for name in ("Ada", "Adda", "Ada")]  # fmt: skip
    with unit() as uow:
        point = {}
        while point is not None:
            point = scanning.scan(uow, {"checkpoint": point})
        pair = uow.session.scalars(sa.select(DuplicateCandidate.uid)).first()
    return rest, found, str(pair)


def test_the_api_lists_merges_and_dismisses_clusters(stored, unit):
    rest, customers, pair = stored

    (cluster,) = rest.get("/api/customers/duplicates/clusters").json["items"]
    wrong = rest.post(f"/api/customers/duplicates/{pair}/merge", {"keep": pair})
    merged = rest.post(f"/api/customers/duplicates/{pair}/merge", {"keep": customers[0], "sources": [customers[1]]})
    dismissed = rest.post(
        f"/api/customers/duplicates/{rest.get('/api/customers/duplicates/clusters').json['items'][0]['id']}/dismiss", {}
    )

    assert set(cluster["customers"]) == set(customers)
    assert 0.5 <= cluster["weakest"] <= cluster["probability"] <= 1
    assert wrong.status_code == 422
    assert (merged.status_code, merged.json["runs"][0]["target"]) == (201, customers[0])
    assert dismissed.status_code == 200
    assert rest.get("/api/customers/duplicates/clusters").json == {"items": []}
    assert rest.post(f"/api/customers/duplicates/{pair}/dismiss", {}).status_code == 404


@pytest.mark.parametrize("place", ["If-Match", "versions"])
def test_the_api_merges_nobody_who_was_changed_meanwhile(stored, place):
    rest, customers, pair = stored
    keep, going = customers[0], customers[1]
    stale = rest.etag(f"/api/customers/{keep}")
    rest.patch(f"/api/customers/{keep}", {"notes": "Changed."})
    number = int(stale.strip('"'))
    said = {"If-Match": stale} if place == "If-Match" else {}
    versions = {keep: number} if place == "versions" else {}

    path, body = f"/api/customers/duplicates/{pair}/merge", {"keep": keep, "sources": [going], "versions": versions}
    answer = rest.open("POST", path, json=body, headers=said)

    assert answer.status_code == 412, answer.text
    assert rest.get(f"/api/customers/{going}").status_code == 200


def test_whoever_may_not_see_merge_or_change_them_does_neither(stored, api):
    _rest, customers, pair = stored

    assert api(grants={"customer.update": "own", "customer.read": "own"}).get(
        "/api/customers/duplicates/clusters"
    ).json == {"items": []}
    assert api(grants={"customer.read": "all"}).get("/api/customers/duplicates/clusters").status_code == 403
    reader = api(grants={"customer.read": "all", "customer.update": "own", "customer.merge": "own"})
    assert reader.post(f"/api/customers/duplicates/{pair}/merge", {"keep": customers[0]}).status_code == 403
    assert reader.post(f"/api/customers/duplicates/{pair}/dismiss", {}).status_code == 403


def test_the_page_shows_all_of_a_cluster_and_merges_those_that_are_ticked(stored, login):
    _rest, customers, pair = stored
    browser = login("administrator")
    queue = browser.get("/customers/duplicates").text
    address = re.search(r'href="(/customers/duplicates/[^"]+/all)"', queue)[1]
    page = browser.get(address).text
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]

    fields = {"csrf_token": token, "keep": customers[0], "same": customers[:2], "choice.display_name": customers[1]}
    left_out = browser.post(address, data={**fields, "choice.given_name": customers[2]})
    answer = browser.post(address, data={**fields, "choice.given_name": customers[1]})

    assert "3 customers that may be one" in queue
    assert page.count('name="choice.given_name"') == 3
    assert all(f'href="/customers/{customer}"' in page for customer in customers)
    assert f"/customers/duplicates/{pair}" in page
    assert left_out.status_code == 422
    assert "Its value is that of a customer that is left out." in left_out.text
    assert (answer.status_code, answer.location) == (303, f"/customers/{customers[0]}")
    assert "Adda Lovelace" in browser.get(f"/customers/{customers[0]}").text
    assert browser.get(f"/customers/{customers[1]}").status_code == 302
    assert browser.get(f"/customers/{customers[2]}").status_code == 200


def test_a_page_that_is_out_of_date_merges_nobody_and_says_so(stored, login):
    _rest, customers, pair = stored
    browser = login("administrator")
    address = f"/customers/duplicates/{pair}/all"
    token = re.search(r'name="csrf-token" content="([^"]+)"', browser.get(address).text)[1]
    fields = {"csrf_token": token, "keep": customers[0], "same": customers, f"version.{customers[2]}": "99"}

    answer = browser.post(address, data=fields)

    assert answer.status_code in (409, 412)
    assert "Somebody else changed this record meanwhile" in answer.text
    assert all(browser.get(f"/customers/{customer}").status_code == 200 for customer in customers)


def test_the_page_takes_that_none_are_the_same(stored, login):
    _rest, _customers, pair = stored
    browser = login("administrator")
    page = browser.get(f"/customers/duplicates/{pair}/all").text
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]

    answer = browser.post(f"/customers/duplicates/{pair}/all/dismiss", data={"csrf_token": token})

    assert answer.status_code == 303
    assert pair not in browser.get("/customers/duplicates").text
