"""Consents, suppressions and purposes for tests, through the services."""

from __future__ import annotations

import datetime as dt

import pytest


@pytest.fixture
def purpose(uow):
    """Create a purpose: ``purpose("club", rule="opt_out")``."""
    from crm_kernel.customers.consent.models import Purpose

    def make(code, **values):
        found = Purpose(code=code, label=code.capitalize(), **values)
        uow.session.add(found)
        uow.session.flush()
        return found

    return make


@pytest.fixture
def say(uow):
    """Record a consent: ``say(customer, "given")``, ``say(customer, "withdrawn", channel="sms", days_ago=3)``."""
    from crm_kernel.customers.consent.ledger import Spoken, record_consent

    def record(customer, status, *, channel="email", purpose="marketing", days_ago=0, **values):
        captured = uow.now - dt.timedelta(days=days_ago)
        known = {name: values.pop(name) for name in ("external_ref", "contact_point", "confirms") if name in values}
        spoken = Spoken(**{"channel": channel, "purpose": purpose, "status": status, "captured_at": captured, **values})
        return record_consent(uow, customer, spoken, source="test", **known)

    return record


@pytest.fixture
def ask(uow):
    """Ask the gate: ``ask(customer)``, ``ask(customer, channel="sms", at=…)``."""
    from crm_kernel.customers.consent.gate import may_contact

    def verdict(customer, *, channel="email", purpose="marketing", at=None):
        return may_contact(uow, customer.uid, channel=channel, purpose=purpose, at=at)

    return verdict


@pytest.fixture
def ada(person):
    """A person with an e-mail address and a mobile number."""
    return person(
        contact_points=[
            {"channel": "email", "value": "ada@crm.test"},
            {"channel": "mobile", "value": "+33612345678"},
        ]
    )


@pytest.fixture
def default_region(crm_app, monkeypatch):
    """Complete telephone numbers for another country from now on: ``default_region("FR")``."""
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(crm_app)
    return lambda code: monkeypatch.setattr(runtime, "config", runtime.config.replace(default_region=code))
