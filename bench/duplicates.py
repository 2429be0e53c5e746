"""``python -m bench.duplicates``: the scan for duplicates over a million customers, its time printed.

One customer in twenty is a second record of another one with a mistake or two, so that recall and precision can be
told beside the time. The second scan follows a change of a hundred customers: its time must not grow with the table.
``CRM_BENCH_ROWS`` and ``CRM_BENCH_DATABASES`` make a quick run.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bench.site import database, make_app

if TYPE_CHECKING:
    from flask import Flask

ROWS = int(os.environ.get("CRM_BENCH_ROWS", "1000000"))
KINDS = tuple(os.environ.get("CRM_BENCH_DATABASES", "sqlite,postgresql").split(","))
_CHUNK = 5_000
#: Every twentieth customer is the one before once more.
_EVERY = 20
_SYLLABLES = ("ba", "cor", "dan", "el", "fen", "gar", "hol", "in", "ker", "lu", "mar", "nor", "ol", "pet", "ros", "ten")
_GIVEN = ("Ada", "Alan", "Anna", "Carl", "Chloé", "Émile", "Eva", "Grace", "Hugo", "Ines", "Jürgen", "Karl", "Léa")
_EPOCH = dt.date(1935, 1, 1)


def main() -> int:
    """Run everything and print a line per database."""
    print(f"{'database':<12} {'customers':>10} {'first scan':>11} {'next scan':>10} {'recall':>7} {'precision':>10}")
    for kind in KINDS:
        with database(kind) as url:
            app = make_app(url, ())
            _fill(app)
            first = _scan(app)
            recall, precision = _found(app)
            _touch(app, 100)
            following = _scan(app)
        line = f"{ROWS:>10,} {first:>10.1f}s {following:>9.2f}s {recall:>7.3f} {precision:>10.3f}"
        print(f"{kind:<12} {line}", flush=True)
    return 0


def _scan(app: Flask) -> float:
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.duplicates.scanning import scan
    from crm_kernel.unit_of_work import writing

    began, point = time.perf_counter(), dict[str, Any]()
    with app.app_context():
        while True:
            with writing(SYSTEM) as uow:
                found = scan(uow, {"checkpoint": point})
            if found is None:
                return time.perf_counter() - began
            point = found


def _found(app: Flask) -> tuple[float, float]:
    """Return recall and precision of the pairs in the queue that are at least as probable as those shown."""
    from crm_kernel.customers.duplicates.matcher import THRESHOLD
    from crm_kernel.customers.duplicates.models import DuplicateCandidate as Pair
    from crm_kernel.database import db

    with app.app_context(), db.engine.connect() as connection:
        pairs = connection.execute(sa.select(Pair.first_id, Pair.second_id).where(Pair.score >= THRESHOLD)).all()
    right = sum(second == first + 1 and second % _EVERY == 0 for first, second in pairs)
    return right / (ROWS // _EVERY), right / max(len(pairs), 1)


def _touch(app: Flask, customers: int) -> None:
    from crm_kernel.customers.models import Customer
    from crm_kernel.database import db, utcnow

    with app.app_context(), db.engine.begin() as connection:
        old = utcnow() - dt.timedelta(days=1)
        connection.execute(sa.update(Customer).values(updated_at=old))
        connection.execute(sa.update(Customer).where(Customer.id <= customers).values(updated_at=utcnow()))


def _fill(app: Flask) -> None:
    from crm_kernel._internal.rows import insert_rows
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.models import Address, ContactPoint, Customer, Person
    from crm_kernel.database import db
    from crm_kernel.unit_of_work import writing

    people, tables = _people(), (Customer, Person, ContactPoint, Address)
    with app.app_context():
        for start in range(0, ROWS, _CHUNK):
            with writing(SYSTEM) as uow:
                rows = [_rows(next(people), key) for key in range(start + 1, min(start + _CHUNK, ROWS) + 1)]
                for place, model in enumerate(tables):
                    insert_rows(uow.session, model.__table__, [row[place] for row in rows if row[place]])
        with db.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()


def _people() -> Iterator[dict[str, Any]]:
    """Yield persons, every twentieth the one before with mistakes; the same ones at every run."""
    chance = random.Random(11)
    person: dict[str, Any] = {}
    for number in range(1, ROWS + 1):
        person = _mistaken(person, chance) if number % _EVERY == 0 else _person(chance, number)
        yield person


def _person(chance: random.Random, number: int) -> dict[str, Any]:
    family = "".join(chance.choice(_SYLLABLES) for _part in range(chance.choice((2, 3, 3)))).capitalize()
    given = chance.choice(_GIVEN) + chance.choice(("", "", chance.choice(_SYLLABLES)))
    return {
        "given_name": given,
        "family_name": family,
        "birth_date": _EPOCH + dt.timedelta(days=chance.randrange(25_000)) if chance.random() < 0.7 else None,
        "email": f"{given}.{family}{number}@example.com".lower() if chance.random() < 0.6 else None,
        "street": f"{chance.randrange(1, 99)} rue {''.join(chance.choices(_SYLLABLES, k=3))}",
        "postal_code": f"{chance.randrange(1_000, 96_000):05}",
    }


def _mistaken(person: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    found = dict(person)
    for name in chance.sample(("given_name", "family_name", "street", "email", "birth_date"), chance.choice((1, 2))):
        if name in ("email", "birth_date"):
            found[name] = None
        else:
            text = found[name]
            place = chance.randrange(1, len(text) - 1)
            found[name] = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return found


def _rows(person: dict[str, Any], key: int) -> tuple[dict[str, Any] | None, ...]:
    from crm_kernel.customers.models import new_uid
    from crm_kernel.database import utcnow

    at = utcnow()
    record = {"uid": new_uid(), "version": 1, "created_at": at, "updated_at": at}
    name, sort = f"{person['given_name']} {person['family_name']}", f"{person['family_name']} {person['given_name']}"
    customer = {"id": key, "kind": "person", "display_name": name, "sort_name": sort.lower(), "custom": {}, **record}
    own = {name: person[name] for name in ("given_name", "family_name", "birth_date")}
    email = person["email"] and {
        "customer_id": key,
        "channel": "email",
        "value": person["email"],
        "value_normalized": person["email"],
        "is_primary": True,
        "state": "unverified",
        "state_since": at,
        **record,
        "uid": new_uid(),
    }
    place = {"customer_id": key, "street": person["street"], "postal_code": person["postal_code"], "is_primary": True}
    return customer, {"customer_id": key, **own}, email, {**place, **record, "uid": new_uid()}


if __name__ == "__main__":
    sys.exit(main())
