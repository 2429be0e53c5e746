"""Databases for the chaos tests, and the processes that are killed on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from crm_kernel.database import utcnow

HERE = Path(__file__).parent
#: Longest wait for anything a process is expected to do; machines of continuous integration are slow at times.
PATIENCE = 600.0


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true and return what it returned."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Worker:
    """A worker process, known by what it writes into its file."""

    output: Path

    def says(self, word: str) -> str:
        """Wait until the worker has written a line that starts with a word, and return the line."""

        return wait_for(lambda: self.said(word))

    def said(self, word: str) -> str | None:
        """Return the first line that starts with a word, None if there is none yet."""
        # What has no end yet is still being written.
        text = self.output.read_text(encoding="utf-8").rpartition("\n")[0] if self.output.exists() else ""
        return next((line for line in text.splitlines() if line.startswith(word)), None)

    def send(self, number: int) -> None:
        """Send the worker a signal as soon as it has started."""
        os.kill(int(self.says("started").split()[1]), number)

    def kill(self) -> None:
        """Kill the worker and wait until it is gone."""
        wait_for(self._gone)

    def _gone(self) -> bool:
        try:
            self.send(signal.SIGKILL)
        except ProcessLookupError:
            return True
        return False


@pytest.fixture(scope="session")
def nursery() -> Iterator[Any]:
    """The process that forks the workers."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    command = [sys.executable, str(HERE / "worker.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    yield process.stdin
    process.stdin.close()
    process.wait()


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The harness module, as the worker processes import it."""
    monkeypatch.syspath_prepend(str(HERE))
    import harness

    return harness


@pytest.fixture
def site(available_database: str, crm_test_databases: Any, kit: Any) -> Iterator[Any]:
    """A database with the tables of events and jobs, and the application of the worker processes."""
    import worker

    site = kit.Site(kit.database(available_database, crm_test_databases), clock=utcnow)
    site.load(alpha=worker.pieces())
    yield site
    site.close()


@pytest.fixture
def start_worker(site: Any, nursery: Any, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a worker process: ``start_worker("w1", lease_seconds=1, engine="relay")``; all are killed at the end."""
    started = []

    def start(name: str, lease_seconds: float = 60.0, **engine: str) -> Worker:
        worker = Worker(tmp_path / name)
        wanted = {"url": site.url, "name": name, "lease_seconds": lease_seconds, "output": str(worker.output), **engine}
        nursery.write(json.dumps(wanted) + "\n")
        nursery.flush()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait until a condition is true: ``until(lambda: …)``."""
    return wait_for


@dataclass(frozen=True)
class Broker:
    """A broker that answers, and a queue of one test's own on it."""

    url: str
    queue: str


@pytest.fixture(params=["rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest, kit: Any) -> Iterator[Broker]:
    """Each kind of broker in turn; skipped where none answers, a failure instead when ``CI=true``."""
    kombu = pytest.importorskip("kombu")
    url, name = kit.BROKERS[request.param], f"crm-test-{uuid4().hex[:12]}"
    with kombu.Connection(url, connect_timeout=5) as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=5)
        except (OSError, kombu.exceptions.KombuError) as error:
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing(f"no {request.param} at {url}: {error}")
        yield Broker(url, name)
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)
        if request.param == "redis":  # what killed workers had fetched
            channel.client.delete("unacked", "unacked_index", "unacked_mutex")
