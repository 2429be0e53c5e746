"""A real instance, served by ``crm serve`` in a process of its own, driven by Debian's Chromium.

Nothing may be asked of another host, and nothing may appear as an error on the console: both fail the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

#: Longest wait for anything that has to happen: only a failing test waits so long, and machines of CI are loaded.
PATIENCE = 120.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Site:
    """A served instance: its address, its log-in, and the ``crm`` command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Known as soon as it is served.
        self.url = ""
        self.login: dict[str, str] = {}
        self.log = folder / "serve.log"

    def crm(self, *arguments: str) -> str:
        """Run a command on the instance and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "crm_cli.main", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CRM_SECURE_COOKIES": "false", "CRM_WORKERS": "1"}

    def answers(self, path: str) -> int:
        """Return the status of a request without log-in."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait_until_served(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until the server says its address, and remember it."""
        end = time.monotonic() + PATIENCE
        while (said := re.search(r"Serving on (http://\S+)", self.log.read_text())) is None:
            assert server.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)
        self.url = said[1]

    def wait_for(self, path: str, status: int) -> None:
        """Wait until a request is answered with that status."""
        end = time.monotonic() + PATIENCE
        while self.answers(path) != status:
            assert time.monotonic() < end, f"{path} never answered {status}:\n{self.log.read_text()}"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory):
    """A new instance with the module sfa and an administrator, served."""
    folder = tmp_path_factory.mktemp("site")
    found = Site(folder)
    made = found.crm(
        "init", str(folder), "--yes", "--json", "--admin-email", "ada@site.example", "--admin-name", "Ada Site",
        "--modules", "sfa", "--base-currency", "EUR", "--default-region", "FR",
    )  # fmt: skip
    found.login = {"email": "ada@site.example", "password": _password(made)}
    with found.log.open("w") as log:
        command = [sys.executable, "-m", "crm_cli.main", "serve", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, env=found.environment(), stdout=log, stderr=log)
    try:
        found.wait_until_served(server)
        found.wait_for("/health/ready", 200)
        yield found
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _password(text: str) -> str:
    def search(value):
        if isinstance(value, dict):
            if "password" in value and isinstance(value["password"], str):
                return value["password"]
            return next(filter(None, map(search, value.values())), None)
        return None

    found = search(json.loads(text))
    assert found, text
    return found


@pytest.fixture(scope="session")
def browser_type_launch_args():
    """Debian's Chromium: Playwright's own cannot be fetched where only package registries are reached."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed: .ci/run installs it")
        pytest.skip("chromium is not installed (apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    return {"executable_path": CHROMIUM, "args": flags}


@pytest.fixture(scope="session", autouse=True)
def _patience():
    """Playwright's own five seconds for an expectation are too few for a loaded machine."""
    expect.set_options(timeout=PATIENCE * 1000)
    yield
    expect.set_options(timeout=5000)


@pytest.fixture(scope="session")
def signed_in(site: Site, browser):
    """The browser state of the administrator, logged in once."""
    context = browser.new_context(base_url=site.url, locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto("/")
    page.locator("[name=email]").fill(site.login["email"])
    page.locator("[name=password]").fill(site.login["password"])
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(site.url + "/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(site: Site, browser, signed_in):
    """Open pages as the administrator: ``open_page(width=360)``; what they say on the console is checked at the end."""
    contexts, said, asked = [], [], []

    def watch(page):
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url) if not _own(request.url, site) else None)
        return page

    def open_(*, width: int = 1280, height: int = 900, **options):
        context = browser.new_context(
            base_url=site.url,
            locale=options.pop("locale", "en-GB"),
            viewport={"width": width, "height": height},
            storage_state=options.pop("storage_state", signed_in),
            **options,
        )
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        return watch(context.new_page())

    open_.expected = []
    yield open_
    for context in contexts:
        context.close()
    unexpected = [text for text in said if not any(part in text for part in open_.expected)]
    assert unexpected == []
    assert asked == []


def _own(url: str, site: Site) -> bool:
    return url.startswith((site.url, "data:", "blob:"))
