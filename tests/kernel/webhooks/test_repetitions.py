"""What a repetition is known by: what is signed, where something is; the sender's word, where nothing is."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.events.inbound.models import WebhookMessage

BODY = json.dumps({"customer": {"kind": "person", "family_name": "Lovelace"}}).encode()


@pytest.fixture
def source(admin: Any) -> Any:
    """Set up a source: ``source("hex")`` → its address for messages and its secret."""

    def make(scheme: str) -> Any:
        made = admin.post("/api/webhook-sources", {"name": "Site", "scheme": scheme})
        return admin.post(f"{made.headers['Location']}/secret").json

    return make


@pytest.fixture
def messages(unit: Any) -> Any:
    """Count the messages that are kept."""

    def counted() -> int:
        with unit() as uow:
            return uow.session.scalar(sa.select(sa.func.count()).select_from(WebhookMessage))

    return counted


def hexed(secret: str, body: bytes) -> dict[str, str]:
    return {"X-Signature-256": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("header", ["X-Request-Id", "X-GitHub-Delivery", "Idempotency-Key", "webhook-id"])
def test_a_signed_body_is_one_message_under_whatever_id_it_is_sent_again(client, source, messages, header):
    found = source("hex")
    signature = hexed(found["secret"], BODY)

    answers = [client.post(found["url"], data=BODY, headers={**signature, header: f"{n}"}) for n in range(3)]
    answers.append(client.post(found["url"], data=BODY, headers=signature))

    assert {(answer.status_code, answer.data) for answer in answers} == {(202, answers[0].data)}
    assert messages() == 1


def test_another_signed_body_is_another_message(client, source, messages):
    found = source("hex")

    for body in (BODY, BODY + b"\n"):
        assert client.post(found["url"], data=body, headers=hexed(found["secret"], body)).status_code == 202

    assert messages() == 2


def test_what_a_proxy_numbers_is_no_id_of_a_message(client, source, messages):
    found = source("none")
    retries = [{"Idempotency-Key": "order-7", "X-Request-Id": f"{n}"} for n in range(2)]
    others = [{"X-Request-Id": "same"}, {"X-Request-Id": "same"}]

    for headers in (*retries, *others):
        assert client.post(found["url"], data=BODY, headers=headers).status_code == 202

    assert messages() == 3
