"""A webhook sees with one user's eyes: what he may not see is not sent, and nobody borrows another's eyes."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser, FieldRule, Role, UserRole
from crm_kernel.events.webhooks.models import WebhookEndpoint

SETS_UP = {"webhook.*": "all", "webhook_delivery.*": "all"}
NARROW = {"customer.read": "own", "customer.create": "own", "customer.update": "own", **SETS_UP}
ADA = {"kind": "person", "family_name": "Lovelace"}


@pytest.fixture
def clerk(api: Any) -> Any:
    """Somebody who may set up webhooks and sees his own customers only."""
    return api(grants=NARROW)


@pytest.fixture
def sink(clerk: Any, receiver: Any) -> str:
    """A webhook of the clerk's for every event, records sent along."""
    body = {"name": "Sink", "url": receiver.url, "events": ["*"], "with_record": True}
    return clerk.post("/api/webhooks", body).headers["Location"]


def test_only_events_about_records_its_user_sees_are_sent(sink, clerk, admin, receiver, deliver_events, deliveries):
    admin.post("/api/customers", ADA)
    own = clerk.post("/api/customers", ADA).json

    deliver_events()

    assert [message.json["subject"] for message in receiver.received] == [own["id"]]
    assert len(deliveries()) == 1


def test_events_about_no_record_are_for_those_who_see_everything(sink, receiver, deliver_events, unit):
    from crm_kernel.records.events import RecordsBulkChanged

    with unit() as uow:
        uow.record(RecordsBulkChanged(run_id="r", record_type="customer", changed_at=uow.now, created=3))

    deliver_events()

    assert receiver.received == []


def test_a_field_that_is_hidden_from_its_user_is_not_sent(sink, clerk, receiver, deliver_events, unit):
    with unit() as uow:
        role = uow.session.scalars(
            sa.select(Role).join(UserRole, UserRole.role_id == Role.id).where(UserRole.user_id == clerk.user.id)
        ).one()
        uow.session.add(FieldRule(role_id=role.id, record_type="customer", field="notes", access="hidden"))
    clerk.post("/api/customers", ADA)

    deliver_events()

    data = receiver.received[-1].json["data"]
    assert "notes" not in data["record"]
    assert data.keys() == {"customer_id", "record"}


def test_who_lost_the_right_is_told_nothing_more(sink, clerk, admin, receiver, deliver_events, deliveries, unit):
    customer = clerk.post("/api/customers", ADA)
    admin.patch(customer.headers["Location"], {"owner": str(admin.user.uid)})

    deliver_events()

    assert receiver.received == []
    assert [delivery.state for delivery in deliveries()] in ([], ["withheld"], ["withheld", "withheld"])


def test_a_webhook_of_a_deactivated_user_is_silent(sink, clerk, receiver, deliver_events, unit):
    clerk.post("/api/customers", ADA)
    with unit() as uow:
        uow.session.execute(sa.update(AppUser).where(AppUser.id == clerk.user.id).values(active=False))

    deliver_events()

    assert receiver.received == []


def test_the_limits_of_the_token_that_set_it_up_are_its_own(api, receiver, deliver_events, unit):
    client = api("administrator", scopes=["webhook.*", "customer.create"])
    body = {"name": "Sink", "url": receiver.url, "events": ["*"], "with_record": True}
    assert client.post("/api/webhooks", body).status_code == 201
    api("administrator").post("/api/customers", ADA)

    deliver_events()

    assert receiver.received == []


def test_who_points_anothers_webhook_at_himself_sees_with_his_own_eyes(
    webhook, admin, clerk, receiver, deliver_events, unit
):
    changed = clerk.patch(webhook, {"url": f"{receiver.url}/mine"})
    admin.post("/api/customers", ADA)

    deliver_events()

    assert changed.status_code == 200, changed.text
    assert receiver.received == []
    with unit() as uow:
        assert uow.session.scalars(sa.select(WebhookEndpoint.user_id)).one() == clerk.user.id


def test_a_change_of_the_name_alone_changes_no_eyes(webhook, admin, clerk, unit):
    clerk.patch(webhook, {"name": "Other"})

    with unit() as uow:
        assert uow.session.scalars(sa.select(WebhookEndpoint.user_id)).one() == admin.user.id


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_webhooks_are_set_up_and_seen_by_administrators_alone(api, webhook, receiver, role):
    client = api(role)

    made = client.post("/api/webhooks", {"name": "Mine", "url": receiver.url, "events": ["*"]})

    assert made.status_code == 403
    assert client.get(webhook).status_code in (403, 404)
    assert (client.get("/api/webhooks").json or {}).get("items", []) == []
    assert client.get("/api/webhook-deliveries").json["items"] == []
    assert client.post(f"{webhook}/secret").status_code in (403, 404)
    assert client.patch(webhook, {"url": "https://a.test/"}, etag='"1"').status_code in (403, 404)


def test_the_secret_is_in_no_answer_log_or_list(webhook, admin, unit, login):
    secret = admin.post(f"{webhook}/secret").json["secret"]
    texts = [
        admin.get(path).text for path in (webhook, "/api/webhooks", "/api/webhook-deliveries", "/api/openapi.json")
    ]
    browser = login("administrator")
    pages = [browser.get(path) for path in ("/webhooks", webhook.removeprefix("/api"), "/webhooks/export.csv")]
    texts += [page.text for page in pages]
    with unit() as uow:
        texts += [str(row) for row in uow.session.execute(sa.text("SELECT * FROM webhook_endpoint"))]
        texts += [str(row) for row in uow.session.execute(sa.text("SELECT * FROM audit_log"))]
        texts += [str(row) for row in uow.session.execute(sa.text("SELECT * FROM audit_payload"))]

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert f"crm webhooks test {webhook.rpartition('/')[2]}" in pages[1].text
    assert secret.startswith("whsec_")
    assert [text for text in texts if secret in text or secret.removeprefix("whsec_") in text] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://a.test/"}, "url"),
        ({"url": "https://u:p@a.test/"}, "url"),
        ({"url": "not an address"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["kernel.nothing"]}, "events"),
        ({"filter": "{"}, "filter"),
        ({"filter": '{"field": "nothing", "op": "eq", "value": 1}'}, "filter"),
        ({"user": None}, "user"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(admin, receiver, change, field):
    body = {"name": "Sink", "url": receiver.url, "events": ["*"], **change}

    answer = admin.post("/api/webhooks", body)

    assert answer.status_code == 422
    assert [name.partition(".")[0] for name in answer.json["errors"]] == [field]
