"""The digest by which an erased customer is recognised, should a backup bring it back; keyed as suppressions are."""

from __future__ import annotations

from uuid import UUID

from crm_kernel.customers.consent.hashing import keyed_digest

_PERSON = b"crm erased"


def erased_digest(uid: UUID) -> UUID:
    """Return the digest of a customer's public id, about 2 µs.

    Raises:
        ConfigError: the instance has no ``secret_key``.
    """
    return keyed_digest(str(uid), person=_PERSON)
