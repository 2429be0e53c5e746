"""Worker processes that are killed, frozen and stopped: nothing is lost, nothing takes effect twice in the database."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from crm_kernel.database import utcnow
from crm_kernel.jobs import services

pytestmark = pytest.mark.slow

#: Short, for what a killed worker held comes back only then; long enough for a loaded machine to do a job in it.
LEASE_SECONDS = 2.0


def _done(site, kit):
    with site.reading() as uow:
        waiting = kit.JobRow.state.in_((kit.JobState.READY, kit.JobState.LEASED))
        return not uow.session.scalar(sa.select(sa.select(kit.JobRow.id).where(waiting).exists()))


def test_three_kills_among_fifteen_hundred_jobs_lose_none_and_repeat_none(site, kit, start_worker, until):
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    customers = [uuid4() for _ in range(100)]
    expected = []
    with site.writing() as uow:
        for number in range(550):
            services.enqueue(uow, "alpha.work", {"label": f"work-{number}"})
            expected.append(f"work-{number}")
        for number in range(50):
            services.enqueue(uow, "alpha.count", {"label": f"count-{number}", "chunks": 3})
            expected += [f"count-{number}-{step}" for step in range(3)]
        for number in range(900):
            uow.record(kit.Happened(label=f"event-{number}", customer_id=customers[number % 100]))
            expected.append(f"event-{number}")

    workers = [start_worker("w0", LEASE_SECONDS), start_worker("w1", LEASE_SECONDS)]
    for kill in range(3):
        victim = workers.pop(dice.randrange(2))
        victim.says("started")
        time.sleep(dice.uniform(0.1, 0.4))
        victim.kill()
        workers.append(start_worker(f"w{kill + 2}", LEASE_SECONDS))
    until(lambda: _done(site, kit))

    effects = site.effects()
    twice = {label: times for label, times in Counter(effects).items() if times > 1}
    assert twice == {}, f"seed {seed}"
    assert sorted(effects) == sorted(expected), f"seed {seed}"
    assert set(site.states()) == {"DONE"}, f"seed {seed}"
    numbers = [int(label.removeprefix("event-")) for label in effects if label.startswith("event-")]
    for customer in range(100):
        own = [number for number in numbers if number % 100 == customer]
        assert own == sorted(own), f"order of customer {customer}, seed {seed}"


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
