"""A webhook whose address is down: what waits for it costs nothing until it may be asked again, and is not lost."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from crm_kernel.events.webhooks.models import WebhookDelivery, WebhookEndpoint
from crm_kernel.jobs.models import JobRow

ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}
DOWN = "http://127.0.0.1:1/hook"


def _rested(unit, failing=0):
    """Let the address's rest be over now; it has been failing for so many minutes."""
    with unit() as uow:
        rest = uow.session.scalars(sa.select(WebhookEndpoint.rest_until)).one()
        sends = JobRow.name == "kernel.webhook_send"
        uow.session.execute(
            sa.update(WebhookEndpoint).values(rest_until=uow.now, failing_since=uow.now - dt.timedelta(minutes=failing))
        )
        uow.session.execute(sa.update(JobRow).where(sends, JobRow.run_at <= rest).values(run_at=uow.now))


def _sends(unit):
    with unit() as uow:
        return len(uow.session.scalars(sa.select(JobRow.id).where(JobRow.name == "kernel.webhook_send")).all())


def test_what_waits_for_an_address_that_is_down_is_not_begun_again_and_again(admin, webhook, deliver_events, unit):
    admin.patch(webhook, {"url": DOWN})
    for _number in range(5):
        admin.post("/api/customers", ADA)
    deliver_events()
    before = _sends(unit)

    for _time in range(3):
        _rested(unit)
        deliver_events()

    # One job more for each of the three times that it was knocked at.
    assert _sends(unit) - before == 3


def test_what_comes_while_an_address_rests_keeps_its_job(admin, webhook, deliver_events, unit, deliveries):
    admin.patch(webhook, {"url": DOWN})
    admin.post("/api/customers", ADA)
    deliver_events()
    before = _sends(unit)

    admin.post("/api/customers", ADA)
    deliver_events()

    assert _sends(unit) - before == 1
    with unit() as uow:
        rest = uow.session.scalars(sa.select(WebhookEndpoint.rest_until)).one()
    assert deliveries()[-1].next_at == rest


def test_the_longer_an_address_is_down_the_longer_it_rests(admin, webhook, deliver_events, unit):
    admin.patch(webhook, {"url": DOWN})
    for _number in range(4):
        admin.post("/api/customers", ADA)
    deliver_events()
    rests = []

    for minutes in (0, 20, 600):
        _rested(unit, failing=minutes)
        deliver_events()
        with unit() as uow:
            rests.append(
                round((uow.session.scalars(sa.select(WebhookEndpoint.rest_until)).one() - uow.now).seconds / 60)
            )

    assert rests == [1, 20, 60]


def test_what_waited_is_sent_when_the_address_is_back(admin, webhook, receiver, deliver_events, unit, deliveries):
    admin.patch(webhook, {"url": DOWN})
    for _number in range(3):
        admin.post("/api/customers", ADA)
    deliver_events()
    admin.patch(webhook, {"url": receiver.url})

    with unit() as uow:
        uow.session.execute(sa.update(JobRow).where(JobRow.run_at > uow.now).values(run_at=uow.now))
        uow.session.execute(sa.update(WebhookEndpoint).values(rest_until=uow.now))
    deliver_events()

    created = [delivery.state for delivery in deliveries() if delivery.event_name == "kernel.customer_created"]
    assert created == ["delivered"] * 3


def test_the_log_of_deliveries_counts_no_attempt_that_was_not_made(admin, webhook, deliver_events, unit):
    admin.patch(webhook, {"url": DOWN})
    for _number in range(3):
        admin.post("/api/customers", ADA)

    deliver_events()

    with unit() as uow:
        attempts = uow.session.scalars(sa.select(WebhookDelivery.attempts)).all()
    assert sum(attempts) == 1
