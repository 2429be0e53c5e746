"""The processes of test_four_writers: forked from one that has built the application, each with its own connection.

``python writers.py URL HOW TIMES`` starts four, lets them go at the same moment, and prints one JSON object per process:
``{"done": …, "stale": …, "error": null}``. One increment reads the price of the product WRITTEN and writes it plus one.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from crm_kernel import database
from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import StaleVersion
from crm_kernel.sales.models import Product
from crm_kernel.testing.apps import build, let_go
from crm_kernel.unit_of_work import writing

WRITERS = 4
#: Seconds that nobody waits in vain: this is about updates that get lost, not about how fast a loaded machine is.
PATIENCE = 600
#: The sku of the row that all increment.
WRITTEN = "WRITTEN"

_THE_ROW = sa.select(Product).where(Product.sku == WRITTEN)


def by_version(session: Session) -> None:
    """Read, add one, and leave it to the version column to notice who was faster."""
    product = session.scalars(_THE_ROW).one()
    product.unit_price = (product.unit_price or Decimal(0)) + 1


def by_lock(session: Session) -> None:
    """Read for update, as services do where a second attempt would cost more than waiting."""
    product = session.scalars(_THE_ROW.with_for_update()).one()
    product.unit_price = (product.unit_price or Decimal(0)) + 1


def by_default(session: Session) -> None:
    """Read and write as SQLAlchemy's defaults do without a version column."""
    price = session.execute(sa.select(Product.unit_price).where(Product.sku == WRITTEN)).scalar_one()
    session.execute(sa.update(Product).where(Product.sku == WRITTEN).values(unit_price=price + 1))


#: Runs one step in a transaction of its own.
Attempt = Callable[[Callable[[Session], None]], None]


def ours(url: str) -> Attempt:
    """Return what runs a step in a writing unit of work of the kernel."""
    database._BUSY_SECONDS = PATIENCE
    app = build(url, ())
    let_go(app)  # a connection must not be inherited by two processes

    def attempt(step: Callable[[Session], None]) -> None:
        with app.app_context(), writing(SYSTEM) as uow:
            step(uow.session)

    return attempt


def defaults(url: str) -> Attempt:
    """Return what runs a step in a transaction of an engine that nobody configured."""
    # All but the five seconds for which SQLite's driver waits for a lock: a loaded machine takes longer.
    engine = sa.create_engine(url, connect_args={"timeout": PATIENCE} if url.startswith("sqlite") else {})

    def attempt(step: Callable[[Session], None]) -> None:
        with Session(engine) as session, session.begin():
            step(session)

    return attempt


WAYS = {"version": (ours, by_version), "lock": (ours, by_lock), "defaults": (defaults, by_default)}


def increment(attempt: Attempt, step: Callable[[Session], None], times: int, together, answers) -> None:
    """Increment so many times; a stale version is tried again, anything else ends the process."""
    done = stale = 0
    error = None
    together.wait(PATIENCE)
    try:
        while done < times:
            try:
                attempt(step)
                done += 1
            except StaleVersion:
                stale += 1
    except Exception as found:
        error = f"{type(found).__name__}: {found}"
    answers.put({"done": done, "stale": stale, "error": error})


def main(url: str, how: str, times: str) -> None:
    """Run the writers and print what each did."""
    prepare, step = WAYS[how]
    attempt = prepare(url)
    forked = multiprocessing.get_context("fork")
    together, answers = forked.Barrier(WRITERS), forked.Queue()
    processes = [
        forked.Process(target=increment, args=(attempt, step, int(times), together, answers)) for _ in range(WRITERS)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        print(json.dumps(answers.get(timeout=PATIENCE)))
    for process in processes:
        process.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
