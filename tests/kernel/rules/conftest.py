"""Rules over customers, made the way the API makes them, and a worker that runs what is due."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM
from crm_kernel.customers.models import Customer
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record, run_action, update_record
from crm_kernel.rules.models import RuleRun
from crm_kernel.testing.factories import detached

SET_NOTES = {"action": "kernel.set_field", "params": {"field": "notes", "value": "seen by the rule"}}


@pytest.fixture
def rule(unit, login):
    """Make an enabled rule: ``rule(actions=[…])``; follows new customers, as an administrator, unless told otherwise."""
    administrator = login("administrator", name="Ada Admin").user

    def make(*, as_=None, enabled=True, **values):
        payload = {
            "name": "Welcome",
            "record_type": "customer",
            "event": "kernel.customer_created",
            "actions": [SET_NOTES],
            **values,
        }
        with unit() as uow:
            actor = as_ if as_ is SYSTEM else actor_for(uow, uow.session.merge(as_ or administrator, load=False))
        with unit(actor) as uow:
            made = create_record(uow, record_type("rule"), payload)
            uow.session.flush()
            if enabled:
                run_action(
                    uow, record_type("rule"), made.uid, record_type("rule").action("enable"), {}, version=made.version
                )
            return detached(uow, made)

    return make


@pytest.fixture
def runs(unit):
    """List the log: ``runs()`` → outcomes with their reasons, oldest first."""

    def read(rule=None):
        with unit() as uow:
            query = sa.select(RuleRun).order_by(RuleRun.id)
            if rule is not None:
                query = query.where(RuleRun.rule_id == rule.id)
            return [
                SimpleNamespace(
                    outcome=r.outcome, reason=r.reason, details=r.details, record=r.record_uid, depth=r.causation_depth
                )
                for r in uow.session.scalars(query)
            ]

    return read


@pytest.fixture
def customer(unit):
    """Read a customer's columns again: ``customer(made).notes``."""

    def read(made):
        with unit() as uow:
            return detached(uow, uow.session.get(Customer, made.id))

    return read


@pytest.fixture
def change(unit):
    """Change a customer as the system: ``change(made, status="inactive")``."""

    def run(made, type_name="customer", **changes):
        with unit() as uow:
            version = uow.session.get(type(made), made.id).version
            update_record(uow, record_type(type_name), made.uid, changes, version=version)

    return run


@pytest.fixture
def past(factories):
    """Three firms and two people that were there before any rule."""
    return [factories.organization() for _ in range(3)], [factories.person() for _ in range(2)]
