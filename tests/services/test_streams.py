"""Fifty open streams of one process: others are answered, news reach only whom they are for, and who leaves leaves nothing.

Counted are streams, threads and connections of the process that ``crm live`` runs; nothing is timed.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.server.live import MOST_OF_USER

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("streams.py")
#: Longest wait for anything that has to happen, in seconds: machines of continuous integration are loaded.
PATIENCE = 300
READERS, EACH = 5, 10
STREAMS = READERS * EACH
#: What the process calls itself to PostgreSQL.
NAME = "crm-streams-under-test"


class Streams:
    """The process, and what the system says of it."""

    def __init__(self, folder: Path, config) -> None:
        self._url = config.database_url
        file = folder / "crm.toml"
        file.write_text(
            f'database_url = "{config.database_url}"\nsecret_key = "{config.secret_key}"\n', encoding="utf-8"
        )
        # Bound and never listening: nobody else is given the port.
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port = self._kept.getsockname()[1]
        self.log = folder / "live.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self.port)],
                env={**os.environ, "CRM_CONFIG": str(file), "PGAPPNAME": NAME},
                stdout=log,
                stderr=log,
            )
        self.wait(lambda: self.status("/health/live") == 200)

    def wait(self, holds) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def open(self, client=None, path: str = "/live") -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request as a browser, and return its connection and the answer, whose body is not read."""
        cookie = client.get_cookie("crm_session") if client else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers={"Cookie": f"crm_session={cookie.value}"} if cookie else {})
        return connection, connection.getresponse()

    def status(self, path: str) -> int:
        """Return the status of a request without log-in; 0 while nobody listens."""
        with suppress(OSError):
            connection, answer = self.open(path=path)
            with closing(connection):
                return answer.status
        return 0

    def threads(self) -> int:
        """Return how many threads the process and its children have."""
        return sum(len(list((process / "task").iterdir())) for process in self._family())

    def connections(self) -> int:
        """Return how many connections of the port somebody still holds open at its side."""
        held = {"01", "08"}  # ESTABLISHED, CLOSE_WAIT
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] in held for row in rows)

    def database_connections(self) -> int:
        """Return how many connections to the database the process and its children have."""
        if not self._url.startswith("sqlite"):
            engine = sa.create_engine(self._url)
            with engine.connect() as connection:
                query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"
                found = connection.scalar(sa.text(query), {"name": NAME})
            engine.dispose()
            return int(found)
        file = str(Path(self._url.removeprefix("sqlite:///")).resolve())
        links = [link for process in self._family() for link in (process / "fd").iterdir()]
        return sum(os.readlink(link) == file for link in links if link.is_symlink())

    def _family(self) -> list[Path]:
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        found = {self.process.pid}
        while more := {child for child, parent in parents.items() if parent in found} - found:
            found |= more
        return [Path("/proc") / str(number) for number in found]

    def end(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._kept.close()


@pytest.fixture
def streams(crm_app, tmp_path):
    """The process on the test's database."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("counts threads and connections in /proc, which this system does not have")
    found = Streams(tmp_path, runtime_of(crm_app).config)
    yield found
    found.end()


@pytest.fixture
def readers(login):
    """Browsers of so many users."""
    return [login("reader", name=f"Reader {number}") for number in range(READERS)]


def told(answer: http.client.HTTPResponse) -> bool:
    """Read a stream until something is told; signs of life are passed over."""
    while line := answer.readline():
        if line == b"event: told\n":
            return True
    return False


def opened(stack: ExitStack, streams: Streams, readers) -> list[list[http.client.HTTPResponse]]:
    """Open every reader's streams and read the first word of each; waits for places that others are leaving."""
    found = []
    for reader in readers:
        answers: list[http.client.HTTPResponse] = []
        streams.wait(lambda reader=reader, answers=answers: _one_more(stack, streams, reader, answers) == EACH)
        found.append(answers)
    assert all(told(answer) for answers in found for answer in answers)
    return found


def _one_more(stack: ExitStack, streams: Streams, reader, answers: list[http.client.HTTPResponse]) -> int:
    connection, answer = streams.open(reader)
    if answer.status == 200:
        stack.enter_context(closing(connection))
        answers.append(answer)
    else:
        assert answer.status == 503
        connection.close()
    return len(answers)


def test_fifty_streams_leave_room_for_others_and_hold_no_connection_to_the_database(streams, readers, login, unit):
    from crm_kernel.collaboration.notifications.services import notify

    with ExitStack() as stack:
        answers = opened(stack, streams, readers)
        assert streams.connections() == STREAMS
        assert streams.database_connections() < EACH

        other, another = streams.open(login("reader"))
        with closing(other):
            assert streams.status("/health/live") == 200
            assert (another.status, told(another)) == (200, True)
        with unit() as uow:
            notify(uow, [readers[0].user.id], "kernel.mention")

        assert all(told(answer) for answer in answers[0])


def test_who_leaves_leaves_no_stream_no_thread_and_no_connection(streams, readers):
    threads = []
    for _ in range(3):
        with ExitStack() as stack:
            # A user has a dozen places: ten streams that were not counted out would leave two for the next ten.
            opened(stack, streams, readers)
            threads.append(streams.threads())
        streams.wait(lambda: streams.connections() == 0)

    assert EACH <= MOST_OF_USER < 2 * EACH
    assert max(threads) - threads[0] < STREAMS
