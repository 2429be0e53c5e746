"""Messages of other systems: checked, kept once, answered at once, handled in one user's name."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import InboundMessage, InboundWebhook
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict
from crm_kernel.events.inbound.models import WebhookMessage
from crm_kernel.events.inbound.record import kinds
from crm_kernel.touchpoints.models import Interaction

ADA = {
    "kind": "person",
    "family_name": "Lovelace",
    "contact_points": [{"channel": "email", "value": "ada@crm.test"}],
}
CALL = {"kind": "note", "channel": "web", "direction": "in", "summary": "Asked for a quote"}


@pytest.fixture
def source(admin: Any) -> Any:
    """Set up a source: ``source(scheme="none")`` → its own address, the address for messages, the secret."""

    def make(client: Any = admin, **fields: Any) -> Any:
        made = client.post("/api/webhook-sources", {"name": "Site", **fields})
        assert made.status_code == 201, made.text
        own = made.headers["Location"]
        return {"own": own, **client.post(f"{own}/secret").json}

    return make


@pytest.fixture
def post(client: Any) -> Any:
    """Send bytes with headers, without log-in."""

    def send(url: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        return client.post(url, data=body, headers={"Content-Type": "application/json", **(headers or {})})

    return send


@pytest.fixture
def messages(unit: Any) -> Any:
    """Read what was received: state and error or result."""

    def read() -> list[tuple[str, str | None]]:
        with unit() as uow:
            rows = uow.session.scalars(sa.select(WebhookMessage).order_by(WebhookMessage.id))
            return [(row.state, row.error or row.result) for row in rows]

    return read


@pytest.fixture
def count(unit: Any) -> Any:
    """Count rows: ``count(Customer)``."""

    def counted(model: Any) -> int:
        with unit() as uow:
            return uow.session.scalar(sa.select(sa.func.count()).select_from(model))

    return counted


def signed(secret: str, body: bytes, *, message_id: str = "m1", at: dt.datetime | None = None) -> dict[str, str]:
    """Sign as another implementation of the specification does."""
    at = at or dt.datetime.now(dt.UTC)
    signature = Webhook(secret).sign(message_id, at, body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def test_a_signed_message_makes_a_customer_and_a_contact(source, post, deliver_events, messages, unit, admin):
    found = source()
    body = json.dumps({"customer": ADA, "interaction": CALL}).encode()

    answer = post(found["url"], body, signed(found["secret"], body))
    before = messages()
    deliver_events()

    assert (answer.status_code, list(answer.json)) == (202, ["id"]), answer.text
    assert before == [("waiting", None)]
    assert messages()[0][0] == "done"
    with unit() as uow:
        customer = uow.session.scalars(sa.select(Customer)).one()
        contact = uow.session.scalars(sa.select(Interaction)).one()
        assert (contact.customer_id, contact.actor_name) == (customer.id, admin.user.name)


def test_the_same_message_many_times_at_once_is_handled_once(source, crm_app, deliver_events, count):
    found = source()
    body = json.dumps({"customer": ADA}).encode()
    headers = {"Content-Type": "application/json", **signed(found["secret"], body)}

    def send(_number: int) -> tuple[int, bytes]:
        answer = crm_app.test_client().post(found["url"], data=body, headers=headers)
        return answer.status_code, answer.data

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(send, range(50)))
    deliver_events()

    assert len(answers) == 1
    assert next(iter(answers))[0] == 202
    assert (count(WebhookMessage), count(Customer)) == (1, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda h, b: ({}, b),
        lambda h, b: (h, b.replace(b"Lovelace", b"Mallory")),
        lambda h, b: ({**h, "webhook-id": "m2"}, b),
        lambda h, b: ({**h, "webhook-timestamp": str(int(h["webhook-timestamp"]) + 1)}, b),
        lambda h, b: ({**h, "webhook-timestamp": "soon"}, b),
        lambda h, b: ({**h, "webhook-signature": "v1,AAAA"}, b),
        lambda h, b: ({**h, "webhook-signature": h["webhook-signature"].replace("v1,", "v2,")}, b),
        lambda h, b: ({**h, "webhook-signature": ""}, b),
    ],
)
def test_what_is_not_signed_as_it_should_be_is_refused(source, post, count, spoil):
    found = source()
    body = json.dumps({"customer": ADA}).encode()
    headers, sent = spoil(signed(found["secret"], body), body)

    assert post(found["url"], sent, headers).status_code == 401
    assert count(WebhookMessage) == 0


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 202), (4, 202), (6, 401)])
def test_an_old_message_is_refused(source, post, minutes, status):
    found = source()
    body = json.dumps({"customer": ADA}).encode()
    at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)

    assert post(found["url"], body, signed(found["secret"], body, at=at)).status_code == status


def test_the_secret_before_is_good_for_a_day(source, post, admin):
    found = source()
    new = admin.post(f"{found['own']}/secret", {"replace": True}).json["secret"]
    body = b"{}"

    assert new != found["secret"]
    for number, secret in enumerate((found["secret"], new)):
        assert post(found["url"], body, signed(secret, body, message_id=f"m{number}")).status_code == 202


def test_a_hexadecimal_signature_is_checked(source, post):
    found = source(scheme="hex")
    body = json.dumps({"customer": ADA}).encode()
    digest = hmac.new(found["secret"].encode(), body, hashlib.sha256).hexdigest()

    good = post(found["url"], body, {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": "1"})
    again = post(found["url"], body, {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": "1"})
    bad = post(found["url"], body + b" ", {"X-Hub-Signature-256": f"sha256={digest}"})

    assert (good.status_code, again.json, bad.status_code) == (202, good.json, 401)


def test_without_a_signature_the_address_is_the_secret(source, post, deliver_events, count):
    found = source(scheme="none")
    body = json.dumps({"customer": {**ADA, "contact_points": []}}).encode()

    statuses = [post(found["url"], body).status_code for _ in range(2)]
    deliver_events()

    # Nothing says that the second is a repetition.
    assert (statuses, count(Customer)) == ([202, 202], 2)


def test_an_unknown_address_and_one_that_is_switched_off_look_alike(source, post, admin):
    found = source(scheme="none")
    admin.patch(found["own"], {"enabled": False})

    off, unknown = post(found["url"], b"{}"), post("/api/hooks/nothing", b"{}")

    assert (off.status_code, unknown.status_code) == (404, 404)
    assert off.json["detail"] == unknown.json["detail"]


def test_a_huge_body_is_refused(source, post):
    found = source(scheme="none")

    assert post(found["url"], b"x" * 1_000_001).status_code == 413


def test_who_is_known_by_his_address_is_found_and_stays_as_he_is(source, post, deliver_events, admin, messages, count):
    known = admin.post("/api/customers", ADA).headers["Location"]
    found = source(scheme="none")
    body = {"customer": {**ADA, "family_name": "Other"}, "interaction": CALL}

    post(found["url"], json.dumps(body).encode())
    deliver_events()
    kept = admin.get(known).json["family_name"]
    post(found["url"], json.dumps({**body, "update": True, "customer": {"family_name": "Other", **ADA}}).encode())
    deliver_events()

    assert (kept, count(Customer)) == ("Lovelace", 1)
    assert [text.partition(":")[0] for _state, text in messages()] == [
        "customer found, contact recorded",
        "customer updated, contact recorded",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "body"),
        (b"[]", "body"),
        (b"{}", "customer"),
        (b'{"customer": {"kind": "alien"}}', "kind"),
        (b'{"customer": {}, "drop": "table"}', "drop"),
        (json.dumps({"customer": ADA, "interaction": {"kind": "note"}}).encode(), "summary"),
        (json.dumps({"customer": ADA, "interaction": 7}).encode(), "interaction"),
        (b'{"customer": {"kind": "person", "family_name": "\\u0000"}}', "family_name"),
    ],
)
def test_what_cannot_be_handled_says_why_and_leaves_nothing(
    source, post, deliver_events, messages, count, body, reason
):
    found = source(scheme="none")

    assert post(found["url"], body).status_code == 202
    deliver_events()

    ((state, error),) = messages()
    assert state == "failed"
    assert reason in error
    assert (count(Customer), count(Interaction)) == (0, 0)


def test_a_failed_message_is_handled_again_when_its_reason_is_gone(source, post, deliver_events, admin, messages):
    for name in ("Ada", "Augusta"):
        admin.post("/api/customers", {**ADA, "given_name": name})
    found = source(scheme="none")
    post(found["url"], json.dumps({"customer": ADA, "interaction": CALL}).encode())
    deliver_events()
    assert "2 customers fit" in messages()[0][1]
    twin = admin.get("/api/customers", q="Augusta").json["items"][0]["id"]
    admin.delete(f"/api/customers/{twin}")
    path = f"/api/webhook-messages/{admin.get('/api/webhook-messages').json['items'][0]['id']}"

    assert admin.post(f"{path}/retry", {}, If_Match=admin.etag(path)).status_code == 200
    deliver_events()

    assert messages()[0][0] == "done"
    assert admin.post(f"{path}/retry", {}, If_Match=admin.etag(path)).status_code == 409


def test_messages_are_handled_with_the_rights_of_their_user(source, post, api, deliver_events, messages, count):
    clerk = api(grants={"webhook_source.*": "all", "customer.read": "all"})
    found = source(clerk, scheme="none")

    post(found["url"], json.dumps({"customer": ADA}).encode())
    deliver_events()

    ((state, error),) = messages()
    assert (state, "customer.create" in error, count(Customer)) == ("failed", True, 0)


def test_nothing_is_done_for_a_deactivated_user(source, post, deliver_events, messages, unit, admin, count):
    found = source(scheme="none")
    with unit() as uow:
        uow.session.execute(sa.update(AppUser).where(AppUser.id == admin.user.id).values(active=False))

    post(found["url"], json.dumps({"customer": ADA}).encode())
    deliver_events()

    assert (messages()[0][0], count(Customer)) == ("failed", 0)


def test_hook_crm_register_inbound_webhooks(crm_app, source, post, deliver_events, messages, monkeypatch, count):
    """A kind is offered to sources, its handler gets the signed bytes, and a refusal takes back what it wrote."""
    taken: list[InboundMessage] = []

    def take(uow: Any, message: InboundMessage) -> str:
        taken.append(message)
        uow.session.add(Customer(kind="person", display_name="X", sort_name="x"))
        uow.session.flush()
        raise Conflict("not today")

    registry = runtime_of(crm_app).registry
    kind = InboundWebhook(name="shop.order", label="Orders", handler=take)
    monkeypatch.setitem(registry.records["inbound_webhooks"], kind.name, kind)
    monkeypatch.setattr(registry, "_sorted", {})
    found = source(scheme="none", kind="shop.order")

    post(found["url"], b"<order/>", {"Content-Type": "text/xml", "Idempotency-Key": "k1"})
    deliver_events()

    ((state, error),) = messages()
    assert [(m.message_id, m.content_type, m.body) for m in taken] == [("k1", "text/xml", b"<order/>")]
    assert (state, error, count(Customer)) == ("failed", "Conflict: not today", 0)
    assert [kind.name for kind in kinds()] == ["kernel.customer"]


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_sources_are_set_up_and_seen_by_administrators_alone(api, source, role):
    found, client = source(), api(role)

    assert client.post("/api/webhook-sources", {"name": "Mine"}).status_code == 403
    assert client.get(found["own"]).status_code == 404
    assert client.post(f"{found['own']}/secret").status_code in (403, 404)
    assert client.get("/api/webhook-messages").json["items"] == []
