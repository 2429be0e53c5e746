"""The secrets of webhooks as they are kept: sealed with the instance's key, two of them while one is being replaced."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from crm_kernel.records.sealing import seal, unseal

#: How long the secret before goes on signing beside the new one.
OVERLAP = dt.timedelta(hours=24)


class KeepsSecrets(Protocol):
    """A row with a secret and the one before it."""

    uid: UUID
    secret: str
    previous_secret: str | None
    previous_until: dt.datetime | None


def sealed(uid: UUID, secret: str) -> str:
    """Return a secret as a row keeps it: no other row can be given it."""
    return seal(secret.encode(), bound_to=("webhook secret", str(uid)))


def opened(uid: UUID, kept: str) -> str:
    """Return a kept secret.

    Raises:
        ValueError: it was kept for another row, or with another ``secret_key``.
    """
    return unseal(kept, bound_to=("webhook secret", str(uid))).decode()


def current_secrets(row: KeepsSecrets, now: dt.datetime) -> list[str]:
    """Return the secrets that sign or verify now, the newest first; one before it that cannot be read is left out.

    Raises:
        ValueError: the secret was kept with another ``secret_key``: a new one is needed.
    """
    found = [opened(row.uid, row.secret)]
    if row.previous_secret is not None and row.previous_until is not None and row.previous_until > now:
        with suppress(ValueError):
            found.append(opened(row.uid, row.previous_secret))
    return found


def replace_secret(row: KeepsSecrets, secret: str, now: dt.datetime) -> None:
    """Give a row a new secret; the old one stays good for a day, so that both sides can change over."""
    row.previous_secret, row.previous_until = row.secret, now + OVERLAP
    row.secret = sealed(row.uid, secret)
