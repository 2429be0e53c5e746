"""A bulk run whose workers are killed at random: every record is changed, none twice, and the run ends by itself."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM

pytestmark = [pytest.mark.slow, pytest.mark.crm_plugins("toyrecords")]

#: The full proof is CRM_TEST_KILLS=100.
KILLS = int(os.environ.get("CRM_TEST_KILLS", "5"))
SITE = Path(__file__).parents[1] / "fixtures" / "toyrecords"


@pytest.fixture(scope="session", autouse=True)
def toyrecords_installed():
    sys.path.insert(0, str(SITE))
    yield
    sys.path.remove(str(SITE))


@pytest.fixture
def workers(crm_app):
    """Start a worker: ``workers()`` → its process id; all are gone at the end."""
    url = crm_app.config["SQLALCHEMY_DATABASE_URI"]
    script = Path(__file__).with_name("bulk_worker.py")
    parent = subprocess.Popen(
        [sys.executable, str(script), str(url)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "ready\n"
    alive = []

    def start():
        parent.stdin.write(f"worker-{len(alive)}\n")
        parent.stdin.flush()
        alive.append(int(parent.stdout.readline()))
        return alive[-1]

    yield start
    for pid in alive:
        _kill(pid)
    parent.stdin.close()
    parent.wait(timeout=60)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_killed_workers_lose_no_record_and_change_none_twice(crm_app, workers):
    from crm_toyrecords.models import Thing
    from crm_toyrecords.plugin import THING

    from crm_kernel.access.models import AuditLog
    from crm_kernel.records.bulk_actions.asking import Change, Chosen
    from crm_kernel.records.bulk_actions.models import BulkRow, BulkRun
    from crm_kernel.records.bulk_actions.services import start
    from crm_kernel.unit_of_work import reading, writing

    seed = random.randrange(10**6)
    dice, size = random.Random(seed), 100 + 30 * KILLS
    with crm_app.app_context(), writing(SYSTEM) as uow:
        uow.session.add_all(Thing(name=f"thing {number:05}") for number in range(size))
    with crm_app.app_context(), writing(SYSTEM) as uow:
        run = start(uow, THING, Change("break", {"reason": "fell"}), Chosen(everything=True)).uid

    def ask():
        with crm_app.app_context(), reading(SYSTEM) as uow:
            found = uow.session.scalars(sa.select(BulkRun).where(BulkRun.uid == run)).one()
            return found.state, found.changed, found.refused

    def wait_for(condition, seconds):
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.02)

    for kill in range(KILLS):
        pid, target = workers(), dice.randrange(1, 3 + size * (kill + 1) // (KILLS + 1))
        wait_for(lambda wanted=target: ask()[1] >= wanted, 20)
        time.sleep(dice.random() * 0.05)
        _kill(pid)
    workers()
    wait_for(lambda: ask()[0] == "done", 240)

    assert ask() == ("done", size, 0), f"seed {seed}"
    with crm_app.app_context(), reading(SYSTEM) as uow:
        names = set(uow.session.scalars(sa.select(Thing.name)))
        assert names == {f"thing {number:05} (fell)" for number in range(size)}, f"seed {seed}"
        outcomes = uow.session.execute(sa.select(BulkRow.outcome, sa.func.count()).group_by(BulkRow.outcome)).all()
        assert [tuple(row) for row in outcomes] == [("changed", size)], f"seed {seed}"
        logged = sa.select(sa.func.count()).where(AuditLog.request_id == f"bulk-{run.hex}")
        about = logged.where(AuditLog.record_type == "toyrecords.thing")
        assert uow.session.scalar(about) == size, f"seed {seed}"
