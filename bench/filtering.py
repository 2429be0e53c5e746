"""``python -m bench.filtering [ROWS]``: lists and counts that filters find, against SQL written by hand for each.

What is compared is the time of the statements in the database: those that the list issues are caught and sent again,
in turns with the hand-written ones, over the same connection. Both leave merged customers out, and count up to 10,001
rows, as lists do. Growth compares a list page with that of a database of 10,000 customers; for a filtered one, of which
the database itself reads more rows per hit, with the growth of the hand-written page. ``CRM_BENCH_DATABASES`` names the
databases.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bench.million import make_site
from bench.site import database

if TYPE_CHECKING:
    from flask import Flask

#: Customers of a small base, which growth is measured from.
SMALL = 10_000
#: The least ratio (floor's time by ours): counts ≤ 1.2 times, pages ≤ 1.3 times, growth ≤ 1.5 times.
FLOORS = {"count": 1 / 1.2, "page": 1 / 1.3, "growth": 1 / 1.5}
KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))
SINCE, FIRST = "2026-01-01T00:00:00Z", "1990-01-01"
#: Name of a case → the seconds of its page, ours and as written by hand.
Small = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """A tree, empty for none, and what somebody who knows the tables writes: conditions for a page and for a count."""

    name: str
    tree: Mapping[str, Any]
    page: str
    count: str


def _sales(rest: str) -> Mapping[str, Any]:
    return {"field": "occurred_at", "op": rest, "value": SINCE}


CASES = (
    Case("a list of all", {}, "true", "true"),
    Case(
        "field of a side table",
        {"and": [{"field": "status", "value": "inactive"}, {"field": "birth_date", "op": "gte", "value": FIRST}]},
        "c.status = 'inactive' AND EXISTS (SELECT 1 FROM person p WHERE p.customer_id = c.id AND p.birth_date >= {day})",
        "c.status = 'inactive' AND EXISTS (SELECT 1 FROM person p WHERE p.customer_id = c.id AND p.birth_date >= {day})",
    ),
    Case(
        "has a sale",
        {"has": "sale.customer", "where": {"and": [_sales("gte"), {"field": "base_amount", "op": "gte", "value": "400"}]}},
        "EXISTS (SELECT 1 FROM sale s WHERE s.customer_id = c.id AND s.occurred_at >= {since} AND s.base_amount >= 4000000)",
        "EXISTS (SELECT 1 FROM sale s WHERE s.customer_id = c.id AND s.occurred_at >= {since} AND s.base_amount >= 4000000)",
    ),
    Case(
        "has three sales",
        {"has": "sale.customer", "at_least": 3, "where": {"field": "base_amount", "op": "gte", "value": "100"}},
        "(SELECT count(*) FROM (SELECT 1 FROM sale s WHERE s.customer_id = c.id AND s.base_amount >= 1000000 LIMIT 3) x) = 3",
        "c.id IN (SELECT s.customer_id FROM sale s WHERE s.base_amount >= 1000000 GROUP BY 1 HAVING count(*) >= 3)",
    ),
    Case(
        "has not bought",
        {"and": [{"field": "stage", "value": "customer"}, {"not": {"has": "sale.customer", "where": _sales("gte")}}]},
        "c.stage = 'customer' AND NOT EXISTS (SELECT 1 FROM sale s WHERE s.customer_id = c.id AND s.occurred_at >= {since})",
        "c.stage = 'customer' AND NOT EXISTS (SELECT 1 FROM sale s WHERE s.customer_id = c.id AND s.occurred_at >= {since})",
    ),
    Case(
        "either of two",
        {"or": [{"field": "source", "value": "fair"}, {"field": "industry", "value": "Steel"}]},
        "(c.source = 'fair' OR EXISTS (SELECT 1 FROM organization o WHERE o.customer_id = c.id AND o.industry = 'Steel'))",
        "(c.source = 'fair' OR c.id IN (SELECT o.customer_id FROM organization o WHERE o.industry = 'Steel'))",
    ),
)  # fmt: skip

#: The parameters of what is written by hand, as each driver wants them.
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {"day": FIRST, "since": "2026-01-01 00:00:00.000000"},
    "postgresql": {"day": dt.date.fromisoformat(FIRST), "since": dt.datetime.fromisoformat(SINCE)},
}


def main() -> int:
    """Measure every database, print the table, return 6 when a ratio is below its floor."""
    rows = int(sys.argv[1].replace(",", "").replace("_", "")) if len(sys.argv) > 1 else 100_000
    print(f"{rows:,} customers, {rows:,} sales\n", file=sys.stderr)
    below = 0
    for kind in KINDS:
        small = pages_of_few(kind)
        with database(kind) as url:
            below += measure(make_site(url, rows), kind, small)
    return 6 if below else 0


def pages_of_few(kind: str) -> Small:
    """Return name of the case → the seconds of its page in a database of few customers, which growth is measured from."""
    with database(kind) as url:
        app = make_site(url, SMALL)
        return {case.name: _times(app, kind, case, "page") for case in CASES}


def measure(app: Flask, kind: str, small: Small) -> int:
    """Print every comparison of one database and return how many are below their floor."""
    below = sum(_compared(app, kind, case, small[case.name]) for case in CASES)
    _print_suggestions(app, kind)
    return below


def _compared(app: Flask, kind: str, case: Case, small: Mapping[str, float]) -> int:
    below = 0
    for what in ("page", "count"):
        found = _times(app, kind, case, what)
        below += _show(f"{case.name}, {what}", kind, found["floor"] / found["ours"], FLOORS[what], found)
        if what == "page":
            ours, by_hand = found["ours"] / small["ours"], found["floor"] / small["floor"]
            growth = (by_hand if case.tree else 1) / ours
            was = {"ours": found["ours"], "floor": small["ours"]}
            below += _show(f"{case.name}, growth", kind, growth, FLOORS["growth"], was)
    return below


def _times(app: Flask, kind: str, case: Case, what: str) -> dict[str, float]:
    """Return the seconds of a page or a count, ours and as written by hand."""
    from crm_kernel.database import db

    ours, floor = _issued(app, case, what), _by_hand(kind, case, what)
    with app.app_context(), db.engine.connect() as connection:
        cursor = connection.connection.cursor()
        if kind == "postgresql":  # else the server may keep a plan of one of the two and plan the other each time
            cursor.execute("SET plan_cache_mode = force_custom_plan")
        _same(cursor, ours, [floor], what)
        return _timed({"ours": _sent(cursor, ours), "floor": _sent(cursor, [floor])})


def _by_hand(kind: str, case: Case, what: str) -> tuple[str, dict[str, Any]]:
    mark, given = ":{}" if kind == "sqlite" else "%({})s", _PARAMETERS[kind]
    shown = {name: mark.format(name) for name in given}
    where = f"{(case.page if what == 'page' else case.count).format(**shown)} AND c.merged_into_id IS NULL"
    if what == "page":
        columns = "c.id, c.uid, c.version, c.display_name, c.status, c.stage, c.sort_name"
        text = f"SELECT {columns} FROM customer c WHERE {where} ORDER BY c.sort_name, c.id LIMIT 51"
    else:
        text = f"SELECT count(*) FROM (SELECT 1 FROM customer c WHERE {where} LIMIT 10001) x"
    return text, {name: value for name, value in given.items() if shown[name] in text}


def _issued(app: Flask, case: Case, what: str) -> list[tuple[str, Any]]:
    """Return the statements that the list issues, with their parameters."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import count_of, page_of, parse_query
    from crm_kernel.unit_of_work import reading

    asked = {"filter": json.dumps(case.tree)} if case.tree else {}
    arguments = {**asked, "fields": "display_name,status,stage", "limit": "50"}
    with app.app_context(), reading(SYSTEM) as uow:
        wanted = record_type("customer")
        query = parse_query(wanted, arguments.items(), actor=SYSTEM)
        with _caught() as caught:
            page_of(uow, wanted, query) if what == "page" else count_of(uow, wanted, query)
    return caught


@contextlib.contextmanager
def _caught() -> Iterator[list[tuple[str, Any]]]:
    caught: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        caught.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield caught
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _sent(cursor: Any, statements: Sequence[tuple[str, Any]]) -> Callable[[], list[Any]]:
    def send() -> list[Any]:
        rows: list[Any] = []
        for text, parameters in statements:
            cursor.execute(text, parameters) if parameters else cursor.execute(text)
            rows += cursor.fetchall()
        return rows

    return send


def _same(cursor: Any, ours: Sequence[tuple[str, Any]], floor: Sequence[tuple[str, Any]], what: str) -> None:
    """Refuse to compare statements that find different rows."""
    mine, theirs = _sent(cursor, ours)(), _sent(cursor, floor)()
    if [row[0] for row in mine] != [row[0] for row in theirs]:
        raise SystemExit(f"{what}: different rows: {mine[:3]} {theirs[:3]}\n{ours}\n{floor}")


def _timed(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the shortest times of interleaved rounds: what else the machine does only ever adds to a time."""
    began = time.perf_counter()
    next(iter(calls.values()))()
    once = max(time.perf_counter() - began, 1e-6)
    each, rounds = max(1, min(10, int(0.02 / once))), 9 if once > 1 else 40
    found = {name: float("inf") for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(each):
                call()
            found[name] = min(found[name], (time.perf_counter() - start) / each)
    return found


def _print_suggestions(app: Flask, kind: str) -> None:
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import suggestions
    from crm_kernel.unit_of_work import reading

    taken = []
    for words in ("ada", "ada bab", "corbaba", "hug cor", "te", "mar", "e", "ines petpet", "zzz", "k holba") * 5:
        with app.app_context(), reading(SYSTEM) as uow:
            began = time.perf_counter()
            suggestions(uow, record_type("customer"), words)
            taken.append(time.perf_counter() - began)
    p95 = statistics.quantiles(taken, n=20)[-1]
    print(
        f"{'suggestions':<30} {kind:<12} p95 {1000 * p95:,.1f} ms, median {1000 * statistics.median(taken):,.1f} ms",
        flush=True,
    )


def _show(name: str, kind: str, ratio: float, floor: float, found: Mapping[str, float]) -> bool:
    times = f"{1000 * found['ours']:>10.2f} ms against {1000 * found['floor']:>9.2f} ms"
    print(
        f"{name:<30} {kind:<12} {ratio:>6.2f} {floor:>6.2f} {times}  {'ok' if ratio >= floor else 'BELOW'}", flush=True
    )
    return ratio < floor


if __name__ == "__main__":
    sys.exit(main())
