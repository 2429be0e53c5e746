"""A delivery that cannot be written or signed: it counts as an attempt, ends as any other, and can be asked for anew."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.events.webhooks import sending
from crm_kernel.events.webhooks.expiry import expire_deliveries
from crm_kernel.events.webhooks.models import WebhookDelivery, WebhookEndpoint
from crm_kernel.jobs.models import JobRow, JobState

ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}


@pytest.fixture
def unreadable(unit, webhook):
    """Let the webhook's secret be one that was kept with another key."""
    with unit() as uow:
        uow.session.execute(sa.update(WebhookEndpoint).values(secret="kept with another key"))
    return webhook


def test_a_secret_that_cannot_be_read_is_said_and_tried_again(admin, unreadable, receiver, deliver_events, deliveries):
    admin.post("/api/customers", ADA)

    deliver_events()

    (delivery,) = deliveries()
    assert (delivery.state, delivery.attempts, receiver.received) == ("waiting", 1, [])
    assert "secret cannot be read" in delivery.error
    assert delivery.next_at is not None


def test_with_a_new_secret_it_is_sent(admin, unreadable, receiver, deliver_events, deliveries, unit):
    admin.post("/api/customers", ADA)
    deliver_events()

    rotated = admin.post(f"{unreadable}/secret", {"replace": True})
    with unit() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.state == JobState.READY).values(run_at=uow.now))
    deliver_events()

    assert rotated.status_code == 200, rotated.text
    assert [delivery.state for delivery in deliveries()] == ["delivered"]


def test_a_message_that_cannot_be_written_counts_as_an_attempt(
    admin, webhook, receiver, deliver_events, deliveries, monkeypatch
):
    def fail(*_arguments, **_options):
        raise LookupError("something private")

    monkeypatch.setattr(sending, "envelope_of", fail)
    admin.post("/api/customers", ADA)

    deliver_events()

    (delivery,) = deliveries()
    assert (delivery.state, delivery.attempts, receiver.received) == ("waiting", 1, [])
    assert delivery.error == "the message cannot be written: LookupError, see the log of the server"


@pytest.mark.parametrize(("state", "status"), [(JobState.DEAD, 200), (JobState.READY, 409)])
def test_what_waits_is_sent_again_where_no_job_is_left_for_it(
    admin, webhook, receiver, deliver_events, deliveries, unit, state, status
):
    receiver.answer = lambda _request: (500, {}, b"")
    admin.post("/api/customers", ADA)
    deliver_events()
    path = f"/api/webhook-deliveries/{deliveries()[0].uid}"
    with unit() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.state == JobState.READY).values(state=state))

    answer = admin.post(f"{path}/replay", {}, If_Match=admin.etag(path))

    assert answer.status_code == status, answer.text


def test_what_nobody_will_try_goes_with_the_log(admin, webhook, receiver, deliver_events, deliveries, unit):
    receiver.answer = lambda _request: (500, {}, b"")
    admin.post("/api/customers", ADA)
    admin.post("/api/customers", ADA)
    deliver_events()
    with unit() as uow:
        long_ago = uow.now - dt.timedelta(days=400)
        uow.session.execute(sa.update(WebhookDelivery).values(created_at=long_ago))
        left = sa.select(sa.func.min(WebhookDelivery.id)).scalar_subquery()
        uow.session.execute(sa.update(WebhookDelivery).where(WebhookDelivery.id == left).values(next_at=long_ago))

    with unit() as uow:
        expire_deliveries(uow, {})

    assert len(deliveries()) == 1
