"""Fixtures of the kernel's own tests: the toy bank, the broken plugins, and processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from crm_kernel.testing.sites import write_distribution

# A slow machine is no finding: neither a deadline per example nor a limit for making one.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
TOYBANK = FIXTURES / "toybank"
TOYSHOP = FIXTURES / "toyshop"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test has logged fit for the wire between test processes: it refuses lone surrogates, logs may hold them."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def toybank_site() -> Path:
    """The folder in which the toy bank is installed; put it on a path."""
    return TOYBANK


@pytest.fixture(scope="session")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every plugin of tests/fixtures/broken is installed."""
    folder = tmp_path_factory.mktemp("broken")
    for file in sorted((FIXTURES / "broken").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        requires = re.findall(r"^# requires: (.+)$", source, re.MULTILINE)
        write_distribution(folder, file.stem, files={"plugin.py": source}, requires=requires)
    return folder


@pytest.fixture(scope="session")
def run_python():
    """Run Python in a process of its own: ``run_python([arguments], sites=[folders])`` → completed process."""

    def run(arguments, *, sites=(), check=True, **options):
        path = os.pathsep.join([*map(str, sites), str(ROOT), str(ROOT / "cli"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **options.pop("env", {})}
        options.setdefault("timeout", 600)  # long enough for a loaded machine
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def load_report(run_python):
    """Load modules in a process of their own: ``load_report(["sfa"], sites=[…])`` → what loaded, what failed and why."""

    def load(modules, *, sites=()):
        return json.loads(run_python([FIXTURES / "load_report.py", *modules], sites=sites).stdout)

    return load


@pytest.fixture
def toybank(monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the toy bank for one test; its name."""
    monkeypatch.syspath_prepend(str(TOYBANK))
    return "toybank"


@pytest.fixture
def toyshop(monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the toy shop for one test; its name."""
    monkeypatch.syspath_prepend(str(TOYSHOP))
    return "toyshop"
