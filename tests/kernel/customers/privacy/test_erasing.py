"""Erasing a customer: nothing personal is left anywhere, what must stay stays, nobody else loses a row."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
import sqlalchemy as sa

from crm_kernel.access.audit_chain.sealing import seal_some
from crm_kernel.access.audit_chain.verifying import verify
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.customers.consent.models import Consent, Suppression
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.erasing import erase, erasure_plan
from crm_kernel.customers.privacy.holds import hold_customer, release_hold
from crm_kernel.customers.privacy.models import ErasedSubject, Erasure
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.touchpoints.models import Interaction

from .conftest import CANARIES, PERSON


def _erase(unit, customer, **options):
    with unit() as uow:
        return erase(uow, uow.session.get(Customer, customer.id), **options).entries


def test_no_table_holds_anything_personal_afterwards(unit, zanzi, everything):
    her, _friend = zanzi
    before = everything()
    assert all(any(canary in text for text in before.values()) for canary in CANARIES)

    _erase(unit, her)

    left = {
        (name, canary) for name, text in everything().items() for canary in CANARIES if canary.lower() in text.lower()
    }
    assert left == set()


@pytest.fixture
def mentioned(unit, zanzi):
    """What mentions her inside of values: a dead letter, a job that waits, an answer, a message, a custom field."""
    from crm_kernel.data_map.mentioned import note_mentioned
    from crm_kernel.events.inbound.models import MessageSubject, WebhookMessage, WebhookSource
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.events.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
    from crm_kernel.jobs.models import JobRow, JobState
    from crm_kernel.jobs.services import note_subjects
    from crm_kernel.records.custom_fields.services import add_field
    from crm_kernel.testing.people import add_user

    her, friend = zanzi
    with unit() as uow:
        add_field(uow, "customer", "cf_adviser", "reference", target="customer")
    with unit() as uow:
        uow.session.get(Customer, friend.id).custom = {"cf_adviser": her.id, "cf_other": "stays"}
        event = uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.customer_uid == her.uid)).first()
        user = add_user(uow, "manager")
        eyes = {"user_id": user.id, "secret": "x"}
        hook = WebhookEndpoint(name="x", url="https://hooks.example.org", events=[event.name], **eyes)
        source = WebhookSource(name="in", kind="x", scheme="standard", token="x", token_digest="x", **eyes)
        uow.session.add_all([hook, source])
        uow.session.flush()

        # As the kernel writes them: below the ORM, without an audit row.
        def put(model, **values):
            return uow.session.execute(sa.insert(model.__table__).values(**values)).inserted_primary_key[0]

        told = {"event_uid": event.uid, "event_name": event.name, "error": CANARIES[4]}
        sent = put(WebhookDelivery, webhook_id=hook.id, **told)
        put(WebhookAttempt, uid=uuid4(), delivery_id=sent, at=uow.now, answer=CANARIES[1])
        message = {"source_id": source.id, "message_id": "1", "content_type": "text/plain"}
        said = f"customer {her.uid}"
        became = put(WebhookMessage, body=CANARIES[0].encode(), result=said, **message)
        note_mentioned(uow.session, MessageSubject.__table__, became, said)
        common = {"module": "kernel", "error": CANARIES[4]}
        told = {"customer": str(her.uid), "text": CANARIES[0]}
        dead = JobRow(name="dead", payload=told, state=JobState.DEAD, **common)
        waiting = JobRow(name="waiting", payload={"customer": str(her.uid)}, **common)
        uow.session.add_all(
            [
                dead,
                waiting,
                JobRow(name="rule", partition=str(her.uid), payload={}, state=JobState.DEAD, **common),
                JobRow(name="delivery", event_id=event.id, state=JobState.DONE, **common),
                JobRow(name="theirs", payload={"text": "theirs"}, state=JobState.DEAD, module="kernel", error="theirs"),
            ]
        )  # fmt: skip
        uow.session.flush()
        for job in (dead, waiting):
            note_subjects(uow.session, job.id, job.payload)
    return her, friend


def test_what_mentions_her_inside_of_values_is_emptied_and_listed(unit, mentioned, everything):
    her, friend = mentioned
    with unit() as uow:
        planned = {(e.table, e.fate): e.rows for e in erasure_plan(uow, uow.session.get(Customer, her.id))}

    entries = {(e["table"], e["fate"]): e["rows"] for e in _erase(unit, her)}

    tables = everything()
    left = {(name, canary) for name, text in tables.items() for canary in CANARIES if canary in text}
    assert left == set()
    assert "theirs" in tables["job"]
    with unit() as uow:
        assert uow.session.get(Customer, friend.id).custom == {"cf_other": "stays"}
    expected = {
        ("job", "kept"): 1, ("webhook_attempt", "emptied"): 1, ("webhook_delivery", "emptied"): 1,
        ("webhook_message", "emptied"): 1, ("customer", "unlinked"): 1,
    }  # fmt: skip
    assert {place: entries.get(place) for place in expected} == expected
    assert {place: planned.get(place) for place in expected} == expected
    assert ("job", "emptied") in entries


def test_rows_of_a_module_whose_code_is_gone_go_too(unit, zanzi):
    her, _friend = zanzi

    entries = {(e["table"], e["fate"]): e for e in _erase(unit, her)}

    assert entries["gym_member", "erased"]["rows"] == entries["gym_visit", "erased"]["rows"] == 1
    assert entries["gym_sum", "anonymised"]["rows"] == 1
    assert entries["gym_member", "erased"]["module"] == "gym"
    with unit() as uow:
        run = uow.session.connection().exec_driver_sql
        assert run("SELECT locker FROM gym_member").all() == [("theirs",)]
        assert run("SELECT customer_id, guest, paid FROM gym_sum").all() == [(None, "–", 12)]


def test_nobody_else_loses_a_row(unit, zanzi):
    her, friend = zanzi

    _erase(unit, her)

    with unit() as uow:
        assert uow.session.get(Customer, friend.id).display_name == "Friendly Byron"
        about = uow.session.scalars(sa.select(Interaction)).one()
        assert (about.customer_id, about.subject_uid, about.subject_type) == (friend.id, None, None)
        assert uow.session.scalars(sa.select(Consent.customer_id)).all() == [friend.id]


def test_a_sale_counts_on_without_naming_anybody(unit, zanzi):
    her, _friend = zanzi

    entries = {(e["table"], e["fate"]): e for e in _erase(unit, her)}

    with unit() as uow:
        sale = uow.session.scalars(sa.select(Sale)).one()
        assert (sale.customer_id, sale.amount, sale.custom) == (None, 100, None)
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(SaleLine)) == 1
    assert entries["sale", "anonymised"]["why"] == "accounting"


def test_the_plan_says_what_the_receipt_will_say(unit, zanzi):
    her, _friend = zanzi
    with unit() as uow:
        planned = {(e.table, e.fate): e.rows for e in erasure_plan(uow, uow.session.get(Customer, her.id))}

    done = {(e["table"], e["fate"]): e["rows"] for e in _erase(unit, her)}

    # What suppresses her addresses is written by the erasure itself.
    assert {key: rows for key, rows in done.items() if not key[0].startswith("suppression")} == planned


def test_the_receipt_names_nobody(unit, zanzi):
    her, _friend = zanzi
    _erase(unit, her)

    with unit() as uow:
        receipt = uow.session.scalars(sa.select(Erasure)).one()
        text = json.dumps(receipt.entries)
        assert str(her.uid) not in text
        assert (receipt.customers, receipt.reason, receipt.recorded_by) == (1, "request", "system")
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(ErasedSubject)) == 1


def test_the_log_still_verifies_and_keeps_who_did_what(unit, zanzi):
    her, _friend = zanzi
    with unit() as uow:
        seal_some(uow)
        rows = uow.session.scalar(
            sa.select(sa.func.count()).select_from(AuditLog).where(AuditLog.record_uid == her.uid)
        )

    _erase(unit, her)

    with unit() as uow:
        kept = uow.session.scalars(sa.select(AuditLog.uid).where(AuditLog.record_uid == her.uid)).all()
        payloads = uow.session.scalars(sa.select(AuditPayload.after).where(AuditPayload.audit_uid.in_(kept))).all()
        assert len(kept) == rows + 1
        assert [set(after) for after in payloads] == [{"receipt"}]
    with unit() as uow:
        found = verify(uow)
        assert (found.found, found.erased > 0) == (0, True)


def test_an_address_that_comes_back_is_still_suppressed(unit, zanzi, customer_factory, api):
    her, _friend = zanzi
    _erase(unit, her)

    again = customer_factory(**{**PERSON, "notes": None})

    answer = api("administrator").get(f"/api/customers/{again.uid}/may-contact", channel="email", purpose="service")
    assert answer.json["reason"] == "suppressed"
    with unit() as uow:
        assert set(uow.session.scalars(sa.select(Suppression.reason))) == {"erased"}


def test_a_legal_hold_refuses_with_its_reason_until_it_is_released(unit, zanzi, everything):
    her, _friend = zanzi
    with unit() as uow:
        hold = hold_customer(uow, {"customer_id": her.id, "reason": "Lawsuit 12/345"})
        hold_id = hold.id
    before = everything()

    with pytest.raises(Conflict, match="Lawsuit 12/345"):
        _erase(unit, her)

    assert everything() == before
    with unit() as uow:
        release_hold(uow, uow.session.get(type(hold), hold_id))
    assert _erase(unit, her)


def test_those_merged_into_a_customer_go_with_it_and_not_by_themselves(unit, zanzi, customer_factory):
    her, _friend = zanzi
    gone = customer_factory(**{**PERSON, "contact_points": [], "identifiers": []})
    with unit() as uow:
        uow.session.get(Customer, gone.id).merged_into_id = her.id

    with pytest.raises(Conflict, match="merged"):
        _erase(unit, gone)
    _erase(unit, her)

    with unit() as uow:
        assert uow.session.scalars(sa.select(Customer.display_name)).all() == ["Friendly Byron"]
        assert uow.session.scalars(sa.select(Erasure.customers)).one() == 2


def test_who_is_in_a_social_network_can_be_erased(unit, customer_factory):
    names = [{"channel": "social", "value": name} for name in ("jane.doe", "@jane", "jane@mastodon.social")]
    her = customer_factory(contact_points=names)

    entries = {(e["table"], e["fate"]): e["rows"] for e in _erase(unit, her)}

    assert (entries["customer", "erased"], entries["suppression", "kept"]) == (1, 3)


def test_an_unknown_reason_is_refused(unit, zanzi):
    with pytest.raises(InvalidInput):
        _erase(unit, zanzi[0], reason="because")
