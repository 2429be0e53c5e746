"""Housekeeping deletes what is over and old, expires what nobody will take, and leaves everything else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs import housekeeping, services
from crm_kernel.jobs.models import JobRow, JobState


@pytest.fixture
def pieces(kit):
    """A plugin with a subscriber, a job, and the kernel's housekeeping under a name of its own."""

    def take(uow, event):
        kit.leave_effect(uow, event.label)

    def work(uow, payload):
        kit.leave_effect(uow, payload["label"])

    return kit.Pieces(
        events=[kit.Happened],
        subscribers=[c.Subscriber(name="alpha.take", event=kit.Happened, handler=take)],
        jobs=[
            c.Job(name="alpha.work", handler=work),
            c.Job(name="alpha.house", handler=housekeeping.keep_house, kind=c.JobKind.CHUNKED),
        ],
    )


def _keep_house(site):
    number = site.call(services.enqueue, "alpha.house", {})
    site.runner(turn_seconds=3600).drain()
    return next(job for job in site.jobs() if job.id == number)


def _events(site):
    with site.reading() as uow:
        return uow.session.scalar(sa.select(sa.func.count()).select_from(StoredEvent))


def test_old_jobs_that_are_over_go_and_dead_or_waiting_ones_stay(site, pieces, monkeypatch):
    monkeypatch.setattr(housekeeping, "CHUNK", 3)
    site.load(alpha=pieces)
    with site.writing() as uow:
        for number in range(10):
            services.enqueue(uow, "alpha.work", {"label": str(number)})
        services.enqueue(uow, "alpha.work", {"label": "later"}, run_at=uow.now + timedelta(days=900))
    site.runner().drain()
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.id == 4).values(state=int(JobState.DEAD)))

    site.clock.forward(hours=24 * 31)
    done = _keep_house(site)

    assert site.states() == ["DEAD", "READY", "DONE"]
    assert done.progress == {"done": 9, "text": "parked 0, jobs 9, events 0"}


def test_young_jobs_and_events_stay(site, pieces):
    site.load(alpha=pieces)
    site.tell("a", "b")
    site.runner().drain()

    site.clock.forward(hours=24 * 29)
    done = _keep_house(site)

    assert done.progress["done"] == 0
    assert len(site.jobs()) == 3


def test_old_events_go_once_nothing_is_left_to_deliver(site, pieces, monkeypatch):
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    site.load(alpha=pieces)
    site.tell(*"abcde")
    site.runner().drain()
    with site.writing() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.id == 2).values(state=int(JobState.DEAD)))

    site.clock.forward(hours=24 * 401)
    done = _keep_house(site)

    assert done.progress["text"] == "parked 0, jobs 4, events 4"
    assert _events(site) == 1


def test_deliveries_for_a_module_that_is_off_expire_with_the_reason(site, kit, pieces, monkeypatch):
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    site.load(alpha=pieces)
    site.tell(*"abc")
    site.call(services.enqueue, "alpha.work", {"label": "kept"})
    site.clock.forward(hours=24 * 179)
    site.tell("young")
    house = c.Job(name="beta.house", handler=housekeeping.keep_house, kind=c.JobKind.CHUNKED)
    site.load(beta=kit.Pieces(jobs=[house]))

    site.clock.forward(hours=48)
    site.call(services.enqueue, "beta.house", {})
    site.runner(turn_seconds=3600).drain()

    found = site.jobs()
    assert [JobState(job.state).name for job in found] == ["CANCELLED"] * 3 + ["READY", "READY", "DONE"]
    assert found[0].error == "expired: alpha was off for more than 180 days (parked_days)"
    assert found[-1].progress["text"].startswith("parked 3")
