"""Whole instances in a folder, run through the command line in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
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
PATIENCE_SECONDS = 60


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
            timeout=180,
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
        port = free_port()
        arguments = [*self.command, "serve", "--port", str(port), "--workers", "1", *options]
        log = (self.folder / "serve.log").open("w+")
        server = subprocess.Popen(arguments, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            _wait_until_ready(server, port, log.name)
            yield lambda path: status_of(f"http://127.0.0.1:{port}{path}")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
            log.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def status_of(url: str) -> int:
    """Return the status of a GET; redirects are not followed."""
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}: {Path(log).read_text()}"
        try:
            if status_of(f"http://127.0.0.1:{port}/health/ready") == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server did not answer within {PATIENCE_SECONDS} s: {Path(log).read_text()}")


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
