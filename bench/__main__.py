"""``python -m bench``: every ratio with its floor beside it, on SQLite and PostgreSQL, in one run.

A ratio is the floor's time by ours in interleaved rounds: 1 is as fast as a hand-written handler. Exit code 6 when one
is below its floor. ``CRM_BENCH_ROWS`` and ``CRM_BENCH_ROUNDS`` make a quick run.
"""

from __future__ import annotations

import os
import sys

from bench import filtering, importing, publishing, reading
from bench.site import database, fill, make_app

ROWS = int(os.environ.get("CRM_BENCH_ROWS", "100000"))
ROUNDS = int(os.environ.get("CRM_BENCH_ROUNDS", "15"))
KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))


def main() -> int:
    """Run everything, print the table, return the exit code."""
    print(f"{ROWS:,} customers, {ROWS:,} opportunities, {ROUNDS} interleaved rounds\n", file=sys.stderr)
    print(f"{'comparison':<16} {'database':<12} {'ratio':>7} {'floor':>7}  verdict")
    below = 0
    for kind in KINDS:
        with database(kind) as url:
            app = make_app(url, ("sfa",))
            token = fill(app, ROWS)
            for name, ratio in reading.measure(url, app, token, rounds=ROUNDS).items():
                below += _show(name, kind, ratio, reading.FLOORS[name])
        with database(kind) as url:
            found = importing.measure(make_app(url, ()))
        below += _show("import", kind, found.ratio, importing.FLOOR)
        print(f"    {found.ours:,.0f} customers/s against {found.bare:,.0f}, {found.memory:+.0f} MB", file=sys.stderr)
        below += _publish(kind)
        below += filtering.measure(kind, ROWS)
    return 6 if below else 0


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
