"""Lists of events and deliveries, retries of dead ones, replays for those who came later."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.events import queries, services
from crm_kernel.events.catalogue import catalogue
from crm_kernel.events.queries import EventFilter

ADA = UUID("018f0000-0000-7000-8000-00000000ada0")
BOB = UUID("018f0000-0000-7000-8000-000000000b0b")


@pytest.fixture
def broken() -> set[str]:
    """Labels that ``alpha.take`` cannot take; the others cannot take ``late …``."""
    return set()


@pytest.fixture
def load(site, kit, broken):
    """Load a plugin with ``alpha.take``, and others by name."""

    def take(uow, event):
        leave(uow, event.label)

    def leave(uow, label):
        if label in broken:
            raise ValueError(f"cannot take {label}")
        kit.leave_effect(uow, label)

    def loaded(*others):
        names = {
            "alpha.take": take,
            **{name: lambda uow, e: leave(uow, f"late {e.label}") for name in others},
        }
        listening = [
            c.Subscriber(name=name, event=kit.Happened, handler=handler, max_attempts=1)
            for name, handler in names.items()
        ]
        return site.load(alpha=kit.Pieces(events=[kit.Happened], subscribers=listening))

    return loaded


def _uids(site):
    with site.reading() as uow:
        return [stored.uid for stored in reversed(queries.events(uow, EventFilter()))]


def test_events_are_listed_newest_first_by_name_customer_and_page(site, load):
    load()
    site.tell("1", "2", customer=ADA)
    site.tell("3", customer=BOB)

    def labels(**wanted):
        limit = wanted.pop("limit", 50)
        with site.reading() as uow:
            return [stored.payload["label"] for stored in queries.events(uow, EventFilter(**wanted), limit=limit)]

    assert labels() == ["3", "2", "1"]
    assert labels(customer_uid=ADA) == ["2", "1"]
    assert labels(before=_uids(site)[2], limit=1) == ["2"]
    assert labels(name="alpha.*") == ["3", "2", "1"]
    assert labels(name="alpha.happened", customer_uid=BOB) == ["3"]
    assert labels(name="al_ha.*") == labels(name="alpha") == []


def test_dead_deliveries_are_listed_and_retried_in_their_order(site, load, broken):
    load()
    broken.update("13")
    site.tell("1", "2", "3", customer=ADA)
    site.runner().drain()
    with site.reading() as uow:
        assert [stored.payload["label"] for _job, stored in queries.dead_deliveries(uow)] == ["1", "3"]
        assert queries.dead_deliveries(uow, subscriber="alpha.other") == []

    broken.clear()
    retried = site.call(lambda uow: [(job.id, job.out_of_order) for job in services.retry_dead(uow)])
    site.runner().drain()

    assert retried == [(1, True), (3, False)]
    assert site.effects() == ["2", "1", "3"]


def test_a_retry_can_be_limited_to_one_event(site, load, broken):
    load()
    broken.update("12")
    site.tell("1", "2")
    site.runner().drain()
    broken.clear()

    site.call(services.retry_dead, event_uid=_uids(site)[1])
    site.runner().drain()

    assert site.effects() == ["2"]
    with pytest.raises(NotFound, match="no such event"):
        site.call(services.retry_dead, event_uid=uuid4())


def test_an_event_is_replayed_to_a_subscriber_that_came_later(site, load):
    load()
    site.tell("1", customer=ADA)
    site.runner().drain()
    load("alpha.late")
    site.tell("2", customer=ADA)
    site.runner().drain()

    first = _uids(site)[0]
    site.call(services.replay_event, first, subscriber="alpha.late")
    with pytest.raises(Conflict, match="on its way"):
        site.call(services.replay_event, first, subscriber="alpha.late")
    site.runner().drain()

    assert site.effects() == ["1", "late 2", "2", "late 1"]
    assert site.jobs()[-1].out_of_order
    with pytest.raises(
        NotFound, match=r"alpha\.nobody does not listen to alpha\.happened; listening: alpha\.late, alpha\.take"
    ):
        site.call(services.replay_event, first, subscriber="alpha.nobody")


def test_a_replay_behind_a_later_event_that_waits_is_out_of_order_and_one_beside_a_dead_one_is_not(site, load, broken):
    load()
    site.tell("1", customer=ADA)
    site.runner().drain()
    load("alpha.late")
    broken.add("late 2")
    site.tell("2", customer=ADA)
    site.runner().drain()
    first = _uids(site)[0]

    beside_a_dead_one = site.call(services.replay_event, first, subscriber="alpha.late")
    site.runner().drain()
    broken.clear()
    site.call(services.retry_dead)
    behind = site.call(services.replay_event, first, subscriber="alpha.late")
    site.runner().drain()

    assert (beside_a_dead_one["out_of_order"], behind["out_of_order"]) == (False, True)
    assert [label for label in site.effects() if "late" in label] == ["late 1", "late 2", "late 1"]


def test_a_retry_after_an_earlier_event_was_replayed_keeps_its_place(site, load, broken):
    load()
    broken.update("2")
    site.tell("1", "2", customer=ADA)
    site.runner().drain()
    broken.clear()
    site.call(services.replay_event, _uids(site)[0], subscriber="alpha.take")
    site.runner().drain()

    assert site.call(lambda uow: [job.out_of_order for job in services.retry_dead(uow)]) == [False]


def test_the_catalogue_names_every_event_with_its_subscribers(site, load):
    app = load("alpha.late")

    (described,) = catalogue(runtime_of(app))

    assert (described.name, described.module) == ("alpha.happened", "alpha")
    assert described.subscribers == ("alpha.late", "alpha.take")
