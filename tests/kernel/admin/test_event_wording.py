"""Events in words: what they are called in lists and forms, and what their page says of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from flask import current_app

from crm_kernel.customers.events import CustomersMerged
from crm_kernel.events import Event
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.wording import event_choice, event_label, field_label_of, label_of
from crm_kernel.web.admin.event_facts import told_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOpened(Event):
    """A door was opened, and nobody gave that a label."""

    name: ClassVar[str] = "toy.door_opened"
    door_number: int


@pytest.fixture
def stored(unit, factories):
    """Keeps an event of a customer → the facts its page tells."""
    ada = factories.person(given_name="Ada", family_name="Lovelace")

    def told(name, **payload):
        with unit() as uow, current_app.test_request_context():
            event = StoredEvent(name=name, version=1, payload={"customer_id": str(ada.uid), **payload})
            return {fact["label"]: fact for fact in told_fields(uow, event)}

    return told


def test_an_event_is_called_by_its_label_and_offered_with_its_code(unit):
    with unit():
        assert event_label("kernel.customers_merged") == "Customers merged"
        assert event_choice(CustomersMerged) == "Customers merged (kernel.customers_merged)"


def test_an_event_without_a_label_is_called_by_its_class(unit):
    with unit():
        assert label_of(DoorOpened) == "Door opened"
        assert field_label_of(DoorOpened, "door_number") == "Door number"


def test_an_event_whose_module_is_gone_keeps_its_name(unit):
    with unit():
        assert event_label("gone.happened") == "gone.happened"


def test_the_record_an_event_names_is_told_by_its_title(stored):
    facts = stored("kernel.customer_created", kind="person")

    assert facts["Customer"]["text"] == "Ada Lovelace"
    assert facts["Customer"]["url"].startswith("/customers/")
    assert facts["Kind"]["text"] == "Person"


def test_changed_fields_are_told_by_their_labels(stored):
    assert stored("kernel.customer_updated", changed="owner,relationships")["What changed"]["text"] == (
        "Owner, relationships"
    )


def test_a_payload_that_does_not_fit_is_told_as_it_is(stored):
    assert stored("kernel.customer_created", kind=7)["Kind"]["text"] == "7"
    assert stored("gone.happened", what="rain")["What"]["text"] == "rain"


def test_lists_and_forms_say_the_label(admin, factories):
    factories.person(given_name="Ada", family_name="Lovelace")

    assert ">Customer created</a>" in admin.get("/admin/events").text
    assert "Customer created (kernel.customer_created)" in admin.get("/rules/new").text
    assert "<span>Customer created <code>kernel.customer_created</code></span>" in admin.get("/webhooks/new").text
