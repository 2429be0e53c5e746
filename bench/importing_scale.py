"""Import of as many customers as asked for, against the raw floor: ``python -m bench.importing_scale 1000000``.

The floor is what the database alone takes: the very rows that the import wrote, read from its tables and inserted into the same
tables of another database by Core ``executemany``, 1,000 a transaction. Prints rows per second of both, the processor time and
the memory of this process, and how busy the machine was; on the way a line per tenth, which shows whether a row becomes
dearer as the tables grow. On SQLite unless ``CRM_BENCH_DATABASES`` says otherwise.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.importing import CHUNK, import_ours, resident, write_file
from bench.site import database, make_app


@dataclass(slots=True)
class Watch:
    """What a run has taken since it was started: seconds, seconds of this process on a processor, and its memory in MB."""

    rows: int
    started: float = field(default_factory=time.perf_counter)
    computed: float = field(default_factory=time.process_time)
    memory: float = field(default_factory=resident)
    most: float = 0.0
    #: Rows, seconds and processor seconds at the last line.
    last: tuple[int, float, float] = (0, 0.0, 0.0)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def processor(self) -> float:
        """Seconds that this process has computed since the start; PostgreSQL's own are not among them."""
        return time.process_time() - self.computed

    def look(self, _file: str, done: int, _total: int) -> None:
        """Note the memory after a chunk, and print a line after each tenth of the rows."""
        self.most = max(self.most, resident() - self.memory)
        before, seconds, processor = self.last
        if done - before < self.rows / 10:
            return
        now, computed = self.seconds, self.processor
        rate, own = (done - before) / (now - seconds), (done - before) / (computed - processor)
        print(f"    {done:,}: {rate:,.0f} a second, {own:,.0f} a second computed, {self.most:+.0f} MB", flush=True)
        self.last = (done, now, computed)


def main(rows: int) -> None:
    """Measure both and print what was found, per database."""
    for kind in os.environ.get("CRM_BENCH_DATABASES", "sqlite").split(","):
        with database(kind) as url, database(kind) as floor_url, tempfile.TemporaryDirectory() as folder:
            app, file = make_app(url, ()), Path(folder, "people.csv")
            make_app(floor_url, ())
            write_file(file, rows)
            print(f"{kind}: {rows:,} customers, load {_load()}", flush=True)
            watch = Watch(rows)
            import_ours(app, file, watch.look)
            ours, computed = watch.seconds, watch.processor
            floor = _timed(partial(copy_rows, url, floor_url))
            print(
                f"{kind}: {rows:,} customers in {ours:.1f} s, {rows / ours:,.0f} a second ({computed:.1f} s computed, "
                f"{rows / computed:,.0f} a second); at most {watch.most:+.0f} MB; raw executemany {floor:.1f} s, "
                f"{rows / floor:,.0f} a second; ratio {floor / ours:.3f}; load {_load()}",
                flush=True,
            )


def copy_rows(url: str, target_url: str) -> None:
    """Insert the customers of one database with their parts into another, 1,000 rows a transaction."""
    from crm_kernel.customers.models import ContactPoint, Customer, Person
    from crm_kernel.database import make_engine

    source, target = make_engine(url), make_engine(target_url)
    tables: list[Any] = [model.__table__ for model in (Customer, Person, ContactPoint)]
    with source.connect() as reading:
        for table in tables:
            found = reading.execution_options(yield_per=CHUNK).execute(sa.select(table))
            for rows in found.mappings().partitions(CHUNK):
                with target.begin() as writing:
                    writing.execute(sa.insert(table), [dict(row) for row in rows])
    source.dispose()
    target.dispose()


def _load() -> str:
    """Return how many processes wanted a processor in the last one, five and fifteen minutes, and how many there are."""
    told = " ".join(f"{number:.1f}" for number in os.getloadavg())
    return f"{told} on {os.cpu_count()} processors"


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
