"""What the tests of touch points share: a customer, and a short way to record contacts with it."""

from __future__ import annotations

import datetime as dt

import pytest

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def customer(uow):
    """A person of nobody's."""
    from crm_kernel.customers.services import create_customer

    found = create_customer(uow, {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"})
    uow.events.clear()
    return found


@pytest.fixture
def contact(uow, customer):
    """Record a contact: ``contact("called", minutes=5, external_ref="7")``; minutes count from noon."""
    from crm_kernel.touchpoints.services import record_interaction

    def record(summary="called", *, minutes=0, **options):
        usual = {"kind": "call", "channel": "phone", "direction": "out", "source_plugin": "css"}
        when = NOON + dt.timedelta(minutes=minutes)
        return record_interaction(uow, customer, summary=summary, occurred_at=when, **{**usual, **options})

    return record
