"""Finds everything that is kept encrypted: whether it can still be read (``crm doctor``), to encrypt it anew.

Plain statements and no application: with a wrong key, everything else still starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.settings import DIGEST_SECRET, ROWS, Stored, read_settings, seal_of
from crm_kernel.records.sealing import unseal_with

#: Fewer different characters than any random text of 32 has.
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of secrets: how many there are, how many of them cannot be read, and what to do about these."""

    what: str
    total: int
    unreadable: int
    fix: str


def is_guessable(secret_key: str) -> bool:
    """Say whether a key was typed rather than made by chance: too few different characters, or a text repeated."""
    repeated = any(
        secret_key == secret_key[:length] * (len(secret_key) // length) for length in range(1, len(secret_key) // 2 + 1)
    )
    return len(set(secret_key)) < _FEWEST or repeated


@dataclass(frozen=True, slots=True)
class SealedText:
    """One encrypted value: of which kind, what it is bound to, and the statement that puts another in its place."""

    what: str
    fix: str
    bound: tuple[str, str]
    text: str
    #: Given the new text, returns the statement; only for what was read with ``lock``.
    replaced_by: Callable[[str], sa.Update]


def kept_secrets(connection: sa.Connection, keys: Sequence[str]) -> list[Kept]:
    """Return every kind of secrets that the kernel keeps, as far as there are any; one query per kind."""
    found: dict[str, Kept] = {}
    for sealed in sealed_texts(connection):
        known = found.get(sealed.what, Kept(sealed.what, 0, 0, sealed.fix))
        unreadable = known.unreadable + (not opens(sealed, keys))
        found[sealed.what] = replace(known, total=known.total + 1, unreadable=unreadable)
    return list(found.values())


def opens(sealed: SealedText, keys: Sequence[str]) -> bool:
    """Say whether one of some keys opens a value."""
    try:
        unseal_with(keys, sealed.text, bound_to=sealed.bound)
    except ValueError:
        return False
    return True


def sealed_texts(connection: sa.Connection, *, lock: bool = False) -> Iterator[SealedText]:
    """Yield every value that the kernel keeps encrypted, kind by kind; one query per column.

    Args:
        lock: nobody else changes them until the transaction ends; one query more. Not in a transaction that only reads.
    """
    from crm_kernel.access.models import AppUser
    from crm_kernel.access.oidc.models import IdentityProvider
    from crm_kernel.events.inbound.models import WebhookSource
    from crm_kernel.events.webhooks.models import WebhookEndpoint

    if lock:
        held = sa.select(SettingRow.name).where(SettingRow.name.startswith(ROWS, autoescape=True)).with_for_update()
        connection.execute(held).all()
    yield from _settings(connection)
    kinds: tuple[tuple[str, Any, tuple[str, ...], str, str], ...] = (
        ("authenticator apps", AppUser, ("tf_totp_secret",), "totp", "crm users reset-second-factor EMAIL"),
        ("log-in providers", IdentityProvider, ("client_secret",), "identity provider", "crm identity-providers secret NAME"),
        ("webhooks", WebhookEndpoint, ("secret", "previous_secret"), "webhook secret", "crm webhooks secret ID --replace"),
        ("sources of messages", WebhookSource, ("secret", "previous_secret", "token"), "webhook secret", "replace their secrets on their pages"),
    )  # fmt: skip
    for what, model, columns, use, fix in kinds:
        for name in columns:
            column = model.__table__.c[name]
            rows = sa.select(model.__table__.c.uid, column).where(column.is_not(None))
            for uid, text in connection.execute(rows.with_for_update() if lock else rows).all():
                yield SealedText(what, fix, (use, str(uid)), text, partial(_cell, column, uid, text))


def _settings(connection: sa.Connection) -> Iterator[SealedText]:
    for name, row in read_settings(connection).items():
        if row.sealed and name == DIGEST_SECRET:
            fix = "nobody is recognised by what was digested until then"
            yield SealedText("keys of digests", fix, seal_of(name), str(row.value), partial(_setting, name, row))
        elif row.sealed:
            fix = "crm settings set NAME"
            yield SealedText("secret settings", fix, seal_of(name), str(row.value), partial(_setting, name, row))


def _setting(name: str, row: Stored, text: str) -> sa.Update:
    value = {**asdict(row), "value": text}
    return sa.update(SettingRow).where(SettingRow.name == ROWS + name).values(value=value)


def _cell(column: sa.Column[Any], uid: Any, before: str, text: str) -> sa.Update:
    table: Any = column.table
    return sa.update(table).where(table.c.uid == uid, column == before).values({column.name: text})
