"""An answer of a passkey is good once: who keeps it, and the cookie it belongs to, does not log in with it again."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import bytes_to_base64url

from crm_kernel.access.factors.services import add_passkey
from crm_kernel.access.models import AppUser, WebAuthnCredential

SITE = "https://crm.test"


@pytest.fixture
def authenticator(unit, rep) -> SimpleNamespace:
    """A synced passkey of the representative, which counts nothing; ``answer(challenge)`` signs as a browser sends it."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
    with unit() as uow:
        row = WebAuthnCredential(credential_id=b"key", public_key=cbor2.dumps(public), synced=True, name="Phone")
        add_passkey(uow, uow.session.get(AppUser, rep.id), row)

    def answer(challenge: str) -> dict:
        client = json.dumps({"type": "webauthn.get", "challenge": challenge, "origin": SITE}).encode()
        said = hashlib.sha256(b"crm.test").digest() + b"\x05" + bytes(4)
        signature = key.sign(said + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": client, "authenticatorData": said, "signature": signature}
        credential_id = bytes_to_base64url(b"key")
        return {
            "id": credential_id,
            "rawId": credential_id,
            "type": "public-key",
            "response": {name: bytes_to_base64url(value) for name, value in response.items()},
        }

    return SimpleNamespace(answer=answer)


def test_an_answer_of_a_passkey_logs_in_once_even_with_the_cookie_it_belongs_to(app, authenticator):
    client, thief = app.test_client(), app.test_client()
    answer = authenticator.answer(client.post("/auth/passkey/options").json["challenge"])
    with client.session_transaction() as session, thief.session_transaction() as kept:
        kept.update(session)

    assert client.post("/auth/passkey", json={"credential": answer}).status_code == 200
    again = thief.post("/auth/passkey", json={"credential": answer})

    assert again.status_code == 422
    assert "try again" in again.text
    assert thief.get("/profile").status_code == 302
    assert client.get("/profile").status_code == 200


def test_a_passkey_logs_in_again_with_a_new_challenge(app, authenticator):
    for _twice in range(2):
        client = app.test_client()
        answer = authenticator.answer(client.post("/auth/passkey/options").json["challenge"])
        assert client.post("/auth/passkey", json={"credential": answer}).status_code == 200
