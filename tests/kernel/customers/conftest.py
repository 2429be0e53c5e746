"""Where the customer tests find the developers' data, which is no part of the repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

_REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Return a function from a path below the data folder to the file; skips the test when it is not there.

    The folder is ``CRM_SHARED_DATA``, else ``../shared/data`` beside the repository.
    """
    folder = Path(os.environ.get("CRM_SHARED_DATA") or _REPOSITORY.parent / "shared" / "data")

    def find(relative: str) -> Path:
        if not (folder / relative).is_file():
            pytest.skip(f"{folder / relative} is missing: set CRM_SHARED_DATA to the folder with the developers' data")
        return folder / relative

    return find


@pytest.fixture
def create(uow):
    """Create a customer through the record's schema and service, as every channel does: ``create(kind=…, …)``."""
    from crm_kernel.customers.schemas import CustomerSchema
    from crm_kernel.customers.services import create_customer
    from crm_kernel.records.payloads import load_with

    def make(**payload):
        return create_customer(uow, load_with(CustomerSchema, payload))

    return make


@pytest.fixture
def person(create):
    """Create a person: ``person()``, ``person(family_name="Byron")``."""
    return lambda **payload: create(**{"kind": "person", "given_name": "Ada", "family_name": "Lovelace", **payload})


@pytest.fixture
def organization(create):
    """Create an organization: ``organization("Acme")``."""
    return lambda name="Acme", **payload: create(kind="organization", display_name=name, **payload)


@pytest.fixture
def refused():
    """Return the errors by path with which a call is refused: ``refused(create, kind="person")``."""
    from crm_kernel.errors import InvalidInput

    def errors(call, *arguments, **options):
        with pytest.raises(InvalidInput) as caught:
            call(*arguments, **options)
        return caught.value.errors

    return errors


@pytest.fixture
def plans(crm_app):
    """Collect how the database would carry out each SELECT of a block: ``with plans() as found``; filled at its end."""
    from crm_kernel.database import db

    @contextmanager
    def collect():
        seen, found = [], []

        def note(_connection, _cursor, statement, parameters, *_rest):
            if statement.lstrip().startswith("SELECT"):
                seen.append((statement, parameters))

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        connection = db.session.connection()
        word = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        for statement, parameters in seen:
            lines = connection.exec_driver_sql(word + statement, parameters)
            found.append("\n".join(str(line[-1]) for line in lines))

    return collect


@pytest.fixture
def read_whole():
    """Return those plans that read one of the tables as a whole: ``read_whole(found, "customer")``."""

    def chosen(found, *tables):
        signs = [f"{word} {table}" for word in ("SCAN", "Seq Scan on") for table in tables]
        return [plan for plan in found if any(f"{sign} " in f"{line} " for line in plan.splitlines() for sign in signs)]

    return chosen
