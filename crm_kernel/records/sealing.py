"""Seals what a client carries for us and must neither read nor change: encrypted and authenticated, short, URL-safe.

AES-SIV needs no nonce, so a text is 22 characters longer than what it holds and the same content always looks the
same. The key is derived from the instance's ``secret_key``: with another one, every older text is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from crm_kernel.errors import ConfigError

#: Longest text that is looked at.
MAX_SEALED = 4_000


def seal(content: bytes, *, bound_to: Sequence[str]) -> str:
    """Return ``content`` as a text that only ``unseal`` with the same ``bound_to`` opens; about 10 µs.

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    sealed = _cipher(_secret()).encrypt(content, [part.encode() for part in bound_to])
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def unseal(text: str, *, bound_to: Sequence[str]) -> bytes:
    """Return what was sealed.

    Raises:
        ValueError: the text was not made by ``seal`` with this ``bound_to`` and this instance's ``secret_key``.
        ConfigError: the instance has no ``secret_key``.
    """
    if not text.isascii() or len(text) > MAX_SEALED:
        raise ValueError("not a sealed text")
    sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    try:
        return _cipher(_secret()).decrypt(sealed, [part.encode() for part in bound_to])
    except InvalidTag as error:
        raise ValueError("not sealed here, or for another use") from error


def _secret() -> str:
    secret: str = current_app.config["SECRET_KEY"]
    if not secret:
        raise ConfigError("secret_key: missing. Create an instance with: crm init")
    return secret


@lru_cache(maxsize=8)
def _cipher(secret: str) -> AESSIV:
    return AESSIV(HKDF(SHA256(), length=64, salt=None, info=b"crm_kernel.records.sealing").derive(secret.encode()))
