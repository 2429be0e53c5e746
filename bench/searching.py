"""``python -m bench.searching [ROWS]``: how long the palette and the search page take, for what people type.

The whole call is timed, Python and database; the instance is the one filters are measured on, with the pieces by which
mistyped names are found. ``CRM_BENCH_DATABASES`` names the databases, ``CRM_BENCH_ROUNDS`` how often each text is typed.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.million import make_site
from bench.site import database

if TYPE_CHECKING:
    from flask import Flask

ROWS = 100_000
ROUNDS = int(os.environ.get("CRM_BENCH_ROUNDS", "5"))
KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))
_FAMILIES = ("bacordan", "elfengar", "holinker", "lumarnor", "olpetros", "tenbacor", "danelfen", "garholin")
#: What is typed, by kind.
TYPED: Mapping[str, Sequence[str]] = {
    "one letter": tuple("abceghijklmnoprt"),
    "two letters": ("ad", "al", "an", "ba", "co", "el", "gr", "ho", "ka", "lu", "ma", "te"),
    "letters apart": ("a b", "e c", "g h", "a ba"),
    "prefix": tuple(family[:5] for family in _FAMILIES),
    "two words": tuple(
        f"{given} {family}" for given, family in zip(("ada", "eva", "lea", "karl") * 2, _FAMILIES, strict=True)
    ),
    "mistyped": tuple(family[:3] + family[4] + family[3] + family[5:] for family in _FAMILIES),
    "accents": tuple(family.replace("a", "à").replace("e", "é").replace("o", "ö") for family in _FAMILIES),
    "no match": ("zzxqvw", "qwxyzk", "xqzvwy", "wvxzqk"),
}


def main() -> int:
    """Measure on every database and print the table."""
    rows = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else ROWS
    print(f"{rows:,} customers, each text {ROUNDS} times")
    for kind in KINDS:
        with database(kind) as url:
            measure(make_site(url, rows), kind)
    return 0


def measure(app: Flask, kind: str) -> None:
    """Print the table of one database, in milliseconds."""
    print(f"\n{'typed, ms':<14} {'database':<11} {'palette p50':>12} {'p95':>8} {'search p50':>12} {'p95':>8}")
    everything: dict[str, list[float]] = {"palette": [], "search": []}
    for name, texts in TYPED.items():
        found = {way: _times(app, way, texts) for way in everything}
        for way, times in found.items():
            everything[way] += times
        _show(name, kind, found)
    _show("all of them", kind, everything)


def _times(app: Flask, way: str, texts: Sequence[str]) -> list[float]:
    """Return the milliseconds of every call, in an order that is the same in every run; the first of each text is left out."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.palette.finding import palette
    from crm_kernel.records.search_page import search_everywhere
    from crm_kernel.unit_of_work import reading

    typed = [*texts, *random.Random(7).sample([*texts] * ROUNDS, k=len(texts) * ROUNDS)]
    times = []
    for text in typed:
        with app.test_request_context(), reading(SYSTEM) as uow:
            began = time.perf_counter()
            palette(uow, text, ()) if way == "palette" else search_everywhere(uow, text)
            times.append((time.perf_counter() - began) * 1_000)
    return times[len(texts) :]


def _show(name: str, kind: str, found: Mapping[str, Sequence[float]]) -> None:
    figures = [figure for way in ("palette", "search") for figure in _percentiles(found[way])]
    print("{:<14} {:<11} {:>12.1f} {:>8.1f} {:>12.1f} {:>8.1f}".format(name, kind, *figures), flush=True)


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    sys.exit(main())
