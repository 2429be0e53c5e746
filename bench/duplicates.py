"""``python -m bench.duplicates [ROWS]``: the scan for duplicates over a million customers, its time printed.

One customer in twenty is an earlier one once more with one to three mistakes (``bench.people``), so that recall and
precision can be told beside the time. The floor is the blocking alone: the keys joined with themselves in SQL. The
second scan follows a change of a hundred customers: its time must not grow with the table. ``CRM_BENCH_ROWS`` and
``CRM_BENCH_DATABASES`` make a quick run too.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bench.people import Person, person, true_pairs
from bench.site import database, make_app

if TYPE_CHECKING:
    from flask import Flask

KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))
_CHUNK = 5_000
_COLUMNS = (
    "customers", "first scan", "customers/s", "compared", "found", "recall", "precision", "memory", "floor", "next scan",
)  # fmt: skip


@dataclass(slots=True)
class Scanned:
    """One scan: seconds, pairs compared, and how much memory it took on top, in MB."""

    seconds: float
    compared: int
    memory: float


def main(arguments: list[str]) -> int:
    """Run everything and print a line per database."""
    rows = int(arguments[0]) if arguments else int(os.environ.get("CRM_BENCH_ROWS", "1000000"))
    for kind in KINDS:
        measure(kind, rows)
    return 0


def measure(kind: str, rows: int) -> None:
    """Fill a database, scan it twice and print a line of it."""
    with database(kind) as url:
        app = make_app(url, ())
        _say(f"{kind}: {rows:,} customers are made")
        fill(app, rows)
        _say(f"{kind}: they are scanned")
        first = scanned(app)
        found, recall, precision = quality(app, rows)
        floor = blocking_alone(app)
        _touch(app, 100)
        following = scanned(app)
    texts = (
        f"{rows:,}", f"{first.seconds:.1f} s", f"{rows / first.seconds:,.0f}", f"{first.compared:,}", f"{found:,}",
        f"{recall:.3f}", f"{precision:.3f}", f"{first.memory:+.0f} MB", f"{floor:.1f} s", f"{following.seconds:.2f} s",
    )  # fmt: skip
    print(f"\n{'duplicates':<12}" + "".join(f"{name:>12}" for name in _COLUMNS))
    print(f"{kind:<12}" + "".join(f"{text:>12}" for text in texts), flush=True)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def scanned(app: Flask) -> Scanned:
    """Scan what changed since the last scan, in the units of work that the job makes."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.duplicates.scanning import scan
    from crm_kernel.unit_of_work import writing

    before = highest = _memory()
    began, point, last = time.perf_counter(), dict[str, Any](), dict[str, Any]()
    with app.app_context():
        while point is not None:
            last = point
            with writing(SYSTEM) as uow:
                point = scan(uow, {"checkpoint": point})
            highest = max(highest, _memory())
            if point is not None and last.get("pass") != point["pass"]:
                _say(
                    f"  pass of {point['pass']} after {time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of CPU"
                )
    return Scanned(time.perf_counter() - began, last.get("compared", 0), highest - before)


def quality(app: Flask, rows: int) -> tuple[int, float, float]:
    """Return the pairs in the queue that are as probable as those ``match`` tells, their recall and precision."""
    from crm_kernel.customers.duplicates.matcher import THRESHOLD
    from crm_kernel.customers.duplicates.models import DuplicateCandidate as Pair
    from crm_kernel.database import db

    with app.app_context(), db.engine.connect() as connection:
        query = sa.select(Pair.first_id, Pair.second_id).where(Pair.score >= THRESHOLD)
        found = {(first, second) for first, second in connection.execute(query)}
    true = set(true_pairs(rows))
    return len(found), len(found & true) / max(len(true), 1), len(found & true) / max(len(found), 1)


def blocking_alone(app: Flask) -> float:
    """Return the seconds it takes to count the pairs that share a key, in blocks that are not too big."""
    from crm_kernel.customers.duplicates.blocking import MAX_BLOCK
    from crm_kernel.customers.duplicates.models import DuplicateKey
    from crm_kernel.database import db

    one, other = sa.orm.aliased(DuplicateKey), sa.orm.aliased(DuplicateKey)
    sizes = sa.select(DuplicateKey.key).group_by(DuplicateKey.key)
    small = sizes.having(sa.func.count().between(2, MAX_BLOCK)).subquery()
    higher = sa.and_(other.key == one.key, other.customer_id > one.customer_id)
    joined = small.join(one, one.key == small.c.key).join(other, higher)
    pairs = sa.select(sa.func.count()).select_from(joined)
    with app.app_context(), db.engine.connect() as connection:
        began = time.perf_counter()
        connection.execute(pairs).scalar()
        return time.perf_counter() - began


def fill(app: Flask, rows: int) -> None:
    """Write that many customers with their parts, by Core."""
    from crm_kernel._internal.rows import insert_rows
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers import models
    from crm_kernel.database import db
    from crm_kernel.unit_of_work import writing

    tables = (models.Customer, models.Person, models.ContactPoint, models.Address)
    with app.app_context():
        for start in range(0, rows, _CHUNK):
            parts = [_rows(person(key), key) for key in range(start + 1, min(start + _CHUNK, rows) + 1)]
            with writing(SYSTEM) as uow:
                for place, model in enumerate(tables):
                    table: Any = model.__table__
                    insert_rows(uow.session, table, [row for part in parts for row in part[place]])
        with db.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()


def _touch(app: Flask, customers: int) -> None:
    from crm_kernel.customers.models import Customer
    from crm_kernel.database import db, utcnow

    with app.app_context(), db.engine.begin() as connection:
        old = utcnow() - dt.timedelta(days=1)
        connection.execute(sa.update(Customer).values(updated_at=old))
        connection.execute(sa.update(Customer).where(Customer.id <= customers).values(updated_at=utcnow()))


def _rows(found: Person, key: int) -> tuple[list[dict[str, Any]], ...]:
    """Return the rows of customer, person, contact points and addresses."""
    from crm_kernel.customers.models import new_uid
    from crm_kernel.database import utcnow

    at = utcnow()
    stamps = {"version": 1, "created_at": at, "updated_at": at}
    record = {**stamps, "uid": new_uid()}
    name, sort = f"{found['given_name']} {found['family_name']}", f"{found['family_name']} {found['given_name']}"
    customer = {"id": key, "kind": "person", "display_name": name, "sort_name": sort.lower(), "custom": {}, **record}
    own = {"customer_id": key} | {name: found[name] for name in ("given_name", "family_name", "birth_date")}
    reached = {"customer_id": key, "is_primary": True, "state": "unverified", "state_since": at, **stamps}
    points = [
        {**reached, "channel": channel, "value": value, "value_normalized": value, "uid": new_uid()}
        for channel, value in (("email", found["email"]), ("phone", found["phone"]))
        if value
    ]
    place = {name: found[name] for name in ("street", "postal_code", "city")}
    address = {"customer_id": key, **place, "is_primary": True, **stamps, "uid": new_uid()}
    return [customer], [own], points, [address]


def _memory() -> float:
    """Return the memory this process holds, in MB."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1_000_000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
