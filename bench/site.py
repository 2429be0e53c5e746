"""The instance that is measured: 100,000 customers and 100,000 opportunities, written by Core, on a database of its own."""

from __future__ import annotations

import datetime as dt
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

if TYPE_CHECKING:
    from flask import Flask

#: Where PostgreSQL is looked for, as the tests do.
POSTGRESQL = os.environ.get("CRM_TEST_PG_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
_CHUNK = 5_000


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Give the URL of a new database and drop it afterwards.

    Raises:
        sa.exc.OperationalError: PostgreSQL cannot be reached.
    """
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"
        return
    name = f"crm_bench_{uuid4().hex[:8]}"
    admin = sa.create_engine(POSTGRESQL, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    try:
        yield sa.make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def make_app(url: str, modules: tuple[str, ...]) -> Flask:
    """Return the application of a migrated database."""
    from crm_kernel.testing.apps import build
    from crm_kernel.testing.databases import migrate

    migrate(url, modules)
    return build(url, modules, base_currency="EUR")


def fill(app: Flask, rows: int) -> str:
    """Write the rows and an administrator, and return a token of his."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.access.services import create_token, create_user, ensure_builtin_roles
    from crm_kernel.database import db
    from crm_kernel.unit_of_work import writing

    with app.app_context():
        with writing(SYSTEM) as uow:
            ensure_builtin_roles(uow)
            user = create_user(uow, email="bench@bench.example", name="Bench", roles=["administrator"])
            secret = create_token(uow, user, name="bench").secret
            owner = user.id
            _make_stages(uow.session)
        for start in range(0, rows, _CHUNK):
            with writing(SYSTEM) as uow:
                _write_chunk(uow.session, range(start, min(start + _CHUNK, rows)), owner)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
    return secret


def _make_stages(session: Any) -> None:
    from crm_sfa.pipelines.models import Pipeline, Stage

    pipeline = Pipeline(name="Bench", is_default=True)
    session.add(pipeline)
    session.flush()
    session.add_all(Stage(pipeline_id=pipeline.id, name=f"Stage {n}", position=n, probability=n * 20) for n in range(4))
    session.flush()


def _write_chunk(session: Any, numbers: range, owner: int) -> None:
    from crm_sfa.opportunities.models import Opportunity
    from crm_sfa.pipelines.models import Stage

    from crm_kernel.customers.models import ContactPoint, Customer, Person

    chance = random.Random(numbers.start)
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    stages = session.execute(sa.select(Stage.id, Stage.pipeline_id).where(Stage.category == "open")).all()
    customers = [
        {
            "id": n + 1,
            "kind": "person",
            "display_name": f"Ada Baker {n}",
            "sort_name": f"baker ada {n:06}",
            "status": "active" if n % 4 else "inactive",
            "owner_id": owner,
            "custom": {},
        }
        for n in numbers
    ]
    session.execute(sa.insert(Customer), customers)
    people = [{"customer_id": n + 1, "given_name": "Ada", "family_name": f"Baker {n}"} for n in numbers]
    session.execute(sa.insert(Person), people)
    points = [
        {
            "customer_id": n + 1,
            "channel": channel,
            "value": value.format(n),
            "value_normalized": value.format(n),
            "is_primary": True,
            "state": "unverified",
            "state_since": now,
        }
        for n in numbers
        for channel, value in (("email", "ada{}@bench.example"), ("phone", "+3319900{:06}"))
    ]
    session.execute(sa.insert(ContactPoint), points)
    opportunities = []
    for n in numbers:
        stage, pipeline = stages[n % len(stages)]
        opportunities.append(
            {
                "name": f"Deal {n}",
                "customer_id": n + 1,
                "pipeline_id": pipeline,
                "stage_id": stage,
                "status": "open",
                "stage_since": now,
                "amount": Decimal(chance.randrange(100, 90_000)),
                "currency": "EUR",
                "opened_on": now.date(),
                "close_date": now.date() + dt.timedelta(days=n % 300),
                "owner_id": owner,
            }
        )
    session.execute(sa.insert(Opportunity), opportunities)
