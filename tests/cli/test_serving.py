"""``crm serve``: refuses clearly, replaces its workers without losing a request, survives a set that does not load."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crm_kernel._internal.lifecycle import store
from crm_kernel.config import load_config
from crm_kernel.testing.sites import write_distribution

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
#: Longest wait for anything a process is expected to do, in seconds: machines of continuous integration are loaded.
PATIENCE = 300
PAGER = """
from flask import Blueprint

from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.web.edge import permission

blueprint = Blueprint("pager", __name__)


@blueprint.get("/hello")
@permission("public")
def hello():
    return "hello"


class PagerPlugin(Plugin):
    name = "pager"

    @hookimpl
    def crm_register_blueprints(self):
        return [blueprint]
"""


@pytest.fixture
def site(tmp_path):
    """A folder with the module pager, which has one public page."""
    return write_distribution(tmp_path / "site_pager", "pager", files={"plugin.py": PAGER})


@pytest.fixture
def environment(site):
    """The environment in which pager is installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT), str(ROOT / "cli")])}


@pytest.fixture
def run(instance, environment):
    """Run ``crm`` in a process of its own on the instance, to its end."""

    def call(*arguments):
        argv = [sys.executable, "-m", "crm_cli.main", *map(str, arguments)]
        return subprocess.run(
            argv, cwd=instance.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )

    return call


class Server:
    """A running ``crm serve``, on a free port that it chooses itself: one chosen here may be taken until it listens."""

    def __init__(self, instance, environment, *arguments):
        self.log = instance.folder / "serve.log"
        argv = [sys.executable, "-m", "crm_cli.main", "serve", "--port", "0", "--workers", "2", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=instance.folder, env=environment, stdout=log, stderr=log)

    def wait_for(self, words, times=1):
        end = time.monotonic() + PATIENCE
        while self.log.read_text().count(words) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    @property
    def port(self):
        return int(re.search(r"Serving on http://127\.0\.0\.1:(\d+)", self.log.read_text())[1])

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def serve(instance, environment):
    """Start a server and wait until it serves."""
    started = []

    def start(*arguments):
        server = Server(instance, environment, *arguments)
        started.append(server)
        server.wait_for("Serving on")
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


class Visitors:
    """Threads that ask for a page again and again, each on a connection of its own, and remember what failed."""

    def __init__(self, server, threads=3):
        self.failed, self.answered, self._end = [], 0, threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _visit(self):
        while not self._end.is_set():
            try:
                status = self._server.get("/auth/login")
                self.failed += [] if status == 200 else [status]
                self.answered += 1
            except OSError as error:
                self.failed.append(error)
            time.sleep(0.05)


def test_a_port_in_use_is_one_line_and_5(crm, instance):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        result = crm("serve", "--port", port)

    assert result.exit_code == 5
    assert (
        f"port {port} on 127.0.0.1 is in use already; stop the other server or choose another with --port"
        in result.stderr
    )


def test_an_instance_without_tables_is_refused(crm, instance):
    instance.database.unlink()

    result = crm("serve")

    assert result.exit_code == 1
    assert "does not exist. Restore it from a backup, or create an empty one: crm db upgrade" in result.stderr


def test_modules_are_switched_without_losing_a_request(run, serve):
    server = serve()
    assert server.get("/pager/hello") == 404

    with Visitors(server) as visitors:
        enabled = run("modules", "enable", "pager", "--json")
        server.wait_for("The new workers serve.")
        assert server.get("/pager/hello") == 200
        run("modules", "disable", "pager")
        server.wait_for("The new workers serve.", times=2)
        assert server.get("/pager/hello") == 404

    assert json.loads(enabled.stdout)[0]["after"] == "enabled"
    assert visitors.failed == []
    assert visitors.answered > 50
    assert server.stop() == 0


def test_a_set_that_does_not_load_leaves_the_old_workers_serving_and_says_why(run, serve, instance, site):
    run("modules", "enable", "pager")
    server = serve("--no-worker")
    (site / "crm_pager" / "plugin.py").write_text("import nonsense\n")

    with store.writing_rows(load_config(instance.config)) as connection:
        store.raise_generation(connection)
    server.wait_for("The new set of modules does not load, the workers of the set before go on: pager: ")

    assert server.get("/pager/hello") == 200
    listed = run("modules", "list")
    assert "the newest set of modules could not be served: pager: cannot be imported" in listed.stderr
    assert "pager\tfailed" in listed.stdout


def test_an_enabled_module_whose_code_is_gone_stops_the_start_with_two_ways_out(run, serve, instance, environment):
    run("modules", "enable", "pager")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])

    refused = run("serve", "--port", "0")

    assert refused.returncode == 4
    assert "pager: no installed distribution provides it" in refused.stderr
    assert "crm modules disable pager" in refused.stderr
    assert "--skip-failed" in refused.stderr
    assert serve("--skip-failed", "--no-worker").get("/auth/login") == 200
