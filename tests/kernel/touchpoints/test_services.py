"""Recording contacts: once each, checked, told without what was said."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.payloads import load_with
from crm_kernel.touchpoints.models import Interaction
from crm_kernel.touchpoints.schemas import InteractionSchema
from crm_kernel.touchpoints.services import change_interaction, delete_interaction, log_interaction


@pytest.fixture
def log(uow, customer):
    """Log a contact by the form's schema: ``log(kind="call", summary="…")``."""

    def by_form(**payload):
        data = load_with(InteractionSchema, {"customer": str(customer.uid), **payload})
        return log_interaction(uow, {**data, "customer_id": customer.id})

    return by_form


def test_a_contact_is_recorded_with_who_and_when_and_told_by_ids(uow, customer, contact):
    interaction = contact("  called about\nthe offer ", body="long talk")

    assert (interaction.summary, interaction.actor_name) == ("called about the offer", "system")
    event = uow.events[0]
    assert (event.interaction_id, event.customer_id, event.kind) == (interaction.uid, customer.uid, "call")
    assert "offer" not in str(event.to_json())


def test_a_contact_told_twice_is_stored_and_told_once(uow, contact):
    first, again = contact("one", external_ref="<1@mx>"), contact("two", external_ref="<1@mx>")
    other = contact("one", external_ref="<1@mx>", source_plugin="ema")

    assert again is first
    assert other is not first
    assert len(uow.events) == 2


def test_contacts_without_a_reference_are_all_different(uow, contact):
    assert contact("one").id != contact("one").id


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"channel": "pigeon"}, "channel"),
        ({"direction": "sideways"}, "direction"),
        ({"summary": " \n"}, "summary"),
        ({"subject_type": "sale"}, "subject"),
    ],
)
def test_a_wrong_contact_is_refused_by_field(uow, contact, options, path):
    with pytest.raises(InvalidInput) as caught:
        contact(**options)

    assert list(caught.value.errors) == [path]
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Interaction)).scalar() == 0


def test_a_logged_note_gets_its_usual_channel_direction_and_time(uow, log):
    note, call = log(kind="note", summary="likes tea"), log(kind="call", summary="rang", direction="in")

    assert (note.channel, note.direction, note.occurred_at) == ("other", "internal", uow.now)
    assert (call.channel, call.direction, call.source_plugin) == ("phone", "in", "kernel")


def test_a_time_without_a_zone_is_refused(log):
    with pytest.raises(InvalidInput) as caught:
        log(kind="note", summary="x", occurred_at="2026-03-01T12:00:00")

    assert list(caught.value.errors) == ["occurred_at"]


def test_what_was_logged_by_hand_can_be_corrected_and_deleted(uow, log):
    note = log(kind="note", summary="likes tea")

    change_interaction(uow, note, {"summary": "likes coffee", "occurred_at": uow.now - dt.timedelta(days=1)})
    assert note.summary == "likes coffee"

    delete_interaction(uow, note)
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Interaction)).scalar() == 0


def test_an_entry_stays_with_its_customer(uow, log):
    with pytest.raises(InvalidInput) as caught:
        change_interaction(uow, log(kind="note", summary="x"), {"customer_id": 99})

    assert list(caught.value.errors) == ["customer"]


def test_what_a_module_recorded_stays_as_it_was(uow, contact):
    recorded = contact("closed the ticket")

    with pytest.raises(Conflict, match="css"):
        change_interaction(uow, recorded, {"summary": "never happened"})
    with pytest.raises(Conflict, match="css"):
        delete_interaction(uow, recorded)
