"""``python -m bench``: every ratio with its floor beside it, searching and the scan, on SQLite and PostgreSQL, in one run.

A ratio is the floor's time by ours in interleaved rounds: 1 is as fast as a hand-written handler. Exit code 6 when one
is below its floor. Searching and the scan for duplicates have no floor: their times are printed.

``CRM_BENCH_ROWS`` (customers) and ``CRM_BENCH_ROUNDS`` make a quick run, ``CRM_BENCH_DATABASES`` one of one database.
"""

from __future__ import annotations

import os
import sys

from bench import duplicates, filtering, importing, publishing, reading, searching
from bench.million import make_site
from bench.site import database, fill, make_app

#: Customers of the databases that are filtered, searched and scanned.
ROWS = int(os.environ.get("CRM_BENCH_ROWS", "1000000").replace("_", "").replace(",", ""))
#: Customers of the database whose records are read one by one: what a request costs is no more with more of them.
READ_ROWS = min(ROWS, 100_000)
ROUNDS = int(os.environ.get("CRM_BENCH_ROUNDS", "15"))
KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))


def main() -> int:
    """Run everything, print the tables, return the exit code."""
    print(_announced(), flush=True)
    print(f"{'comparison':<16} {'database':<12} {'ratio':>7} {'floor':>7}  verdict")
    below = 0
    for kind in KINDS:
        below += _read(kind) + _import(kind) + _publish(kind)
    for kind in KINDS:
        below += _filter_and_search(kind)
    for kind in KINDS:
        duplicates.measure(kind, ROWS)
    return 6 if below else 0


def _announced() -> str:
    return (
        f"{ROWS:,} customers on {' and '.join(KINDS)}, {ROUNDS} interleaved rounds. A million take about 45 minutes on"
        " two cores;\nCRM_BENCH_ROWS=20000 make bench takes about ten minutes, but of so few a filter's ratio may be below its"
        " floor.\n"
    )


def _read(kind: str) -> int:
    with database(kind) as url:
        app = make_app(url, ("sfa",))
        token = fill(app, READ_ROWS)
        found = reading.measure(url, app, token, rounds=ROUNDS)
    return sum(_show(name, kind, ratio, reading.FLOORS[name]) for name, ratio in found.items())


def _import(kind: str) -> bool:
    with database(kind) as url:
        found = importing.measure(make_app(url, ()))
    below = _show("import", kind, found.ratio, importing.FLOOR)
    print(f"    {found.ours:,.0f} customers/s against {found.bare:,.0f}, {found.memory:+.0f} MB", file=sys.stderr)
    return below


def _filter_and_search(kind: str) -> int:
    print(flush=True)
    small = filtering.pages_of_few(kind)
    with database(kind) as url:
        app = make_site(url, ROWS)
        below = filtering.measure(app, kind, small)
        searching.measure(app, kind)
    return below


def _publish(kind: str) -> bool:
    from crm_kernel.testing.databases import migrate

    with database(kind) as url:
        migrate(url, ())
        found = publishing.measure(url)
    below = _show("publish event", kind, found.ratio, publishing.FLOOR)
    print(f"    {found.ours:,.0f} events/s against {found.bare:,.0f}", file=sys.stderr)
    return below


def _show(name: str, kind: str, ratio: float, floor: float) -> bool:
    print(f"{name:<16} {kind:<12} {ratio:>7.2f} {floor:>7.2f}  {'ok' if ratio >= floor else 'BELOW'}", flush=True)
    return ratio < floor


if __name__ == "__main__":
    sys.exit(main())
