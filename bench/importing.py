"""Import of customers against a bare script: the same file, the same rows, the same database, in turns in one run.

The bare script does what somebody would write for this one file: it reads it, calls the schema, phonenumbers and
email-validator once per row and writes customers, persons and contact points by Core ``executemany`` (SQLite) or COPY
(PostgreSQL). Ours also detects, maps, matches, audits, indexes for search and tells one event per 1,000 rows.
"""

from __future__ import annotations

import csv
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.records.importing.engine import Progress
    from crm_kernel.unit_of_work import UnitOfWork

#: Ours must reach this part of the bare script's customers per second.
FLOOR = 0.6
#: Rows the bare script writes at a time, as ours does.
CHUNK = 1_000

_GIVEN = ("Ada", "Alan", "Chloé", "Émile", "Grace", "Jürgen", "Linus", "Margaret", "Noël", "Zoé")
_FAMILY = ("Baker", "Dupont", "Garcia", "Lefèvre", "Müller", "Nowak", "O'Brien", "Rossi", "Smith", "Young")
_JOBS = ("Buyer", "Directrice", "Engineer", "Manager", "Owner")
_COLUMNS = ("ref", "given", "family", "job", "email", "phone", "city_language")


@dataclass(frozen=True, slots=True)
class Measured:
    """One comparison: customers per second, and how much memory the import took on top, in MB."""

    ours: float
    bare: float
    memory: float

    @property
    def ratio(self) -> float:
        """Ours as a part of the bare script's."""
        return self.ours / self.bare


def write_file(path: Path, customers: int, *, start: int = 0, seed: int = 7) -> None:
    """Write a CSV file of persons with an e-mail and a phone each, all different, the same for the same seed."""
    from crm_kernel.text import tokens

    chance = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for number in range(start, start + customers):
            given, family = chance.choice(_GIVEN), chance.choice(_FAMILY)
            phone = (
                f"+33 1 4{number % 10} {number // 10 % 100:02} {number // 1000 % 100:02} {number // 100_000 % 100:02}"
            )
            email = f"{'.'.join(tokens(f'{given} {family}'))}.{number}@company{number % 997}.com"
            row = (f"R{number}", given, family, chance.choice(_JOBS), email, phone, chance.choice(("en", "fr")))
            writer.writerow(row)


def measure(app: Flask, *, customers: int = 20_000, rounds: int = 3) -> Measured:
    """Return the medians of some rounds, in which both import files of the same size into the app's database."""
    ours, bare = list[float](), list[float]()
    before = resident()
    highest = before
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            first, second = Path(folder, f"a{number}.csv"), Path(folder, f"b{number}.csv")
            write_file(first, customers, start=2 * number * customers)
            write_file(second, customers, start=(2 * number + 1) * customers)
            ours.append(customers / _seconds(import_ours, app, first))
            highest = max(highest, resident())
            bare.append(customers / _seconds(import_bare, app, second))
    return Measured(sorted(ours)[rounds // 2], sorted(bare)[rounds // 2], highest - before)


def import_ours(app: Flask, file: Path, progress: Progress | None = None) -> None:
    """Import the file as ``crm import`` does."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import Verdict, import_file
    from crm_kernel.records.importing.mapping import parse_mapping

    columns = {
        "ref": "external_ref",
        "given": "given_name",
        "family": "family_name",
        "job": "job_title",
        "email": "contact_points.email",
        "phone": "contact_points.phone",
        "city_language": "language",
    }
    source = {
        "file": file.name,
        "record_type": "customer",
        "match": ["source", "external_ref"],
        "columns": columns,
        "constants": {"kind": "person", "source": "bench"},
    }
    mapping = parse_mapping({"source": [source]}, "bench", "bench")
    with app.app_context():
        result = import_file(mapping, file, actor=SYSTEM, progress=progress)
    if result.failure or result.total(Verdict.CREATED) != result.sources[0].rows:
        raise RuntimeError(f"the import did not take all rows: {result.to_json()}")


def import_bare(app: Flask, file: Path) -> None:
    """Import the file as a script made for it would."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import writing

    with app.app_context(), file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        while chunk := list(itertools.islice(_checked(rows), CHUNK)):
            with writing(SYSTEM) as uow:
                _write(uow, chunk)


def _checked(rows: Iterator[dict[str, str]] | Any) -> Iterator[dict[str, Any]]:
    import phonenumbers
    from email_validator import validate_email

    from crm_kernel.customers.schemas import CustomerSchema

    schema = CustomerSchema()
    for row in rows:
        loaded = schema.load(
            {
                "kind": "person",
                "source": "bench",
                "external_ref": row["ref"],
                "given_name": row["given"],
                "family_name": row["family"],
                "job_title": row["job"],
                "language": row["city_language"],
                "contact_points": [
                    {"channel": "email", "value": row["email"]},
                    {"channel": "phone", "value": row["phone"]},
                ],
            }
        )
        number = phonenumbers.parse(row["phone"], "FR")
        if not phonenumbers.is_valid_number(number):
            raise RuntimeError(f"not a phone number: {row['phone']}")
        phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        email = validate_email(row["email"], check_deliverability=False).normalized.lower()
        yield {**loaded, "normalized": {"email": email, "phone": phone}}


def _write(uow: UnitOfWork, chunk: list[dict[str, Any]]) -> None:
    from uuid_utils.compat import uuid7

    from crm_kernel._internal.rows import insert_rows, reserve_keys
    from crm_kernel.customers.models import ContactPoint, Customer, Person

    tables: Any = [model.__table__ for model in (Customer, Person, ContactPoint)]
    keys = reserve_keys(uow.session, tables[0], len(chunk))
    common = {"version": 1, "created_at": uow.now, "updated_at": uow.now}
    customers, persons, points = [], [], []
    for key, row in zip(keys, chunk, strict=True):
        names = {name: row[name] for name in ("given_name", "family_name", "job_title")}
        persons.append({"customer_id": key, **names})
        title = f"{row['given_name']} {row['family_name']}"
        customers.append(
            {
                "id": key,
                "uid": uuid7(),
                **common,
                "kind": "person",
                "display_name": title,
                "status": "active",
                "sort_name": f"{row['family_name']} {row['given_name']}".lower(),
                "stage": "prospect",
                "custom": {},
                "language": row["language"],
                "source": row["source"],
                "external_ref": row["external_ref"],
            }
        )
        for part in row["contact_points"]:
            channel = part["channel"]
            points.append(
                {
                    "uid": uuid7(),
                    **common,
                    "customer_id": key,
                    "channel": channel,
                    "value": part["value"],
                    "value_normalized": row["normalized"][channel],
                    "is_primary": True,
                    "state": "unverified",
                    "state_since": uow.now,
                }
            )
    for table, rows in zip(tables, (customers, persons, points), strict=True):
        insert_rows(uow.session, table, rows)


def _seconds(work: Callable[..., None], app: Flask, file: Path) -> float:
    start = time.perf_counter()
    work(app, file)
    return time.perf_counter() - start


def resident() -> float:
    """Return the memory this process holds, in MB."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1_000_000
