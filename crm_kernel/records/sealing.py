"""Seals what a client carries for us and must neither read nor change: encrypted and authenticated, short, URL-safe.

AES-SIV needs no nonce, so a text is 22 characters longer than what it holds and the same content always looks the
same. The key is derived from the instance's ``secret_key``; what was sealed with one that it replaced is opened as long as
that one stands in ``previous_secret_keys``, every other text is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from crm_kernel.config import Config

#: Longest text that is looked at, and the bytes that such a text holds: of each four letters three, 16 for the seal.
MAX_SEALED = 4_000
MAX_CONTENT = MAX_SEALED * 3 // 4 - 16


def seal(content: bytes, *, bound_to: Sequence[str]) -> str:
    """Return ``content`` as a text that only ``unseal`` with the same ``bound_to`` opens; about 10 µs.

    Raises:
        ValueError: it is longer than ``MAX_CONTENT`` bytes, and would not be opened.
        ConfigError: the instance has no ``secret_key``.
    """
    return seal_with(secret_keys()[0], content, bound_to=bound_to)


def seal_field(field: str, text: str, *, bound_to: Sequence[str]) -> str:
    """Do the same with what somebody has typed.

    Raises:
        InvalidInput: it is too long; names the field.
        ConfigError: the instance has no ``secret_key``.
    """
    content = text.encode()
    if len(content) > MAX_CONTENT:
        message = _("Too long to be kept encrypted: found %(found)s bytes, at most %(most)s.")
        raise InvalidInput({field: [message % {"found": len(content), "most": MAX_CONTENT}]})
    return seal(content, bound_to=bound_to)


def seal_with(secret_key: str, content: bytes, *, bound_to: Sequence[str]) -> str:
    """Do the same as ``seal`` with a key that is given, where there is no application.

    Raises:
        ValueError: it is longer than ``MAX_CONTENT`` bytes, and would not be opened.
    """
    if len(content) > MAX_CONTENT:
        raise ValueError(f"{len(content)} bytes are too many to be sealed: at most {MAX_CONTENT}")
    sealed = _cipher(secret_key).encrypt(content, [part.encode() for part in bound_to])
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def unseal(text: str, *, bound_to: Sequence[str]) -> bytes:
    """Return what was sealed.

    Raises:
        ValueError: the text was not made by ``seal`` with this ``bound_to`` and a key of this instance.
        ConfigError: the instance has no ``secret_key``.
    """
    return unseal_with(secret_keys(), text, bound_to=bound_to)


def unseal_with(keys: Sequence[str], text: str, *, bound_to: Sequence[str]) -> bytes:
    """Do the same with the first of some keys that fits, where there is no application.

    Raises:
        ValueError: the text was not made with one of these keys and this ``bound_to``.
    """
    if not text.isascii() or len(text) > MAX_SEALED:
        raise ValueError("not a sealed text")
    sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    for key in keys:
        with suppress(InvalidTag):
            return _cipher(key).decrypt(sealed, [part.encode() for part in bound_to])
    raise ValueError("not sealed here, or for another use")


def keys_of(config: Config) -> tuple[str, ...]:
    """Return the keys that an instance reads with, the one in force first; none without a ``secret_key``."""
    return (config.secret_key, *config.previous_secret_keys) if config.secret_key else ()


def secret_keys() -> tuple[str, ...]:
    """Return the keys that this application reads with, the one in force, with which it writes, first.

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    secret: str = current_app.config["SECRET_KEY"]
    if not secret:
        raise ConfigError("secret_key: missing. Create an instance with: crm init")
    return (secret, *(current_app.config["SECRET_KEY_FALLBACKS"] or ()))  # Flask says None for none


@lru_cache(maxsize=8)
def _cipher(secret: str) -> AESSIV:
    return AESSIV(HKDF(SHA256(), length=64, salt=None, info=b"crm_kernel.records.sealing").derive(secret.encode()))
