"""The loop of a worker: it wakes, stops, keeps leases alive and survives its database."""

from __future__ import annotations

import logging
import threading
import time

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.database import utcnow
from crm_kernel.errors import DatabaseUnavailable
from crm_kernel.jobs import services
from crm_kernel.jobs.runner import Runner

#: Longest wait for anything that has to happen; a loaded machine is slow, and only a failing test waits so long.
PATIENCE = 300.0


@pytest.fixture
def started(site):
    """Start runners in threads: ``started(poll_seconds=…)`` → (runner, stop, thread); all are stopped at the end."""
    running = []

    def start(**options):
        runner = Runner(site.app, f"w{len(running)}", **options)
        stop = threading.Event()
        thread = threading.Thread(target=runner.run_forever, args=(stop,), daemon=True)
        thread.start()
        running.append((runner, stop, thread))
        return running[-1]

    yield start
    for runner, stop, thread in running:
        stop.set()
        runner.wake()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def wait_for(condition):
    """Wait until a condition holds, and say whether it does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def _load(site, kit, handler=None, kind=c.JobKind.TRANSACTIONAL):
    def default(uow, payload):
        kit.leave_effect(uow, payload["label"])

    site.load(alpha=kit.Pieces(jobs=[c.Job(name="alpha.job", handler=handler or default, kind=kind)]))
    site.clock = utcnow


def test_a_commit_of_the_same_process_wakes_the_runner_long_before_its_poll(site, kit, started):
    _load(site, kit)
    started(poll_seconds=10 * PATIENCE)
    time.sleep(0.3)  # most likely it waits by now; work that is stored before it does is found all the same

    site.call(services.enqueue, "alpha.job", {"label": "a"})

    assert wait_for(lambda: site.effects() == ["a"])


def test_work_of_another_process_is_found_by_polling(site, kit, started):
    _load(site, kit)
    started(poll_seconds=0.1)
    time.sleep(0.2)
    with site.app.app_context(), kit.db.engine.begin() as connection:
        values = {"module": "alpha", "name": "alpha.job", "payload": {"label": "a"}}
        connection.execute(sa.insert(kit.JobRow.__table__).values(values))

    assert wait_for(lambda: site.effects() == ["a"])


def test_a_stopping_runner_finishes_its_job_and_gives_back_the_rest(site, kit, started):
    begun, go_on = threading.Event(), threading.Event()

    def work(uow, payload):
        kit.leave_effect(uow, payload["label"])
        begun.set()
        go_on.wait(PATIENCE)

    _load(site, kit, work)
    with site.writing() as uow:
        for label in "abc":
            services.enqueue(uow, "alpha.job", {"label": label})
    _runner, stop, thread = started()
    assert begun.wait(PATIENCE)
    stop.set()
    go_on.set()
    thread.join(PATIENCE)

    assert site.states() == ["DONE", "READY", "READY"]
    assert [job.failures for job in site.jobs()] == [0, 0, 0]


def test_a_stopping_runner_leaves_a_chunked_job_at_its_checkpoint(site, kit, started):
    begun = threading.Event()

    def chunk(uow, payload):
        begun.set()
        return payload.get("checkpoint", 0) + 1

    _load(site, kit, chunk, c.JobKind.CHUNKED)
    site.call(services.enqueue, "alpha.job", {})
    _runner, stop, thread = started()
    assert begun.wait(PATIENCE)
    stop.set()
    thread.join(PATIENCE)

    assert site.states() == ["READY"]
    assert site.jobs()[0].payload["checkpoint"] >= 1


def test_a_heartbeat_keeps_the_lease_of_a_slow_outside_job(site, kit, started):
    calls, clock = [], site.clock

    def send(payload):
        calls.append(1)
        # The test's clock moves, by two thirds of the lease each time, as fast as the heartbeats come: a slow machine
        # cannot end the lease, a heart that does not beat can.
        for _ in range(4):
            kept = site.jobs()[0].leased_until
            clock.forward(seconds=0.3)
            assert wait_for(lambda kept=kept: site.jobs()[0].leased_until > kept)

    _load(site, kit, send, c.JobKind.OUTSIDE)
    site.clock = clock
    site.call(services.enqueue, "alpha.job", {})
    for _ in range(2):
        started(lease_seconds=0.45, poll_seconds=0.05, clock=clock)

    assert wait_for(lambda: site.states() == ["DONE"])
    assert calls == [1]
    assert site.jobs()[0].failures == 0


def test_a_database_that_is_down_is_asked_again_with_growing_pauses_and_one_line_each(site, kit, caplog):
    _load(site, kit)
    caplog.set_level(logging.WARNING, "crm.jobs")
    pauses = []
    runner = Runner(site.app, "w")

    class Stop:
        def is_set(self):
            return len(pauses) == 7

        def wait(self, seconds):
            pauses.append(seconds)

    def down():
        raise DatabaseUnavailable("the database refused\nthe transaction")

    runner.clock = down
    runner.run_forever(Stop())

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["worker w waits for the database: the database refused the transaction"] * 7


def test_a_runner_whose_database_vanishes_goes_on_when_it_is_back(site, kit, started, caplog):
    _load(site, kit)
    started(poll_seconds=0.05)
    with site.app.app_context(), kit.db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE job RENAME TO job_away"))
    assert wait_for(lambda: "waits for the database" in caplog.text)
    with site.app.app_context(), kit.db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE job_away RENAME TO job"))

    site.call(services.enqueue, "alpha.job", {"label": "a"})

    assert wait_for(lambda: site.effects() == ["a"])


def _break_the_database(uow):
    """Make the database refuse the rest of this transaction, as one that is read-only or gone would."""
    if uow.session.get_bind().dialect.name == "sqlite":
        uow.session.execute(sa.text("PRAGMA query_only = 1"))
    else:
        uow.session.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_database_that_goes_away_costs_no_job_a_failure_and_the_work_goes_on_when_it_is_back(site, kit):
    broken = [True]

    def work(uow, payload):
        if broken and payload["label"] == "b":
            _break_the_database(uow)
        kit.leave_effect(uow, payload["label"])

    _load(site, kit, work)
    with site.writing() as uow:
        for label in "abc":
            services.enqueue(uow, "alpha.job", {"label": label})
    runner = site.runner()
    with pytest.raises(DatabaseUnavailable):
        runner.run_once()
    assert site.states() == ["DONE", "LEASED", "LEASED"]
    broken.clear()

    assert runner.drain() == 2

    assert site.effects() == ["a", "b", "c"]
    assert [(job.failures, job.error) for job in site.jobs()] == [(0, None)] * 3


def test_a_job_whose_own_statement_is_wrong_is_counted_on_both_databases(site, kit):
    def work(uow, payload):
        uow.session.execute(sa.text("SELECT nothing FROM nowhere"))

    _load(site, kit, work)
    site.call(services.enqueue, "alpha.job", {})

    assert site.runner().run_once() == 1

    assert (site.states(), site.jobs()[0].failures) == (["READY"], 1)


def test_an_error_that_only_calls_itself_an_outage_is_counted(site, kit):
    def work(uow, payload):
        raise DatabaseUnavailable("the other system's database is away")

    _load(site, kit, work)
    site.call(services.enqueue, "alpha.job", {})

    assert site.runner().run_once() == 1

    assert site.jobs()[0].failures == 1
