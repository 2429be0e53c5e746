"""A rule that is carried out while somebody writes about one of its customers, on a database with several writers."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.models import Erasure, RetentionRule
from crm_kernel.customers.privacy.retention import create_rule, run_chunk
from crm_kernel.database import db
from crm_kernel.touchpoints.models import Interaction

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
CALL = {"channel": "phone", "direction": "in", "kind": "call", "actor_name": "R", "source_plugin": "kernel"}


@pytest.fixture
def waits(crm_app):
    """Say whether a transaction waits for a lock of another."""

    def look():
        with crm_app.app_context(), db.engine.connect() as connection:
            return bool(connection.scalar(sa.text(_WAITING)))

    return look


@pytest.fixture
def idle(unit, customer_factory):
    """Two firms of which nothing was heard for years."""
    made = {name: customer_factory(kind="organization", display_name=name).id for name in ("calling", "silent")}
    with unit() as uow:
        uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=1500)))
    return made


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("action", ["erase", "anonymise"])
def test_who_becomes_active_while_the_rule_waits_is_left_alone(unit, idle, waits, action):
    def carry_out():
        with unit() as uow:
            return run_chunk(uow, {})

    with unit() as uow:
        create_rule(uow, {"name": "three years", "months": 36, "action": action, "active": True})

    with ThreadPoolExecutor(1) as pool:
        with unit() as uow:
            uow.session.add(Interaction(customer_id=idle["calling"], summary="rang", occurred_at=uow.now, **CALL))
            uow.session.flush()
            running = pool.submit(carry_out)
            until = time.monotonic() + 10
            while not waits() and time.monotonic() < until:
                time.sleep(0.02)
            assert waits(), "the rule did not wait for the transaction in which somebody writes"
        running.result(timeout=10)

    with unit() as uow:
        assert uow.session.get(Customer, idle["calling"]).display_name == "calling"
        assert uow.session.scalars(sa.select(Interaction.summary)).all() == ["rang"]
        assert uow.session.scalars(sa.select(Erasure.customers)).all() == [1]
        assert uow.session.scalars(sa.select(RetentionRule.last_erased)).all() == [1]
