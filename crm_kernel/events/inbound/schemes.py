"""The ways in which other systems sign what they send, and what a repetition is known by.

``standard``: Standard Webhooks, with id and time in the signature. ``hex``: HMAC-SHA256 of the body as hexadecimal in
``X-Signature-256`` or ``X-Hub-Signature-256`` (``sha256=…``), as GitHub, Shopify-like shops and many others do. It covers
neither an id nor a time, so nothing but the body says which message it is: who recorded one could send it for ever under new
ids. ``none``: the address itself is the secret, for forms and tools that cannot sign; their word is taken for the id.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from crm_kernel.events.webhooks.signing import InvalidSignature, verify

#: Headers in which senders that do not sign say which message it is, the first that is there counts. ``X-Request-Id`` is none
#: of them: proxies on the way give each attempt a new one.
ID_HEADERS = ("webhook-id", "idempotency-key", "x-github-delivery", "x-message-id")
_HEX_HEADERS = ("x-signature-256", "x-hub-signature-256")

#: ``scheme(headers in lower case, body, secrets, now)`` → what a repetition is known by, or None: each is a message of its own.
Scheme = Callable[[Mapping[str, str], bytes, Sequence[str], dt.datetime], str | None]


def _standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: dt.datetime) -> str | None:
    return verify(headers, body, secrets, now)


def _hex(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: dt.datetime) -> str | None:
    given = next((headers[name] for name in _HEX_HEADERS if name in headers), "")
    found = given.removeprefix("sha256=").lower()
    # The secret as it is written is the key: these senders know nothing of base64 or prefixes.
    expected = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    if not (found.isascii() and any(hmac.compare_digest(found, one) for one in expected)):
        raise InvalidSignature("no signature fits")
    return f"body:{hashlib.sha256(body).hexdigest()}"


def _none(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: dt.datetime) -> str | None:
    return next((headers[name] for name in ID_HEADERS if headers.get(name)), None)


#: Name → how a signature is checked.
SCHEMES: Mapping[str, Scheme] = {"standard": _standard, "hex": _hex, "none": _none}
