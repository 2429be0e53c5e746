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
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import expect

#: Longest wait for anything that has to happen: only a failing test waits so long, and machines of CI are loaded.
PATIENCE = 120.0
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
#: Colours that still fade are neither the one nor the other; what inherits them begins to fade a frame later.
SETTLE = """async () => {
  for (let round = 0; round < 6; round++) {
    for (const animation of document.getAnimations()) { try { animation.finish(); } catch { animation.cancel(); } }
    await new Promise(requestAnimationFrame);
  }
}"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Colleague(NamedTuple):
    """Somebody else who uses the instance: the public id, and the browser state of a log-in."""

    id: str
    state: Any


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
    return _log_in(site, browser, site.login["email"], site.login["password"])


@pytest.fixture(scope="session")
def api(site: Site, browser, signed_in):
    """Call the API as the administrator: ``api("customers", kind="person", family_name="Doe")`` → what it answers."""
    context = browser.new_context(base_url=site.url, storage_state=signed_in)
    page = context.new_page()
    page.goto("/")
    headers = {"X-CSRFToken": page.locator("meta[name=csrf-token]").get_attribute("content"), "Referer": site.url}

    def call(path, *, version=None, **fields):
        based = {} if version is None else {"If-Match": f'"{version}"'}
        answer = context.request.post(f"/api/{path}", data=fields, headers={**headers, **based})
        assert answer.ok, answer.text()
        return answer.json()

    yield call
    context.close()


@pytest.fixture(scope="session")
def colleague(site: Site, browser, api):
    """Make users: ``colleague("Grace Hopper", team=…)`` → who it is, logged in."""

    def make(name, role="representative", team=None):
        email, password = f"{name.split()[0].lower()}@site.example", "correct horse battery staple"
        user = api("users", name=name, email=email, **({"team": team} if team else {}))
        user = api(f"users/{user['id']}/assign_role", role=role, version=user["version"])
        api(f"users/{user['id']}/set_password", password=password, version=user["version"])
        return Colleague(user["id"], _log_in(site, browser, email, password))

    return make


def _log_in(site: Site, browser, email: str, password: str):
    context = browser.new_context(base_url=site.url, locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto("/auth/login")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(lambda address: "/auth/login" not in address)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(site: Site, browser, signed_in):
    """Open pages as the administrator: ``open_page(width=360)``; what they say on the console is checked at the end."""
    contexts, said, asked = [], [], []

    def watch(page, known):
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(known) else None)
        return page

    def open_(*, width: int = 1280, height: int = 900, also: tuple[str, ...] = (), **options):
        context = browser.new_context(
            base_url=site.url,
            locale=options.pop("locale", "en-GB"),
            viewport={"width": width, "height": height},
            storage_state=options.pop("storage_state", signed_in),
            **options,
        )
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        return watch(context.new_page(), (site.url, "data:", "blob:", *also))

    open_.expected = []
    yield open_
    for context in contexts:
        context.close()
    unexpected = [text for text in said if not any(part in text for part in open_.expected)]
    assert unexpected == []
    assert asked == []


@pytest.fixture(scope="session")
def violations():
    """Ask axe: ``violations(page)`` → what it finds per view, such as ``1280 dark: color-contrast at .crm-x: …``.

    The views are a desk and a phone, light and dark; ``widths=(360,)`` leaves the others out, and
    ``violations.as_it_is(page)`` looks at the page as it stands.
    """

    def find(page, widths=(1280, 360)) -> list[str]:
        return [text for width in widths for scheme in ("light", "dark") for text in _violations(page, width, scheme)]

    find.as_it_is = _axe
    return find


@pytest.fixture(scope="session")
def too_wide():
    """Measure by how many pixels a page is wider than its window: ``too_wide(page)`` → 0 where nobody scrolls sideways.

    A page whose stylesheets are still on their way is laid out without them: an icon alone is 605 pixels then.
    """

    def measure(page) -> int:
        page.wait_for_load_state("load")
        return page.evaluate("document.documentElement.scrollWidth - innerWidth")

    return measure


def _violations(page, width: int, scheme: str) -> list[str]:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function("scheme => document.documentElement.dataset.bsTheme === scheme", arg=scheme)
    page.evaluate(SETTLE)
    return [f"{width} {scheme}: {text}" for text in _axe(page)]


def _axe(page) -> list[str]:
    assert AXE.is_file(), f"{AXE} is missing: make install fetches it"
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    result = page.evaluate(
        "tags => axe.run({exclude: [['.swagger-ui']]}, {runOnly: tags, resultTypes: ['violations']})", RULES
    )
    return [
        f"{rule['id']} at {node['target']} {node['html'][:150]}: {node['failureSummary']}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
