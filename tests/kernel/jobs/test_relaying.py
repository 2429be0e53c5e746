"""The relay and the tasks of the Celery engine, without a broker: messages are lost, late, doubled, refused."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm_kernel import contributions as c
from crm_kernel.jobs import services
from crm_kernel.jobs.execution import Executor
from crm_kernel.jobs.relaying import Relay, do_tickets
from crm_kernel.jobs.runner import BrokerUnavailable

ADA = UUID("018f0000-0000-7000-8000-00000000ada0")


@pytest.fixture
def sent():
    """What was published: (tickets, until)."""
    return []


@pytest.fixture
def relay(site, kit, sent):
    """A relay that publishes into ``sent``; three jobs and three events about one customer wait."""

    def take(uow, event):
        kit.leave_effect(uow, event.label)

    def work(uow, payload):
        kit.leave_effect(uow, payload["label"])

    site.load(
        alpha=kit.Pieces(
            events=[kit.Happened],
            subscribers=[c.Subscriber(name="alpha.take", event=kit.Happened, handler=take)],
            jobs=[c.Job(name="alpha.work", handler=work)],
        )
    )
    for label in "abc":
        site.call(services.enqueue, "alpha.work", {"label": label})
    site.tell("1", "2", "3", customer=ADA)
    return Relay(site.app, "r", clock=site.clock, publish=lambda tickets, until: sent.append((tickets, until)))


def _do(site, messages, name="task"):
    executor = Executor(site.app, name, clock=site.clock)
    return sum(do_tickets(executor, tickets, until) for tickets, until in messages)


def test_what_the_relay_publishes_is_done_and_a_customers_events_keep_their_order(site, relay, sent):
    while relay.run_once():
        _do(site, sent)
        sent.clear()

    assert sorted(site.effects()) == ["1", "2", "3", "a", "b", "c"]
    assert [label for label in site.effects() if label.isdigit()] == ["1", "2", "3"]
    assert set(site.states()) == {"DONE"}


def test_a_message_that_comes_twice_has_its_effects_once(site, relay, sent):
    relay.run_once()

    assert _do(site, [*sent, *sent]) == 4
    assert _do(site, sent, "later") == 0
    assert len(site.effects()) == 4


def test_a_message_that_is_lost_is_published_again_when_its_lease_ends_and_counts_no_failure(site, relay, sent):
    relay.run_once()
    sent.clear()

    site.clock.forward(minutes=2)
    relay.run_once()
    _do(site, sent)

    assert len(site.effects()) == 4
    assert {job.failures for job in site.jobs()} == {0}


def test_an_old_message_is_passed_over_once_its_tickets_have_ended(site, relay, sent):
    relay.run_once()

    site.clock.forward(minutes=2)

    assert _do(site, sent) == 0
    assert site.effects() == []


def test_a_broker_that_refuses_gives_everything_back_at_once(site, relay):
    def refuse(_tickets, _until):
        raise BrokerUnavailable("down")

    relay.publish = refuse

    with pytest.raises(BrokerUnavailable):
        relay.run_once()

    assert set(site.states()) == {"READY"}


def test_no_more_is_published_than_may_be_in_flight(site, relay, sent):
    relay.in_flight = 2
    assert relay.run_once() == 2
    assert relay.run_once() == 0

    _do(site, sent)

    assert relay.run_once() == 2


def test_a_job_whose_task_was_killed_counts_a_failure_and_is_done_by_another(site, relay, sent):
    relay.run_once()
    from crm_kernel.jobs.relaying import _taken

    job_id, token = sent[0][0][0]
    assert _taken(Executor(site.app, "killed", clock=site.clock), job_id, token) is not None

    site.clock.forward(minutes=2)
    sent.clear()
    relay.run_once()
    _do(site, sent)

    assert len(site.effects()) == 4
    assert next(job for job in site.jobs() if job.id == job_id).failures == 1
    assert sent[0][1] == site.clock() + timedelta(seconds=60)
