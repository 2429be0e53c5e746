"""Several runners on one database: nobody runs a job twice, and who lost its lease changes nothing."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.events import services as event_services
from crm_kernel.events.services import discard_dead, retry_dead
from crm_kernel.jobs import services
from crm_kernel.jobs.claiming import Claim, claim
from crm_kernel.jobs.deciding import retry_all
from crm_kernel.jobs.models import JobRow, JobState

LEFT_BEHIND = "its worker stopped or was killed while doing it, or was slower than its lease"
ADA = UUID("018f0000-0000-7000-8000-00000000ada0")


@pytest.fixture
def alpha(kit):
    """A plugin with one subscriber and one job, both leave their label."""

    def take(uow, event):
        kit.leave_effect(uow, event.label)

    def work(uow, payload):
        kit.leave_effect(uow, payload["label"])

    return kit.Pieces(
        events=[kit.Happened],
        subscribers=[c.Subscriber(name="alpha.take", event=kit.Happened, handler=take)],
        jobs=[c.Job(name="alpha.work", handler=work, max_attempts=3)],
    )


def test_runners_in_four_threads_never_do_one_job_twice_and_keep_each_customers_order(site, alpha):
    site.load(alpha=alpha)
    with site.writing() as uow:
        for number in range(120):
            services.enqueue(uow, "alpha.work", {"label": f"job-{number}"})
    site.tell(*(f"ada-{number:02}" for number in range(20)), customer=ADA)
    start = threading.Barrier(4)

    def run(name):
        start.wait()
        site.runner(name, batch=5).drain()

    threads = [threading.Thread(target=run, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    site.runner().drain()

    effects = site.effects()
    assert len(effects) == 140
    assert set(Counter(effects).values()) == {1}
    assert [label for label in effects if label.startswith("ada")] == [f"ada-{number:02}" for number in range(20)]


def test_the_fence_rejects_a_worker_that_comes_back_after_its_lease(site, kit, alpha):
    site.load(alpha=alpha)
    site.call(services.enqueue, "alpha.work", {"label": "a"})
    slow, quick = site.runner("slow"), site.runner("quick")
    held = slow._claim()

    site.clock.forward(minutes=2)
    quick.drain()
    assert site.effects() == ["a"]

    slow._work(held[0])
    assert site.effects() == ["a"]
    job = site.jobs()[0]
    assert (job.state, job.worker, job.attempts) == (JobState.DONE, "quick", 2)


def test_a_frozen_workers_late_failure_does_not_touch_its_successors_lease(site, alpha):
    site.load(alpha=alpha)
    site.call(services.enqueue, "alpha.work", {"label": "a"})
    slow, quick = site.runner("slow"), site.runner("quick")
    stale = slow._claim()[0]
    site.clock.forward(minutes=2)
    fresh = quick._claim()[0]

    slow._record(stale, "late", dead=True)

    job = site.jobs()[0]
    assert (job.state, job.worker, job.error) == (JobState.LEASED, "quick", LEFT_BEHIND)
    quick._work(fresh)
    assert site.effects() == ["a"]


def test_of_a_vanished_workers_batch_only_the_job_it_had_begun_counts_a_failure(site, alpha):
    site.load(alpha=alpha)
    for label in "abc":
        site.call(services.enqueue, "alpha.work", {"label": label})
    site.runner("killed")._claim()

    site.clock.forward(minutes=2)
    site.runner("killed-too")._claim()

    assert [(job.failures, job.attempts) for job in site.jobs()] == [(1, 2), (0, 2), (0, 2)]


def test_a_job_that_kills_its_worker_every_time_is_dead_in_the_end_and_the_others_are_done(site, alpha):
    site.load(alpha=alpha)
    for label in "abc":
        site.call(services.enqueue, "alpha.work", {"label": label})
    for _ in range(3):
        runner = site.runner("killed")
        for lease in runner._claim():
            if lease.id == 1:
                break  # here the process ends
            runner._work(lease)
        site.clock.forward(minutes=2)

    site.runner().drain()

    assert site.states() == ["DEAD", "DONE", "DONE"]
    assert site.effects() == ["b", "c"]
    assert site.jobs()[0].error == LEFT_BEHIND


def test_a_batch_that_outlives_its_lease_is_given_back_and_done_by_somebody(site, kit):
    def slow(uow, payload):
        site.clock.forward(seconds=40)
        kit.leave_effect(uow, payload["label"])

    site.load(alpha=kit.Pieces(jobs=[c.Job(name="alpha.work", handler=slow)]))
    for label in "abcd":
        site.call(services.enqueue, "alpha.work", {"label": label})

    assert site.runner(turn_seconds=3600).run_once() == 2
    assert site.states() == ["DONE", "DONE", "READY", "READY"]
    site.runner().drain()
    assert site.effects() == ["a", "b", "c", "d"]
    assert [job.failures for job in site.jobs()] == [0, 0, 0, 0]


def test_the_database_refuses_two_running_jobs_of_one_partition(site, alpha):
    site.load(alpha=alpha)
    for label in "ab":
        site.call(services.enqueue, "alpha.work", {"label": label}, partition="p")

    with pytest.raises(sa.exc.IntegrityError), site.writing() as uow:
        uow.session.execute(sa.update(JobRow).values(state=int(JobState.LEASED)))


def test_a_replay_waits_for_a_later_one_that_runs_and_is_marked_out_of_order(site, alpha):
    site.load(alpha=alpha)
    site.tell("1", "2", customer=ADA)
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.id == 1).values(state=int(JobState.DEAD)))
    running = site.runner("w1")._claim()

    site.call(services.retry_job, site.uid(1))
    wanted = Claim(worker="w2", modules=["alpha"], limit=5, lease=timedelta(minutes=1))
    with site.writing() as uow:
        assert claim(uow.session, wanted, site.clock.now) == []
    site.runner("w1")._work(running[0])
    site.runner("w2").drain()

    assert site.effects() == ["2", "1"]
    assert [job.out_of_order for job in site.jobs()] == [True, False]


def test_a_replay_before_any_later_one_has_run_keeps_its_place(site, alpha):
    site.load(alpha=alpha)
    site.tell("1", "2", customer=ADA)
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.id == 1).values(state=int(JobState.DEAD)))

    site.call(services.retry_job, site.uid(1))
    site.runner().drain()

    assert site.effects() == ["1", "2"]
    assert [job.out_of_order for job in site.jobs()] == [False, False]


@pytest.mark.crm_databases("postgresql")
def test_events_about_one_customer_are_numbered_in_the_order_of_their_commits(site, kit, alpha):
    site.load(alpha=alpha)
    first_stored, order = threading.Event(), []

    def second():
        first_stored.wait()
        site.tell("second", customer=ADA)
        order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with site.writing() as uow:
        uow.record(kit.Happened(label="first", customer_id=ADA))
        from crm_kernel._internal.outbox import store_events

        store_events(uow)
        uow.events.clear()
        first_stored.set()
        thread.join(0.3)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
    site.runner().drain()
    assert site.effects() == ["first", "second"]


@pytest.fixture
def another_retries(site):
    """Let somebody else make all jobs due and a runner do them, in a transaction of their own."""

    def retry_and_run():
        for job in site.jobs():
            site.call(services.retry_job, job.uid)
        site.runner("other").drain()

    def meanwhile():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(retry_and_run).result(30)

    return meanwhile


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("retry", [retry_dead, lambda uow: retry_all(uow, [row.uid for row in _all(uow)])])
def test_what_somebody_else_had_done_meanwhile_is_not_done_again(site, alpha, another_retries, monkeypatch, retry):
    site.load(alpha=alpha)
    site.tell("1", "2", customer=ADA)
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).values(state=int(JobState.DEAD)))

    with site.writing() as uow:
        _all(uow)  # one list of dead jobs on two screens
        before = event_services.dead_deliveries(uow)
        monkeypatch.setattr(event_services, "dead_deliveries", lambda *_arguments, **_options: before)
        another_retries()
        retried = retry(uow)
    site.runner().drain()

    assert retried == []
    assert site.effects() == ["1", "2"]


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("retry", [retry_dead, lambda uow: retry_all(uow, [row.uid for row in _all(uow)])])
def test_what_somebody_else_discarded_meanwhile_is_not_revived(site, listed_dead, meanwhile, retry):
    with site.writing() as uow:
        listed_dead(uow)
        meanwhile(services.cancel_job)
        retried = retry(uow)
    site.runner().drain()

    assert (retried, site.states(), site.effects()) == ([], ["CANCELLED"], [])


@pytest.mark.crm_databases("postgresql")
def test_what_somebody_else_retried_meanwhile_is_not_discarded(site, listed_dead, meanwhile):
    with site.writing() as uow:
        event = listed_dead(uow)
        meanwhile(services.retry_job)
        discarded = discard_dead(uow, event)
    site.runner().drain()

    assert (discarded, site.states(), site.effects()) == ([], ["DONE"], ["1"])


@pytest.fixture
def listed_dead(site, alpha, monkeypatch):
    """List the one dead delivery there is, once for all that is decided about it, and return the id of its event."""
    site.load(alpha=alpha)
    site.tell("1", customer=ADA)
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).values(state=int(JobState.DEAD)))

    def listed(uow):
        before = event_services.dead_deliveries(uow)
        monkeypatch.setattr(event_services, "dead_deliveries", lambda *_arguments, **_options: before)
        return before[0][1].uid

    return listed


@pytest.fixture
def meanwhile(site):
    """Let somebody else decide about the one job there is, in a transaction of his own: ``meanwhile(cancel_job)``."""

    def decide(decision):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(site.call, decision, site.uid(1)).result(30)

    return decide


def _all(uow):
    return uow.session.scalars(sa.select(JobRow).order_by(JobRow.id)).all()
