"""Background jobs: enqueueing, kinds, retries, and what an admin can do about them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from crm_kernel import contributions as c
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.jobs import queries, services
from crm_kernel.jobs.leases import BASE_BACKOFF, MAX_BACKOFF, backoff
from crm_kernel.jobs.models import JobState


@pytest.fixture
def calls() -> list:
    """Payloads the handlers were called with."""
    return []


@pytest.fixture
def load(site, kit, calls):
    """Load a plugin with one job: ``load(handler, kind=…)``; without handler it leaves its label as an effect."""

    def loaded(handler=None, **options):
        def default(uow, payload):
            calls.append(payload)
            kit.leave_effect(uow, payload["label"])

        job = c.Job(name="alpha.job", handler=handler or default, **options)
        return site.load(alpha=kit.Pieces(jobs=[job]))

    return loaded


@pytest.fixture
def enqueue(site):
    """Enqueue ``alpha.job`` in a unit of work of its own."""
    return lambda payload=None, **options: site.call(services.enqueue, "alpha.job", payload or {}, **options)


def test_a_job_runs_once_after_its_commit(site, load, enqueue, calls):
    load()
    enqueue({"label": "a"})

    site.runner().drain()
    site.runner().drain()

    assert calls == [{"label": "a"}]
    assert site.effects() == ["a"]


def test_a_job_of_the_future_waits_for_its_time(site, load, enqueue):
    load()
    enqueue({"label": "a"}, run_at=site.clock.now + timedelta(days=240))

    assert site.runner().drain() == 0
    site.clock.forward(days=240)
    assert site.runner().drain() == 1


def test_two_jobs_with_one_dedupe_key_are_one_even_when_the_first_is_done(site, load, enqueue):
    load()
    first = enqueue({"label": "a"}, dedupe_key="k")
    assert enqueue({"label": "b"}, dedupe_key="k") == first
    site.runner().drain()
    assert enqueue({"label": "c"}, dedupe_key="k") == first
    assert enqueue({"label": "d"}) != enqueue({"label": "e"})

    site.runner().drain()
    assert site.effects() == ["a", "d", "e"]


def test_an_unknown_job_is_refused_by_name(site, load):
    load()

    with pytest.raises(services.UnknownJob, match=r"registers a job 'alpha.jobb'; known: alpha.job"):
        site.call(services.enqueue, "alpha.jobb", {})
    assert site.jobs() == []


@pytest.mark.parametrize("payload", [{"id": uuid4()}, {"ratio": float("nan")}])
def test_a_payload_that_is_no_json_is_refused_at_once(site, load, enqueue, payload):
    load()

    with pytest.raises(services.UnknownJob, match=r"payload of 'alpha\.job' is not JSON"):
        enqueue(payload)


def test_jobs_of_one_partition_run_in_order_while_one_scheduled_far_ahead_holds_back_nothing(site, load, enqueue):
    load()
    enqueue({"label": "in a year"}, partition="p", run_at=site.clock.now + timedelta(days=365))
    enqueue({"label": "1"}, partition="p")
    enqueue({"label": "2"}, partition="p")

    site.runner().drain()

    assert site.effects() == ["1", "2"]


def test_a_job_that_is_gone_from_a_loaded_module_is_dead_with_its_reason(site, kit, load, enqueue):
    load()
    enqueue({"label": "a"})

    site.load(alpha=kit.Pieces())
    site.runner().drain()

    assert site.states() == ["DEAD"]
    assert "has no job 'alpha.job'" in site.jobs()[0].error


def test_retries_wait_twice_as_long_each_time_and_end_in_the_dead_letters(site, load, enqueue):
    def fail(uow, payload):
        raise OSError("no route")

    load(fail, max_attempts=4)
    enqueue()
    waits = []
    while site.states() == ["READY"]:
        site.runner().drain()
        job = site.jobs()[0]
        waits.append((job.run_at - site.clock.now).total_seconds())
        site.clock.now = max(site.clock.now, job.run_at)

    assert waits[:3] == [5, 10, 20]
    job = site.jobs()[0]
    assert (job.state, job.failures, job.attempts) == (JobState.DEAD, 4, 4)
    assert "OSError: no route" in job.error
    assert job.finished_at == site.clock.now


def test_the_pause_between_retries_is_bounded_and_spread():
    assert backoff(1, lambda: 0.0) == BASE_BACKOFF
    assert backoff(1, lambda: 1.0) == BASE_BACKOFF * 1.25
    assert backoff(500, lambda: 0.0) == MAX_BACKOFF


def test_a_chunked_job_resumes_at_its_last_committed_checkpoint(site, kit, load, enqueue):
    broken = [True]

    def chunk(uow, payload):
        step = payload.get("checkpoint", 0)
        kit.leave_effect(uow, f"{payload['run']}-{step}")
        if step == 2 and broken:
            raise ValueError("chunk 2")
        return step + 1 if step < 4 else None

    load(chunk, kind=c.JobKind.CHUNKED)
    enqueue({"run": "r"})
    site.runner().drain()
    job = site.jobs()[0]
    assert site.effects() == ["r-0", "r-1"]
    assert (job.state, job.payload, job.failures) == (JobState.READY, {"run": "r", "checkpoint": 2}, 1)

    broken.clear()
    site.clock.forward(minutes=1)
    site.runner().drain()

    assert site.effects() == [f"r-{step}" for step in range(5)]
    assert site.states() == ["DONE"]


def test_a_chunked_job_that_makes_progress_is_forgiven_its_failures(site, load, enqueue):
    def chunk(uow, payload):
        tries.append(1)
        step = payload.get("checkpoint", 0)
        if len(tries) % 2:
            raise ValueError("every other time")
        return step + 1 if step < 5 else None

    tries = []
    load(chunk, kind=c.JobKind.CHUNKED, max_attempts=2)
    enqueue()
    for _ in range(20):
        site.runner().drain()
        site.clock.forward(hours=1)

    assert site.states() == ["DONE"]


def test_an_outside_job_runs_without_a_transaction_and_its_result_commits_with_its_mark(site, kit, load, enqueue):
    def send(payload):
        # Another connection can write now: on SQLite that would wait for an open transaction of ours.
        site.call(kit.leave_effect, "meanwhile")
        return lambda uow: kit.leave_effect(uow, f"sent {payload['to']}")

    load(send, kind=c.JobKind.OUTSIDE)
    enqueue({"to": "ada"})
    site.runner().drain()

    assert site.effects() == ["meanwhile", "sent ada"]
    assert site.states() == ["DONE"]


def test_an_outside_job_whose_result_cannot_be_stored_is_tried_again(site, load, enqueue):
    def send(payload):
        return lambda uow: 1 / 0

    load(send, kind=c.JobKind.OUTSIDE)
    enqueue()
    site.runner().drain()

    assert site.states() == ["READY"]
    assert "ZeroDivisionError" in site.jobs()[0].error


def test_nobody_waits_behind_a_long_job_of_the_same_batch(site, load, enqueue):
    def send(payload):
        states.append(site.states())

    states = []
    load(send, kind=c.JobKind.OUTSIDE)
    for _ in range(3):
        enqueue()

    site.runner().run_once()

    assert states == [["LEASED", "READY", "READY"]]


def test_a_cancelled_job_does_not_run_until_it_is_retried(site, load, enqueue):
    load()
    job_id = enqueue({"label": "a"})
    site.call(services.cancel_job, site.uid(job_id))
    assert site.runner().drain() == 0
    assert site.jobs()[0].error == "cancelled by system"
    with pytest.raises(Conflict, match="cancelled already"):
        site.call(services.cancel_job, site.uid(job_id))

    site.call(services.retry_job, site.uid(job_id))
    site.runner().drain()
    assert site.effects() == ["a"]


def test_cancelling_stops_a_chunked_job_at_its_next_chunk(site, kit, load, enqueue):
    def chunk(uow, payload):
        kit.leave_effect(uow, "chunk")
        uow.after_commit(lambda: site.call(services.cancel_job, site.uid(job_id)))
        return 1

    load(chunk, kind=c.JobKind.CHUNKED)
    job_id = enqueue()
    site.runner().drain()

    assert site.effects() == ["chunk"]
    assert site.states() == ["CANCELLED"]


def test_a_done_job_can_be_neither_retried_nor_cancelled_and_an_unknown_one_is_not_found(site, load, enqueue):
    load()
    job_id = enqueue({"label": "a"})
    site.runner().drain()

    for service in (services.retry_job, services.cancel_job):
        with pytest.raises(Conflict, match="done"):
            site.call(service, site.uid(job_id))
        with pytest.raises(NotFound, match="job 01990000-0000-7000-8000-000000000099"):
            site.call(service, UUID("01990000-0000-7000-8000-000000000099"))


def test_lists_show_jobs_newest_first_and_backlogs_per_module(site, kit, load, enqueue):
    def fail(uow, payload):
        raise ValueError(payload["label"])

    load(fail, max_attempts=1)
    ids = [enqueue({"label": str(i)}) for i in range(3)]
    site.runner().drain()
    ids.append(enqueue({"label": "waits"}, run_at=site.clock.now + timedelta(hours=1)))

    with site.reading() as uow:
        listed = queries.jobs(uow, queries.JobFilter())
        assert [job.id for job in listed] == ids[::-1]
        assert [job.id for job in queries.jobs(uow, queries.JobFilter(before=listed[1].uid), limit=1)] == [ids[1]]
        assert [job.id for job in queries.jobs(uow, queries.JobFilter(states=[JobState.READY]))] == ids[3:]
        assert [job.id for job in queries.dead_jobs(uow, module="alpha")] == ids[2::-1]
        assert queries.dead_jobs(uow, name="alpha.other") == []
        backlog = queries.backlogs(uow)[0]
    assert (backlog.module, backlog.waiting, backlog.dead) == ("alpha", 1, 3)
    assert backlog.oldest_due == site.clock.now + timedelta(hours=1)
