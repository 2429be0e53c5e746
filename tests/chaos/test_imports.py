"""Imports that are killed again and again: no row is lost, none is there twice, and undoing leaves nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer, Person
from crm_kernel.database import make_engine
from crm_kernel.records.importing.models import ImportRow, ImportRun

pytestmark = pytest.mark.slow

#: Kills of a run; the full proof is CRM_TEST_KILLS=100.
KILLS = int(os.environ.get("CRM_TEST_KILLS", "3"))
ROWS = 60 * (KILLS + 1)
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def importers():
    """The process that forks those which import."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    command = [sys.executable, str(HERE / "importer.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    yield process.stdin
    process.stdin.close()
    process.wait()


@pytest.fixture
def database(available_database, crm_test_databases):
    """The engine of a new, migrated database."""
    from crm_kernel.testing.databases import migrate

    url = crm_test_databases.empty(available_database)
    migrate(url, ())
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def work(importers, database, tmp_path):
    """Start a process that does what is left of the import of a file; all are killed at the end."""
    from tests.chaos.conftest import Worker

    started = []
    file = tmp_path / "people.csv"
    lines = [f"person,Ada {number},Lovelace,R{number}" for number in range(ROWS)]
    file.write_text("kind,given_name,family_name,job_title\n" + "\n".join(lines) + "\n")

    def start(**how):
        worker = Worker(tmp_path / f"importer{len(started)}")
        url = database.url.render_as_string(hide_password=False)
        wanted = {"url": url, "file": str(file), "output": str(worker.output), **how}
        importers.write(json.dumps(wanted) + "\n")
        importers.flush()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


def _number(database, of=Customer):
    with database.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(of))


def _kill_at(points, reached, until, work, **how):
    """Kill the process at work as often as there are points, each time once so much is reached; then let one finish."""
    for point in points:
        worker = work(**how)
        until(lambda point=point, worker=worker: reached() >= point or worker.said("stopped"))
        worker.kill()
    work(**how).says("stopped")


def test_kills_lose_no_row_and_double_none(database, work, until):
    seed = random.randrange(10**6)
    points = sorted(random.Random(seed).randrange(1, ROWS) for _ in range(KILLS))

    _kill_at(points, lambda: _number(database), until, work)

    with database.connect() as connection:
        found = connection.scalars(sa.select(Person.job_title)).all()
        state, counts = connection.execute(sa.select(ImportRun.state, ImportRun.counts)).one()
    assert sorted(found) == sorted(f"R{number}" for number in range(ROWS)), f"seed {seed}"
    assert (state, counts[0]["created"], _number(database, ImportRow)) == ("done", ROWS, ROWS), f"seed {seed}"


def test_an_undoing_that_is_killed_goes_on_to_its_end(database, work, until):
    work().says("stopped")
    seed = random.randrange(10**6)
    points = sorted(random.Random(seed).randrange(1, ROWS) for _ in range(KILLS))

    _kill_at(points, lambda: ROWS - _number(database), until, work, undo=True)

    with database.connect() as connection:
        state, undo = connection.execute(sa.select(ImportRun.state, ImportRun.undo)).one()
    assert (_number(database), state, undo["deleted"]) == (0, "undone", ROWS), f"seed {seed}"
