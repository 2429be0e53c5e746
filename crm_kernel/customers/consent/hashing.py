"""The digest by which a suppression knows a contact value without holding it.

Keyed: telephone numbers are few enough that a plain hash could be undone by trying them all. The key is the first
``secret_key`` that the instance had and stays so when that is replaced, since what was digested is not known any more:
``crm secrets rotate`` keeps it apart, encrypted (``_internal.settings.digest_secret``).
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from flask import current_app

from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.errors import ConfigError

_PERSON = b"crm suppression"


def value_digest(point_channel: str, value_normalized: str) -> UUID:
    """Return the digest of a normalised contact value; one number is the same in all telephone channels, about 2 µs.

    Args:
        point_channel: the kind of contact point: ``email``, ``phone``, ``mobile`` …

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    kind = "phone" if point_channel in PHONE_CHANNELS else point_channel
    value = value_normalized.partition(";")[0] if kind == "phone" else value_normalized
    return keyed_digest(f"{kind}\x00{value}", person=_PERSON)


def keyed_digest(text: str, *, person: bytes) -> UUID:
    """Return the digest of a text under the instance's key for digests; ``person`` keeps uses apart, 16 bytes at most.

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    secret: str = current_app.config["CRM_DIGEST_SECRET"]
    if not secret:
        raise ConfigError("secret_key: missing. Create an instance with: crm init")
    key = hashlib.sha256(secret.encode()).digest()
    return UUID(bytes=hashlib.blake2b(text.encode(), key=key, person=person, digest_size=16).digest())
