"""Queues, priorities, turns and rates: who is served first, and that nobody waits behind somebody slow."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.jobs import queues, services


@pytest.fixture
def alpha(site, kit):
    """A plugin with three jobs; ``slow`` takes ten seconds of the test's clock."""

    def work(uow, payload):
        kit.leave_effect(uow, payload["label"])

    def slow(uow, payload):
        site.clock.forward(seconds=10)
        work(uow, payload)

    jobs = [
        c.Job(name="alpha.work", handler=work),
        c.Job(name="alpha.slow", handler=slow),
        c.Job(name="alpha.mail", handler=work, queue="mail", priority=5),
    ]
    site.load(alpha=kit.Pieces(jobs=jobs))


def _enqueue(site, name, *labels, **options):
    with site.writing() as uow:
        return [services.enqueue(uow, name, {"label": label}, **options) for label in labels]


def test_lower_priority_numbers_of_a_queue_run_first(site, alpha):
    _enqueue(site, "alpha.work", "usual")
    _enqueue(site, "alpha.work", "last", priority=7)
    _enqueue(site, "alpha.work", "first", priority=-1)

    site.runner().drain()

    assert site.effects() == ["first", "usual", "last"]


def test_a_job_stands_in_its_own_queue_unless_another_is_named(site, alpha):
    _enqueue(site, "alpha.mail", "a")
    _enqueue(site, "alpha.mail", "b", queue="bulk", priority=1)

    assert [(job.queue, job.priority) for job in site.jobs()] == [("mail", 5), ("bulk", 1)]
    with pytest.raises(services.UnknownJob, match="queue"):
        _enqueue(site, "alpha.mail", "c", queue="no spaces")


def test_a_slow_jobs_backlog_delays_another_by_one_job_and_not_by_the_backlog(site, alpha):
    _enqueue(site, "alpha.slow", *(f"slow-{number}" for number in range(50)))
    site.clock.forward(seconds=1)
    _enqueue(site, "alpha.work", "quick")

    runner = site.runner()
    while "quick" not in site.effects():
        assert runner.run_once()

    assert len(site.effects()) <= 3


def test_a_backlog_of_another_queue_takes_turns_with_a_new_one(site, alpha):
    _enqueue(site, "alpha.work", *map(str, range(100)))
    site.clock.forward(seconds=1)
    _enqueue(site, "alpha.mail", "mail")

    site.runner(batch=4).run_once()

    assert "mail" in site.effects()


def test_a_chunked_job_leaves_its_worker_to_others_after_its_turn(site, kit):
    def chunk(uow, payload):
        site.clock.forward(seconds=1)
        step = payload.get("checkpoint", 0)
        kit.leave_effect(uow, f"chunk-{step}")
        return step + 1 if step < 9 else None

    def work(uow, payload):
        kit.leave_effect(uow, "work")

    jobs = [
        c.Job(name="alpha.long", handler=chunk, kind=c.JobKind.CHUNKED),
        c.Job(name="alpha.work", handler=work),
    ]
    site.load(alpha=kit.Pieces(jobs=jobs))
    site.call(services.enqueue, "alpha.long", {})
    site.clock.forward(seconds=1)
    site.call(services.enqueue, "alpha.work", {})

    site.runner().drain()

    assert site.effects().index("work") <= 2
    assert sorted(site.effects()) == sorted(["work", *(f"chunk-{step}" for step in range(10))])
    assert site.jobs()[0].failures == 0


def test_a_worker_of_one_queue_leaves_the_others_alone(site, alpha):
    _enqueue(site, "alpha.work", "work")
    _enqueue(site, "alpha.mail", "mail")

    site.runner(queues=["mail"]).drain()

    assert site.effects() == ["mail"]


def test_a_rate_holds_over_all_workers_and_a_quiet_time_saves_up_no_more_than_the_burst(site, alpha):
    site.call(queues.limit_queue, "mail", per_minute=60, burst=5)
    _enqueue(site, "alpha.mail", *map(str, range(40)))

    begun = []
    for _ in range(10):
        begun.append(sum(site.runner(f"w{number}").drain() for number in range(2)))
        site.clock.forward(seconds=2)

    assert begun == [5, *[2] * 9]
    site.clock.forward(hours=1)
    assert site.runner().drain() == 5


def test_an_uneven_rate_loses_nothing_to_rounding(site, alpha):
    site.call(queues.limit_queue, "mail", per_minute=7, burst=2)
    _enqueue(site, "alpha.mail", *map(str, range(100)))
    runner, begun = site.runner(), 0

    for _ in range(601):
        begun += runner.drain()
        site.clock.forward(seconds=1)

    assert begun == 72


def test_a_limited_queue_serves_its_most_urgent_first(site, alpha):
    site.call(queues.limit_queue, "mail", per_minute=1, burst=1)
    _enqueue(site, "alpha.mail", "usual")
    _enqueue(site, "alpha.mail", "urgent", priority=-3)

    site.runner().drain()

    assert site.effects() == ["urgent"]


def test_a_paused_queue_rests_and_the_others_go_on(site, alpha):
    site.call(queues.pause_queue, "mail")
    _enqueue(site, "alpha.mail", "mail")
    _enqueue(site, "alpha.work", "work")
    site.runner().drain()
    assert site.effects() == ["work"]

    site.call(queues.resume_queue, "mail")
    site.runner().drain()

    assert site.effects() == ["work", "mail"]


def test_the_audit_log_says_who_limited_paused_and_resumed_a_queue_once_each(site, alpha):
    for _twice in range(2):
        site.call(queues.limit_queue, "mail", per_minute=30, burst=5)
        site.call(queues.pause_queue, "mail")
    site.call(queues.resume_queue, "mail")

    with site.writing() as uow:
        rows = uow.session.execute(
            sa.select(AuditLog.action, AuditPayload.before, AuditPayload.after)
            .join(AuditPayload)
            .where(AuditLog.record_type == "job_queue")
            .order_by(AuditLog.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        (
            "limited",
            {"queue": "mail", "per_minute": None, "burst": 1},
            {"queue": "mail", "per_minute": 30, "burst": 5},
        ),
        ("paused", {"queue": "mail", "paused": False}, {"queue": "mail", "paused": True}),
        ("resumed", {"queue": "mail", "paused": True}, {"queue": "mail", "paused": False}),
    ]


def test_queues_are_shown_with_what_stands_in_them(site, alpha):
    _enqueue(site, "alpha.mail", "a", "b")
    _enqueue(site, "alpha.work", "later", run_at=site.clock().replace(year=2027))
    site.call(queues.pause_queue, "bulk")

    with site.reading() as uow:
        uow.now = site.clock()
        shown = {queue.name: queue for queue in queues.queue_depths(uow)}

    assert sorted(shown) == ["bulk", "default", "mail"]
    assert (shown["mail"].due, shown["mail"].later, shown["mail"].running) == (2, 0, 0)
    assert (shown["default"].due, shown["default"].later) == (0, 1)
    assert shown["bulk"].paused
    assert shown["mail"].oldest_due == site.clock()


def test_a_chunked_job_shows_how_far_it_is(site, kit):
    def chunk(uow, payload):
        at = payload.get("checkpoint", {"at": 0})["at"]
        return {"at": at + 1, "progress": {"done": at + 1, "total": 3, "text": "rows"}} if at < 3 else None

    site.load(alpha=kit.Pieces(jobs=[c.Job(name="alpha.long", handler=chunk, kind=c.JobKind.CHUNKED)]))
    site.call(services.enqueue, "alpha.long", {})
    site.runner().drain()

    assert site.jobs()[0].progress == {"done": 3, "total": 3, "text": "rows"}
