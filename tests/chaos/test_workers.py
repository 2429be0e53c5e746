"""Worker processes that are killed, frozen and stopped: nothing is lost, nothing takes effect twice in the database."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from crm_kernel.database import utcnow
from crm_kernel.jobs import services

pytestmark = pytest.mark.slow

#: Jobs of a run; the full proof is CRM_TEST_JOBS=20000.
SIZE = int(os.environ.get("CRM_TEST_JOBS", "1500"))
CELERY_SIZE = int(os.environ.get("CRM_TEST_JOBS", "600"))
#: Short, for what a killed worker held comes back only then; long enough for a loaded machine to do a job in it.
LEASE_SECONDS = 2.0


def _done(site, kit):
    with site.reading() as uow:
        waiting = kit.JobRow.state.in_((kit.JobState.READY, kit.JobState.LEASED))
        return not uow.session.scalar(sa.select(sa.select(kit.JobRow.id).where(waiting).exists()))


@dataclass
class Load:
    """What a run is given to do, and the effects it must leave."""

    expected: list[str] = field(default_factory=list)
    customers: int = 100

    def fill(self, site, kit, size):
        """Store so many jobs, three fifths of them deliveries about customers, and remember their effects."""
        deliveries, chunked = size * 3 // 5, size // 30
        people = [uuid4() for _ in range(self.customers)]
        with site.writing() as uow:
            for number in range(size - deliveries - chunked):
                services.enqueue(uow, "alpha.work", {"label": f"work-{number}"})
                self.expected.append(f"work-{number}")
            for number in range(chunked):
                services.enqueue(uow, "alpha.count", {"label": f"count-{number}", "chunks": 3})
                self.expected += [f"count-{number}-{step}" for step in range(3)]
            for number in range(deliveries):
                uow.record(kit.Happened(label=f"event-{number}", customer_id=people[number % self.customers]))
                self.expected.append(f"event-{number}")

    def check(self, site, seed):
        """Nothing lost, nothing twice, and each customer's events in order."""
        effects = site.effects()
        twice = {label: times for label, times in Counter(effects).items() if times > 1}
        assert twice == {}, f"seed {seed}"
        assert sorted(effects) == sorted(self.expected), f"seed {seed}"
        assert set(site.states()) == {"DONE"}, f"seed {seed}"
        numbers = [int(label.removeprefix("event-")) for label in effects if label.startswith("event-")]
        for customer in range(self.customers):
            own = [number for number in numbers if number % self.customers == customer]
            assert own == sorted(own), f"order of customer {customer}, seed {seed}"


def _count(site, kit):
    with site.reading() as uow:
        return uow.session.scalar(sa.select(sa.func.count()).select_from(kit.EFFECTS))


def _points(dice, size):
    """Return after how many effects something is killed: three times, anywhere in the first three quarters."""
    return sorted(dice.randrange(1, size * 3 // 4) for _ in range(3))


def test_three_kills_lose_no_job_and_repeat_none(site, kit, start_worker, until):
    seed = random.randrange(10**6)
    dice, load = random.Random(seed), Load()
    load.fill(site, kit, SIZE)

    workers = [start_worker("w0", LEASE_SECONDS), start_worker("w1", LEASE_SECONDS)]
    for kill, point in enumerate(_points(dice, SIZE)):
        until(lambda point=point: _count(site, kit) >= point)
        workers.pop(dice.randrange(2)).kill()
        workers.append(start_worker(f"w{kill + 2}", LEASE_SECONDS))
    until(lambda: _done(site, kit))

    load.check(site, seed)


def test_three_kills_of_relay_and_celery_worker_lose_no_job_and_repeat_none(site, kit, start_worker, until, broker):
    seed = random.randrange(10**6)
    dice, load = random.Random(seed), Load()
    load.fill(site, kit, CELERY_SIZE)

    def start(engine, number):
        return start_worker(f"{engine}{number}", LEASE_SECONDS, engine=engine, queue=broker.queue, broker=broker.url)

    relay, tasks = start("relay", 0), start("tasks", 0)
    for number, point in enumerate(_points(dice, CELERY_SIZE), start=1):
        until(lambda point=point: _count(site, kit) >= point)
        relay.kill()
        tasks.kill()
        relay, tasks = start("relay", number), start("tasks", number)
    until(lambda: _done(site, kit))

    load.check(site, seed)


def test_a_frozen_worker_that_wakes_after_its_lease_changes_nothing(site, start_worker, until):
    site.call(services.enqueue, "alpha.send", {"label": "freeze"})
    frozen = start_worker("frozen", 60.0)
    frozen.says("frozen")

    # Two minutes later, to everybody who is awake.
    site.runner("other", clock=lambda: utcnow() + timedelta(minutes=2)).drain()
    assert site.states() == ["DONE"]
    frozen.send(signal.SIGTERM)
    until(lambda: frozen.said("stopped") or frozen.send(signal.SIGCONT))  # again: it may not have stopped yet

    assert site.effects() == ["freeze"]
    assert site.jobs()[0].worker == "other"


def test_a_worker_told_to_stop_while_busy_leaves_nothing_half_done(site, start_worker, until):
    with site.writing() as uow:
        for number in range(300):
            services.enqueue(uow, "alpha.work", {"label": str(number)})
    worker = start_worker("w")
    until(site.effects)
    worker.send(signal.SIGTERM)
    worker.says("stopped")
    assert "LEASED" not in site.states()

    site.runner().drain()
    assert sorted(site.effects(), key=int) == [str(number) for number in range(300)]
    assert {job.failures for job in site.jobs()} == {0}
