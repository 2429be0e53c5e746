"""Messages whose job is dead or was cancelled: somebody lets them be handled again, and they go when they are old."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.events.inbound.handling import expire_messages
from crm_kernel.events.inbound.models import WebhookMessage
from crm_kernel.events.inbound.storing import HANDLE
from crm_kernel.jobs.models import JobRow, JobState

BODY = b'{"customer": {"kind": "person", "family_name": "Lovelace"}}'


@pytest.fixture
def message(admin, client):
    """Receive a message; the address of it."""
    own = admin.post("/api/webhook-sources", {"name": "Site", "scheme": "none"}).headers["Location"]
    url = admin.post(f"{own}/secret").json["url"]
    assert client.post(url, data=BODY, headers={"Content-Type": "application/json"}).status_code == 202
    return f"/api/webhook-messages/{admin.get('/api/webhook-messages').json['items'][0]['id']}"


@pytest.fixture
def end_job(unit):
    """Let the job of the message have come to an end: ``end_job(JobState.DEAD)``."""

    def end(state):
        with unit() as uow:
            uow.session.execute(sa.update(JobRow).where(JobRow.name == HANDLE).values(state=state))

    return end


@pytest.mark.parametrize("state", [JobState.DEAD, JobState.CANCELLED])
def test_a_message_whose_job_is_over_is_handled_again(message, end_job, admin, deliver_events, unit, state):
    end_job(state)

    answer = admin.post(f"{message}/retry", {}, If_Match=admin.etag(message))
    deliver_events()

    assert answer.status_code == 200, answer.text
    assert admin.get(message).json["state"] == "done"
    with unit() as uow:
        assert uow.session.scalars(sa.select(Customer.display_name)).all() == ["Lovelace"]


def test_a_message_whose_job_still_waits_is_left_to_it(message, admin, deliver_events):
    answer = admin.post(f"{message}/retry", {}, If_Match=admin.etag(message))

    assert answer.status_code == 409
    assert "still waits" in answer.json["detail"]


def test_an_old_message_goes_though_nobody_handled_it(message, end_job, unit):
    end_job(JobState.DEAD)
    with unit() as uow:
        uow.session.execute(sa.update(WebhookMessage).values(created_at=uow.now - dt.timedelta(days=31)))

    with unit() as uow:
        expire_messages(uow, {})

    with unit() as uow:
        assert uow.session.scalars(sa.select(WebhookMessage.id)).all() == []
