"""Four processes that read a row and then write it lose no update of each other.

With SQLAlchemy's default settings on SQLite they do: its driver begins a transaction at the first write, after the read.
Measured, 2,009 of 45,431 updates vanished and no error was raised (docs/explanation/adr/0002). The kernel's writing unit
of work begins with BEGIN IMMEDIATE; on PostgreSQL the version column refuses the slower of two writers, or services
lock the row they read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.sales.models import Product

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("writers.py")
WRITERS = 4
TIMES = 150


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the row held at the end, and what each process says it did."""

    kind: str
    price: Decimal
    version: int
    writers: list[dict[str, Any]]

    @property
    def stale(self) -> int:
        """How often a process had to try again."""
        return sum(writer["stale"] for writer in self.writers)


@pytest.fixture
def race(available_database: str, crm_test_databases: Any, run_python: Callable[..., Any]) -> Callable[[str], Outcome]:
    """Let four processes increment one price: ``race("version")``, ``"lock"`` or ``"defaults"``."""
    url = crm_test_databases.fresh(available_database, (), "writers")
    if url.startswith("postgresql"):  # this is about transactions, not about surviving a power cut
        url += "?options=-csynchronous_commit%3Doff"

    def run(how: str) -> Outcome:
        engine = sa.create_engine(url)
        with sa.orm.Session(engine) as session, session.begin():
            session.add(Product(sku="WRITTEN", name="Written by four", unit_price=Decimal(0), currency="EUR"))
        done = run_python([SCRIPT, url, how, TIMES], timeout=1200)
        with engine.connect() as connection:
            price, version = connection.execute(sa.select(Product.unit_price, Product.version)).one()
        engine.dispose()
        return Outcome(available_database, price, version, [json.loads(line) for line in done.stdout.splitlines()])

    return run


def nothing_failed(outcome: Outcome) -> bool:
    """Say whether every process did all it had to and met nothing but stale versions."""
    return all(writer["error"] is None and writer["done"] == TIMES for writer in outcome.writers)


@pytest.mark.parametrize("how", ["version", "lock"])
def test_four_writing_processes_lose_no_update(how: str, race: Callable[[str], Outcome]) -> None:
    outcome = race(how)

    assert nothing_failed(outcome), outcome.writers
    assert (outcome.price, outcome.version) == (WRITERS * TIMES, WRITERS * TIMES + 1)
    # Who holds the database or the row before reading it never has to try again.
    assert outcome.stale == 0 or (how, outcome.kind) == ("version", "postgresql")


def test_the_defaults_lose_updates_without_an_error_so_that_the_race_is_one(race: Callable[[str], Outcome]) -> None:
    outcome = race("defaults")

    assert nothing_failed(outcome), outcome.writers
    assert outcome.price < WRITERS * TIMES
