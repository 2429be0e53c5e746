"""Whole instances in a folder, run through the command line in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: How long a server may take until it answers, on a loaded machine.
PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance in a folder, and the command that works on it."""

    folder: Path
    #: The words that start ``crm``: a path, or ``python -m crm_cli.main``.
    command: tuple[str, ...]
    environment: dict[str, str]

    def crm(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command in the instance's folder."""
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
        )

    def json(self, *arguments: object) -> Any:
        """Run a command with ``--json`` and return what it printed, whatever its exit code."""
        done = self.crm(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def must(self, *arguments: object) -> str:
        """Run a command that has to succeed and return what it printed."""
        done = self.crm(*arguments)
        assert done.returncode == 0, f"crm {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    @contextmanager
    def served(self, *options: str) -> Iterator[Callable[[str], int]]:
        """Serve the instance; yield ``get(path)`` → HTTP status, redirects not followed."""
        arguments = [*self.command, "serve", "--port", "0", "--workers", "1", *options]
        log = (self.folder / "serve.log").open("w+")
        server = subprocess.Popen(arguments, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            address = _wait_until_served(server, Path(log.name))
            yield lambda path: status_of(address + path)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE_SECONDS)
            log.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def status_of(url: str) -> int:
    """Return the status of a GET; redirects are not followed."""
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=PATIENCE_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _wait_until_served(server: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server says its address and is ready, and return the address."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}: {log.read_text()}"
        said = re.search(r"Serving on (http://\S+)", log.read_text())
        if said is not None and status_of(f"{said[1]}/health/ready") == 200:
            return said[1]
        time.sleep(0.2)
    pytest.fail(f"the server did not answer within {PATIENCE_SECONDS} s: {log.read_text()}")


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment without settings of the developer's own instance."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "PYTHONPATH"))}


@pytest.fixture(scope="session")
def make_instance() -> type[Instance]:
    """Name a folder and a command, and use them as an instance: ``make_instance(folder, command, environment)``."""
    return Instance


@pytest.fixture(scope="module")
def new_instance(
    tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]
) -> Callable[..., Instance]:
    """Create an instance: ``new_instance(sites=[folders], modules=["toybank"])``."""
    root = Path(__file__).parent.parent.parent

    def create(*, sites: Any = (), modules: Any = ()) -> Instance:
        path = os.pathsep.join([*map(str, sites), str(root), str(root / "cli"), str(root / "plugins" / "sfa")])
        folder = tmp_path_factory.mktemp("instance")
        command = (sys.executable, "-m", "crm_cli.main")
        made = Instance(folder, command, {**clean_environment, "PYTHONPATH": path})
        made.must("init", folder, "--modules", ",".join(modules), "--yes")
        return made

    return create
