"""A log of six sealed rows, and the ways to write, seal, check it and to reach past the application."""

from __future__ import annotations

import uuid
from contextlib import contextmanager

import pytest

from crm_kernel.access import audit_chain
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_chain.heads import head_of
from crm_kernel.database import db
from crm_kernel.unit_of_work import reading
from tests.kernel.access.audit_chain.sealed_log import ROWS


@pytest.fixture
def write(unit):
    """Leave audit rows, one transaction each: ``write(3)``."""

    def rows(count):
        for number in range(count):
            with unit() as uow:
                record_audit_many(uow, "note", "updated", [AuditRow(uuid.uuid4(), {"n": number}, {"n": number + 1})])

    return rows


@pytest.fixture
def seal(unit):
    """Seal everything there is and return how many rows."""
    return lambda: audit_chain.seal_all(unit)


@pytest.fixture
def check(app):
    """Verify the log: ``check(kept_head=…)``."""

    def verified(**options):
        with app.app_context(), reading(SYSTEM) as uow:
            return audit_chain.verify(uow, **options)

    return verified


@pytest.fixture
def tamper(app):
    """Reach into the database past the application, in one transaction: ``with tamper() as connection``."""

    @contextmanager
    def opened():
        with app.app_context(), db.engine.begin() as connection:
            yield connection

    return opened


@pytest.fixture
def head(app):
    """Export the head: ``head()``."""

    def exported():
        with app.app_context(), reading(SYSTEM) as uow:
            return audit_chain.exported_head(head_of(uow))

    return exported


@pytest.fixture
def sealed(write, seal):
    """Leave a log of six sealed rows."""
    write(ROWS)
    assert seal() == ROWS
