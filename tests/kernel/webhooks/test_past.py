"""What demo data did in the past is stored as it happened, and followed by no rule and no webhook."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel import past
from crm_kernel.access.actor import SYSTEM
from crm_kernel.customers.services import create_customer
from crm_kernel.errors import UnitOfWorkError
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.fanout import FAN_OUT
from crm_kernel.jobs.models import JobRow
from crm_kernel.rules.models import RUN

THEN = dt.datetime(2026, 1, 7, 9, tzinfo=dt.UTC)
ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}


@pytest.fixture
def followed(admin: Any, webhook: str) -> None:
    """A webhook and an enabled rule that follow new customers."""
    says = {"action": "kernel.set_field", "params": {"field": "notes", "value": "welcome"}}
    event = {"name": "Welcome", "record_type": "customer", "event": "kernel.customer_created", "actions": [says]}
    made = admin.post("/api/rules", event)
    enabled = admin.post(f"{made.headers['Location']}/enable", {}, If_Match=made.headers["ETag"])
    assert enabled.status_code == 200, enabled.text


@pytest.fixture
def followers(unit: Any) -> Any:
    """Count the jobs of the rule and of webhooks."""

    def count() -> dict[str, int]:
        with unit() as uow:
            names = uow.session.scalars(sa.select(JobRow.name).where(JobRow.name.in_((RUN, FAN_OUT)))).all()
        return {name: names.count(name) for name in set(names)}

    return count


def test_what_happened_in_the_past_is_stored_and_followed_by_no_rule_and_no_webhook(unit, followed, followers):
    before = followers()
    with unit() as uow, past(uow, THEN, SYSTEM):
        create_customer(uow, ADA)
        create_customer(uow, {**ADA, "given_name": "Augusta"})

    assert followers() == before
    with unit() as uow:
        stored = sa.select(StoredEvent.occurred_at).where(StoredEvent.name == "kernel.customer_created")
        assert uow.session.scalars(stored).all() == [THEN, THEN]


def test_what_the_same_unit_does_in_the_present_is_followed(unit, followed, followers):
    before = followers()
    with unit() as uow:
        create_customer(uow, ADA)
        with past(uow, THEN, SYSTEM):
            create_customer(uow, {**ADA, "given_name": "Augusta"})

    assert followers()[RUN] - before.get(RUN, 0) == 1
    assert followers()[FAN_OUT] - before.get(FAN_OUT, 0) == 1


@pytest.mark.parametrize("channel", ["web", "api", "import", "job"])
def test_only_demo_data_has_a_past(channel, unit):
    with unit(channel=channel) as uow, pytest.raises(UnitOfWorkError, match="expected crm demo load"):
        past(uow, THEN, SYSTEM).__enter__()
