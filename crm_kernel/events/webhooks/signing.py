"""Signs and verifies messages as the Standard Webhooks specification writes it, and makes its secrets.

``webhook-id``, ``webhook-timestamp`` and ``webhook-signature: v1,<base64 of HMAC-SHA256 over id.timestamp.body>``; several
signatures, separated by spaces, while a secret is being replaced. https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

#: What a written secret begins with.
PREFIX = "whsec_"
#: How far the time of a message may be from ours.
TOLERANCE = dt.timedelta(minutes=5)


class InvalidSignature(Exception):
    """A message is not signed by who it says, or too long ago; the text says which, for our log and not for the sender."""


def new_secret() -> str:
    """Return a new secret as receivers want it: 32 random bytes (the specification asks for 24 to 64)."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature_headers(message_id: str, at: dt.datetime, body: bytes, signed_with: Iterable[str]) -> dict[str, str]:
    """Return the three headers of a message, one signature per secret."""
    timestamp = str(int(at.timestamp()))
    signatures = " ".join(_signature(secret, message_id, timestamp, body) for secret in signed_with)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


def verify(headers: Mapping[str, str], body: bytes, signed_with: Iterable[str], now: dt.datetime) -> str:
    """Return the id of a message whose signature is right and whose time is near ``now``.

    Raises:
        InvalidSignature: a header is missing, the time is off, or no signature fits a secret.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = [part for part in headers.get("webhook-signature", "").split() if part.isascii()]
    if not (message_id and given and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise InvalidSignature("webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise InvalidSignature("its time is more than five minutes from ours")
    expected = [_signature(secret, message_id, timestamp, body) for secret in signed_with]
    if not any(hmac.compare_digest(one, other) for one in expected for other in given):
        raise InvalidSignature("no signature fits")
    return message_id


def key_of(secret: str) -> bytes:
    """Return the bytes of a written secret.

    Raises:
        ValueError: it is not base64, or not 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"{len(key)} bytes, expected 24 to 64")
    return key


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = hmac.digest(key_of(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()
