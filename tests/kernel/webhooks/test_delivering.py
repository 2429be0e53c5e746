"""From a change to a signed message at another system, and what follows when it does not take it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook, WebhookVerificationError

from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.events.webhooks.models import WebhookAttempt, WebhookEndpoint
from crm_kernel.jobs.models import JobRow, JobState

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:standardwebhooks")

ADA = {"kind": "person", "family_name": "Lovelace", "given_name": "Ada"}


@pytest.fixture
def later(unit: Any) -> Any:
    """Make everything due now that waits for a later time."""

    def run() -> None:
        with unit() as uow:
            uow.session.execute(sa.update(JobRow).where(JobRow.state == JobState.READY).values(run_at=uow.now))
            uow.session.execute(sa.update(WebhookEndpoint).values(rest_until=None))

    return run


def secret_of(admin: Any, webhook: str, **body: Any) -> str:
    return admin.post(f"{webhook}/secret", body).json["secret"]


def test_an_event_arrives_as_a_signed_cloud_event(admin, webhook, receiver, deliver_events, deliveries):
    customer = admin.post("/api/customers", ADA).json

    deliver_events()

    (message,) = receiver.received
    verified = Webhook(secret_of(admin, webhook)).verify(message.body, message.headers)
    assert verified["specversion"] == "1.0"
    assert (verified["type"], verified["subject"]) == ("kernel.customer_created", customer["id"])
    assert verified["data"] == {"customer_id": customer["id"], "kind": "person"}
    assert verified["id"] == message.headers["webhook-id"]
    assert message.headers["content-type"] == "application/cloudevents+json"
    assert "Lovelace" not in message.body.decode()
    (delivery,) = deliveries()
    assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 1, 200)


def test_a_body_that_was_changed_on_its_way_is_found_out(admin, webhook, receiver, deliver_events):
    admin.post("/api/customers", ADA)
    deliver_events()
    (message,) = receiver.received

    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(admin, webhook)).verify(message.body.replace(b"person", b"persox"), message.headers)


def test_the_record_is_sent_along_where_it_is_asked_for(admin, webhook, receiver, deliver_events):
    admin.patch(webhook, {"with_record": True})
    customer = admin.post("/api/customers", ADA).json

    deliver_events()

    record = receiver.received[-1].json["data"]["record"]
    assert (record["type"], record["id"], record["family_name"]) == ("customer", customer["id"], "Lovelace")
    assert not {"owner_id", "team_id", "uid"} & record.keys()


def test_while_a_secret_is_replaced_both_sign(admin, webhook, receiver, deliver_events):
    old = secret_of(admin, webhook)
    new = secret_of(admin, webhook, replace=True)
    admin.post("/api/customers", ADA)

    deliver_events()

    (message,) = receiver.received
    assert old != new
    assert len(message.headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        assert Webhook(secret).verify(message.body, message.headers)


def test_only_events_it_waits_for_are_sent(admin, webhook, receiver, deliver_events):
    admin.patch(webhook, {"events": ["kernel.customer_updated"]})
    customer = admin.post("/api/customers", ADA)
    admin.patch(customer.headers["Location"], {"notes": "x"})

    deliver_events()

    assert [message.json["type"] for message in receiver.received] == ["kernel.customer_updated"]


def test_a_filter_lets_only_events_about_fitting_customers_through(admin, webhook, receiver, deliver_events):
    admin.patch(webhook, {"filter": '{"field": "kind", "op": "eq", "value": "organization"}'})
    admin.post("/api/customers", ADA)
    firm = admin.post("/api/customers", {"kind": "organization", "display_name": "Acme"}).json

    deliver_events()

    assert [message.json["subject"] for message in receiver.received] == [firm["id"]]


def test_without_a_webhook_an_event_enqueues_nothing(admin, unit):
    admin.post("/api/customers", ADA)

    with unit() as uow:
        names = uow.session.scalars(sa.select(JobRow.name).where(JobRow.name.startswith("kernel.webhook"))).all()
    assert names == []


@pytest.mark.parametrize("status", [500, 404, 302, 429, 503])
def test_what_is_not_taken_is_tried_again_under_the_same_id(
    admin, webhook, receiver, deliver_events, deliveries, later, status
):
    answers = iter([(status, {"Location": "http://127.0.0.1:1/"}, b"no"), (204, {}, b"")])
    receiver.answer = lambda _request: next(answers)
    admin.post("/api/customers", ADA)

    deliver_events()
    waiting = deliveries()[0]
    later()
    deliver_events()

    assert (waiting.state, waiting.attempts, waiting.error) == ("waiting", 1, f"answered {status}")
    assert len(receiver.received) == 2
    assert len({message.headers["webhook-id"] for message in receiver.received}) == 1
    assert (deliveries()[0].state, deliveries()[0].attempts) == ("delivered", 2)


def test_after_ten_attempts_over_three_days_it_has_failed(
    admin, webhook, receiver, deliver_events, deliveries, later, unit
):
    receiver.answer = lambda _request: (500, {}, b"")
    admin.post("/api/customers", ADA)
    waited = dt.timedelta()

    for _attempt in range(20):
        deliver_events()
        delivery = deliveries()[0]
        if delivery.next_at is not None:
            waited += delivery.next_at - delivery.updated_at
        later()

    assert (delivery.state, delivery.attempts, len(receiver.received)) == ("failed", 10, 10)
    # The specification's own schedule takes 75 hours and 35 minutes; each pause is up to a fifth longer.
    assert dt.timedelta(hours=75) < waited < dt.timedelta(hours=91)
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(WebhookAttempt)) == 10


def test_an_address_that_is_gone_is_asked_once_and_switched_off(
    admin, webhook, receiver, deliver_events, deliveries, endpoint, recorded_events, unit
):
    receiver.answer = lambda _request: (410, {}, b"")
    admin.post("/api/customers", ADA)

    deliver_events()

    assert (deliveries()[0].state, len(receiver.received)) == ("failed", 1)
    assert (endpoint().enabled, endpoint().disabled_reason) == (False, "gone")
    assert [event.reason for event in recorded_events("kernel.webhook_disabled")] == ["gone"]
    with unit() as uow:
        told = uow.session.scalars(sa.select(Notification)).one()
        assert (told.kind, told.user_id) == ("kernel.webhook_switched_off", admin.user.id)


def test_after_days_of_failures_it_is_switched_off(admin, webhook, receiver, deliver_events, endpoint, unit, later):
    receiver.answer = lambda _request: (500, {}, b"")
    admin.post("/api/customers", ADA)
    deliver_events()
    assert endpoint().enabled
    with unit() as uow:
        since = uow.now - dt.timedelta(days=6)
        uow.session.execute(sa.update(WebhookEndpoint).values(failing_since=since))

    later()
    deliver_events()

    assert (endpoint().enabled, endpoint().disabled_reason) == (False, "failing")
    admin.post(f"{webhook}/enable", {}, If_Match=admin.etag(webhook))
    assert (endpoint().enabled, endpoint().failing_since) == (True, None)


def test_a_success_ends_the_time_of_failures(admin, webhook, receiver, deliver_events, endpoint, later):
    answers = iter([(500, {}, b""), (200, {}, b"")])
    receiver.answer = lambda _request: next(answers)
    admin.post("/api/customers", ADA)
    deliver_events()
    failing = endpoint().failing_since
    later()

    deliver_events()

    assert failing is not None
    assert endpoint().failing_since is None


def test_an_overloaded_address_is_left_alone_as_long_as_it_asks(
    admin, webhook, receiver, deliver_events, deliveries, endpoint
):
    receiver.answer = lambda _request: (429, {"Retry-After": "600"}, b"")
    for _number in range(3):
        admin.post("/api/customers", ADA)

    deliver_events()

    # One was enough to find out; the others wait without an attempt.
    assert len(receiver.received) == 1
    assert sorted(delivery.attempts for delivery in deliveries()) == [0, 0, 1]
    assert all(delivery.next_at >= endpoint().rest_until - dt.timedelta(seconds=1) for delivery in deliveries())


def test_nobody_answering_is_noted_and_tried_again(admin, webhook, receiver, deliver_events, deliveries):
    admin.patch(webhook, {"url": "http://127.0.0.1:1/hook"})
    admin.post("/api/customers", ADA)

    deliver_events()

    (delivery,) = deliveries()
    assert (delivery.state, delivery.attempts, delivery.status) == ("waiting", 1, None)
    assert "refused" in delivery.error.lower()


def test_a_long_answer_is_kept_in_part(admin, webhook, receiver, deliver_events, unit):
    receiver.answer = lambda _request: (500, {}, b"x" * 1_000_000)
    admin.post("/api/customers", ADA)

    deliver_events()

    with unit() as uow:
        assert len(uow.session.scalars(sa.select(WebhookAttempt.answer)).one()) == 2000


def test_a_test_arrives(admin, webhook, receiver, deliver_events):
    asked = admin.post(f"{webhook}/test", {}, If_Match=admin.etag(webhook))

    deliver_events()

    assert asked.status_code == 200, asked.text
    assert receiver.received[-1].json["type"] == "kernel.webhook_ping"


def test_a_delivery_is_sent_again_under_its_id(admin, webhook, receiver, deliver_events, deliveries):
    admin.post("/api/customers", ADA)
    deliver_events()
    path = f"/api/webhook-deliveries/{deliveries()[0].uid}"

    answer = admin.post(f"{path}/replay", {}, If_Match=admin.etag(path))
    deliver_events()

    assert answer.status_code == 200, answer.text
    assert len({message.headers["webhook-id"] for message in receiver.received}) == 1
    assert len(receiver.received) == 2
    assert len(admin.get(path).json["tries"]) == 2


def test_what_it_missed_is_sent_and_what_it_has_is_not(admin, webhook, receiver, deliver_events, unit):
    admin.post("/api/customers", ADA)
    deliver_events()
    admin.post(f"{webhook}/disable", {}, If_Match=admin.etag(webhook))
    missed = admin.post("/api/customers", {**ADA, "family_name": "Byron"}).json
    deliver_events()
    admin.post(f"{webhook}/enable", {}, If_Match=admin.etag(webhook))
    since = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()

    answer = admin.post(f"{webhook}/replay", {"since": since}, If_Match=admin.etag(webhook))
    deliver_events()

    assert answer.status_code == 200, answer.text
    subjects = [message.json.get("subject") for message in receiver.received]
    assert (len(subjects), subjects[-1]) == (2, missed["id"])


def test_a_delivery_waits_for_nobody_else(admin, receiver, deliver_events, webhook):
    """A webhook whose address refuses everything changes nothing for another one."""
    admin.post("/api/webhooks", {"name": "Dead", "url": "http://127.0.0.1:1/", "events": ["*"]})
    for _number in range(3):
        admin.post("/api/customers", ADA)

    deliver_events()

    created = [message for message in receiver.received if message.json["type"] == "kernel.customer_created"]
    assert len(created) == 3


def test_the_address_an_event_names_is_a_uuid_and_never_a_key(admin, webhook, receiver, deliver_events):
    admin.post("/api/customers", ADA)

    deliver_events()

    data = receiver.received[-1].json["data"]
    assert uuid.UUID(data["customer_id"])
    assert not any(isinstance(value, int) for value in data.values())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://127.0.0.1/hook", "not a public address"),
        ("https://2130706433/hook", "not a public address"),
        ("https://[::ffff:10.0.0.1]/hook", "not a public address"),
        ("http://hooks.example.com/hook", "only https"),
        ("https://hooks.example.com:2525/hook", "2525"),
        ("https://a..b/hook", "Not a web address"),
        (f"https://{'a' * 64}.example/hook", "Not a web address"),
    ],
)
def test_an_address_that_no_request_may_go_to_is_refused_when_it_is_given(admin, configure, url, said):
    configure(outbound_trusted_networks=())

    answer = admin.post("/api/webhooks", {"name": "Sink", "url": url, "events": ["*"]})

    assert answer.status_code == 422
    assert said in answer.json["errors"]["url"][0]
    assert admin.get("/api/webhooks").json["items"] == []


def test_a_name_is_taken_since_what_it_stands_for_is_checked_when_it_is_dialled(admin, configure):
    configure(outbound_trusted_networks=())

    made = admin.post("/api/webhooks", {"name": "Sink", "url": "https://hooks.example.com/hook", "events": ["*"]})

    assert made.status_code == 201
