"""News reach an open page at once; where the stream is cut, the page's own asking brings them."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import expect

#: Seconds; as in conftest.py.
PATIENCE = 120.0

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]


class Live:
    """A second server of the site's instance, whose pages know the address of a stream, and that stream's process."""

    def __init__(self, site) -> None:
        self._site, self._children = site, []
        # Bound and never listening: nobody else is given the port before the stream listens on it.
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port = self._kept.getsockname()[1]
        self.url = self._served()

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self._site.folder / f"{arguments[0]}-live.log").open("w")
        child = subprocess.Popen(
            [sys.executable, "-m", "crm_cli.main", *arguments],
            cwd=self._site.folder,
            env={**self._site.environment(), **environment},
            stdout=log,
            stderr=log,
        )
        log.close()
        self._children.append(child)
        return child

    def _served(self) -> str:
        stream = f"http://127.0.0.1:{self.port}/live"
        server = self._start("serve", "--port", "0", "--no-worker", CRM_LIVE_URL=stream)
        said = type(self._site)(self._site.folder)
        said.log = self._site.folder / "serve-live.log"
        said.wait_until_served(server)
        return said.url

    def stream(self) -> subprocess.Popen[bytes]:
        """Start the process of the stream and wait until it answers."""
        child = self._start("live", "--port", str(self.port), CRM_BASE_URL=self.url)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert child.poll() is None, (self._site.folder / "live-live.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.2)
        return child

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live") as said:
            return said.status == 200
        return False

    def close(self) -> None:
        """End every process."""
        for child in self._children:
            if child.poll() is None:
                child.terminate()
                child.wait(PATIENCE)
        self._kept.close()


@pytest.fixture(scope="module")
def live(site):
    """Pages that know a stream: ``live.url``; ``live.stream()`` starts it."""
    found = Live(site)
    yield found
    found.close()


@pytest.fixture(scope="module")
def reader(colleague):
    """Somebody whose pages wait for news."""
    return colleague("Lise Meitner")


@pytest.fixture
def mention(api):
    """Mention her in a note of a new customer: ``mention("Otto & Co")``."""

    def run(customer: str) -> None:
        made = api("customers", kind="organization", display_name=customer)["id"]
        api("notes", subject_type="customer", subject_id=made, body="Please look, @Lise Meitner")

    return run


@pytest.fixture
def waiting(open_page, live, reader):
    """Her page, with nothing unread; it is not loaded again. The clock of the page stands unless a test moves it."""

    def run():
        page = open_page(storage_state=reader.state, also=(f"http://127.0.0.1:{live.port}", live.url))
        page.clock.install()
        page.goto(live.url + "/notifications")
        page.evaluate("window.stillTheSamePage = true")
        return page

    return run


def counted(page, number: int) -> None:
    expect(page.locator(".crm-bell-count")).to_have_text(str(number))
    assert page.evaluate("window.stillTheSamePage")


def test_a_mention_appears_at_once_and_by_asking_where_the_stream_is_cut(live, waiting, mention, open_page):
    stream = live.stream()
    open_page.expected.append("ERR_")  # the cut stream, as the browser tells it
    with_stream = waiting()
    expect(with_stream.locator(".crm-bell-count")).to_have_count(0)

    # The page's clock is frozen, so its asking every half minute cannot bring this.
    with_stream.clock.pause_at(time.time() + 5)
    mention("Otto & Co")
    counted(with_stream, 1)

    stream.terminate()
    stream.wait(PATIENCE)
    mention("Fritz & Co")
    with_stream.clock.fast_forward(31_000)
    counted(with_stream, 2)


def test_a_page_opened_while_the_stream_is_away_asks_for_itself(waiting, mention, open_page):
    open_page.expected.append("ERR_")
    page = waiting()
    counted(page, 2)

    mention("Ida & Co")
    page.clock.fast_forward(31_000)

    expect(page.locator(".crm-bell-count")).to_have_text("3")
