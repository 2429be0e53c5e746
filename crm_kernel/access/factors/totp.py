"""Codes of an authenticator app (RFC 6238: SHA-1, six digits, thirty seconds), each good once."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import secrets
from urllib.parse import quote, urlencode
from uuid import UUID

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from crm_kernel.records.sealing import seal, unseal

_STEP_SECONDS = 30
_DIGITS = 6
#: Time steps before and after the present one whose codes are taken too: clocks differ, people type slowly.
_DRIFT = 1


def new_secret() -> bytes:
    """Return a new secret of 160 bits."""
    return secrets.token_bytes(20)


def sealed(secret: bytes, user: UUID) -> str:
    """Return a secret as it is stored: encrypted, and of use for this user only."""
    return seal(secret, bound_to=("totp", str(user)))


def unsealed(text: str, user: UUID) -> bytes:
    """Return a stored secret.

    Raises:
        ValueError: it is not this user's, or the instance's ``secret_key`` was changed.
    """
    return unseal(text, bound_to=("totp", str(user)))


def written(secret: bytes) -> str:
    """Return a secret in groups of four letters, for those who type it."""
    text = base64.b32encode(secret).decode("ascii")
    return " ".join(text[n : n + 4] for n in range(0, len(text), 4))


def address(secret: bytes, *, account: str, issuer: str) -> str:
    """Return the ``otpauth:`` address that authenticator apps read from a picture."""
    label = quote(f"{issuer}:{account}", safe=":@")
    values = {"secret": base64.b32encode(secret).decode("ascii").rstrip("="), "issuer": issuer}
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"


def picture(text: str) -> str:
    """Return a QR code as a ``data:`` address of an SVG, dark on white whatever the page's colours."""
    return str(segno.make(text, error="m").svg_data_uri(scale=5, border=4, light="#fff"))


def matching_step(secret: bytes, code: str, now: dt.datetime, *, after: int | None) -> int | None:
    """Return the time step whose code this is, later than ``after``; None if it is none. Constant time per step."""
    digits = "".join(code.split())
    if len(digits) != _DIGITS or not digits.isascii() or not digits.isdecimal():
        return None
    present = int(now.timestamp()) // _STEP_SECONDS
    # 160 bits is what RFC 4226 recommends and every app can take.
    hotp = HOTP(secret, _DIGITS, SHA1())
    found = None
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        fits = hmac.compare_digest(hotp.generate(step), digits.encode("ascii"))
        if fits and (after is None or step > after):
            found = step
    return found


def code_at(secret: bytes, moment: dt.datetime) -> str:
    """Return the code an app shows at a moment; for tests and tools."""
    hotp = HOTP(secret, _DIGITS, SHA1())
    return hotp.generate(int(moment.timestamp()) // _STEP_SECONDS).decode("ascii")
