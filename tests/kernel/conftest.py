"""Fixtures that several folders of the kernel's tests share: the job harness, statements on any database."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from crm_kernel.config import Config
from crm_kernel.database import make_engine

_HARNESS = Path(__file__).parents[1] / "chaos" / "harness.py"


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    """The harness module of jobs, events and chaos: ``kit.Pieces``, ``kit.Happened``, ``kit.leave_effect``, …"""
    # One copy per process: its classes are compared by identity.
    if "crm_jobs_harness" not in sys.modules:
        spec = importlib.util.spec_from_file_location("crm_jobs_harness", _HARNESS)
        module = importlib.util.module_from_spec(spec)
        sys.modules["crm_jobs_harness"] = module
        spec.loader.exec_module(module)
    return sys.modules["crm_jobs_harness"]


@pytest.fixture
def site(available_database: str, crm_test_databases: Any, kit: ModuleType) -> Iterator[Any]:
    """An empty database with the tables of events and jobs, and a clock that stands still."""
    site = kit.Site(kit.database(available_database, crm_test_databases))
    yield site
    site.close()


@pytest.fixture
def ask() -> Callable[..., list[tuple[Any, ...]]]:
    """Run statements in one transaction: ``ask(config, "SELECT 1")`` → rows of the last."""

    def run(config: Config, *statements: str) -> list[tuple[Any, ...]]:
        engine = make_engine(config.database_url)
        rows: list[tuple[Any, ...]] = []
        try:
            with engine.begin() as connection:
                for sql in statements:
                    result = connection.exec_driver_sql(sql)
                    rows = [tuple(row) for row in result] if result.returns_rows else []
            return rows
        finally:
            engine.dispose()

    return run
