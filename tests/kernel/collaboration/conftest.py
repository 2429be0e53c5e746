"""What the tests of working together share: a customer somebody owns, and colleagues."""

from __future__ import annotations

import pytest


@pytest.fixture
def acme(factories):
    """An organization that nobody owns."""
    return factories.organization(display_name="Acme")


@pytest.fixture
def owned(unit):
    """Make a customer of a user's: ``owned(user, "Secret Ltd")``."""
    from crm_kernel.customers.services import create_customer
    from crm_kernel.testing.factories import detached

    def make(user, name="Secret Ltd"):
        with unit() as uow:
            data = {"kind": "organization", "display_name": name, "owner_id": user.id}
            return detached(uow, create_customer(uow, data))

    return make


@pytest.fixture
def write(acme):
    """Write a note by the API: ``write(client, "text")`` → the answer."""

    def post(client, body, record=acme, **other):
        about = {"subject_type": "customer", "subject_id": str(record.uid)}
        return client.post("/api/notes", {**about, "body": body, **other})

    return post


@pytest.fixture
def told():
    """Read what a client's user is told: ``told(client)`` → texts, newest first."""

    def read(client):
        return [item["text"] for item in client.get("/api/notifications").json["items"]]

    return read
