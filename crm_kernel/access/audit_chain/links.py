"""What a seal and a signature are computed from; no database."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from functools import lru_cache
from typing import Any

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crm_kernel.access.models import AuditLog
from crm_kernel.records.sealing import secret_keys

#: The hash before the first one.
GENESIS = bytes(32)
#: The columns of an audit row that a seal covers, in this order; the values stand behind ``digest``.
SEALED = (
    AuditLog.uid,
    AuditLog.at,
    AuditLog.actor,
    AuditLog.actor_uid,
    AuditLog.channel,
    AuditLog.request_id,
    AuditLog.action,
    AuditLog.record_type,
    AuditLog.record_uid,
    AuditLog.digest,
)


def link(before: bytes, number: int, row: Any) -> bytes:
    """Return the hash of the seal with this number: 32 bytes that depend on every row sealed so far.

    ``row`` has the attributes of ``SEALED``.
    """
    facts = [number, *(_as_text(getattr(row, column.key)) for column in SEALED)]
    return hashlib.sha256(before + orjson.dumps(facts)).digest()


def signature_of(number: int, hash_: bytes) -> bytes:
    """Return the signature of a head by this instance, with the ``secret_key`` it has now; 32 bytes.

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    return _signature(secret_keys()[0], number, hash_)


def is_signed(number: int, hash_: bytes, signature: bytes) -> bool:
    """Say whether this instance signed this head, with the ``secret_key`` it has now or one that it replaced."""
    return any(hmac.compare_digest(_signature(key, number, hash_), signature) for key in secret_keys())


def _signature(secret: str, number: int, hash_: bytes) -> bytes:
    return hmac.digest(_key(secret), b"%d:" % number + hash_, "sha256")


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return str(value)


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"crm_kernel.access.audit_chain").derive(secret.encode())
