"""A rule sends a record to one webhook: signed and tried again as any message, and never more than its user may read."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from crm_kernel.events.webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:standardwebhooks")

ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}


@pytest.fixture
def quiet(admin, receiver):
    """The address of a webhook that waits for no customer's event and is sent the record."""
    sent = {"name": "Rules only", "url": receiver.url, "events": ["kernel.webhook_disabled"], "with_record": True}
    made = admin.post("/api/webhooks", sent)
    assert made.status_code == 201, made.text
    return made.headers["Location"]


@pytest.fixture
def rule(admin):
    """Make and enable a rule that sends new customers to a webhook: ``rule(address)``."""

    def make(webhook):
        action = {"action": "kernel.send_webhook", "params": {"webhook": admin.get(webhook).json["id"]}}
        values = {"name": "Tell", "record_type": "customer", "event": "kernel.customer_created", "actions": [action]}
        made = admin.post("/api/rules", values)
        assert made.status_code == 201, made.text
        path = made.headers["Location"]
        enabled = admin.post(f"{path}/enable", {}, If_Match=admin.etag(path))
        assert enabled.status_code == 200, enabled.text
        return path

    return make


def test_the_record_arrives_signed_at_the_one_webhook(admin, quiet, rule, receiver, deliver_events, deliveries):
    other = admin.post("/api/webhooks", {"name": "All", "url": receiver.url + "/all", "events": ["*"]})
    rule(quiet)
    customer = admin.post("/api/customers", ADA).json

    deliver_events()

    assert other.status_code == 201
    (message,) = [sent for sent in receiver.received if sent.json["type"] == "kernel.record_signalled"]
    secret = admin.post(f"{quiet}/secret", {}).json["secret"]
    told = Webhook(secret).verify(message.body, message.headers)
    assert message.path == "/hook"
    assert (told["subject"], told["data"]["record_type"]) == (customer["id"], "customer")
    assert (told["data"]["record"]["id"], told["data"]["record"]["family_name"]) == (customer["id"], "Lovelace")
    assert [d.state for d in deliveries() if d.event_name == "kernel.record_signalled"] == ["delivered"]


def test_a_receiver_that_fails_is_tried_again(admin, quiet, rule, receiver, deliver_events, deliveries):
    receiver.answer = lambda _request: (500, {}, b"no")
    rule(quiet)
    admin.post("/api/customers", ADA)

    deliver_events()

    (delivery,) = deliveries()
    assert (delivery.state, delivery.attempts, delivery.status) == ("waiting", 1, 500)
    assert delivery.next_at is not None


def test_nothing_is_sent_of_what_the_webhooks_user_does_not_see(
    api, quiet, rule, admin, receiver, deliver_events, deliveries
):
    small = api(grants={"webhook.read": "all", "webhook.update": "all", "customer.read": "own"})
    changed = small.patch(quiet, {"url": receiver.url + "/small"}, If_Match=admin.etag(quiet))
    path = rule(quiet)
    admin.post("/api/customers", ADA)

    deliver_events()

    assert changed.status_code == 200, changed.text
    assert [run["outcome"] for run in admin.get(f"{path}/runs").json["items"]] == ["done"]
    assert receiver.received == []
    assert [d for d in deliveries() if d.state == "delivered"] == []


def test_a_webhook_that_is_off_is_named_in_the_log_of_the_rule(admin, quiet, rule, deliver_events, receiver):
    path = rule(quiet)
    off = admin.patch(quiet, {"enabled": False})
    admin.post("/api/customers", ADA)

    deliver_events()

    assert off.status_code == 200, off.text
    (run,) = admin.get(f"{path}/runs").json["items"]
    assert (run["outcome"], run["why"]) == ("failed", "Conflict: The webhook is switched off: switch it on first.")
    assert receiver.received == []


def test_a_rule_names_no_webhook_that_its_author_does_not_see(admin):
    action = {"action": "kernel.send_webhook", "params": {"webhook": "01990000-0000-7000-8000-0000000000ff"}}
    values = {"name": "Tell", "record_type": "customer", "event": "kernel.customer_created", "actions": [action]}

    answer = admin.post("/api/rules", values)

    assert answer.status_code == 422
    assert "There is no webhook with the id" in answer.text


def test_what_a_rule_sends_is_no_event_to_wait_for_and_a_webhook_that_names_it_stays_readable(
    admin, quiet, receiver, unit, login
):
    sent = {"name": "Signals", "url": receiver.url, "events": ["kernel.record_signalled"]}
    browser = login("administrator")

    refused = admin.post("/api/webhooks", sent)
    form = browser.get("/webhooks/new").text
    with unit() as uow:
        uow.session.execute(sa.update(WebhookEndpoint).values(events=["kernel.record_signalled"]))
    uid = admin.get(quiet).json["id"]

    assert refused.status_code == 422
    assert "kernel.webhook_disabled" in form
    assert "kernel.record_signalled" not in form
    assert admin.get(quiet).json["events"] == ["kernel.record_signalled"]
    assert "kernel.record_signalled" in browser.get(f"/webhooks/{uid}").text
    assert browser.get(f"/webhooks/{uid}/edit").status_code == 200
    assert admin.patch(quiet, {"name": "Renamed"}).status_code == 200
