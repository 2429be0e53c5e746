"""Encrypts everything that is kept encrypted with the ``secret_key`` in force, after that was replaced.

What the replaced key was used for and is not kept (cookies, links in letters, cursors) is read with it as long as it stands
in ``previous_secret_keys``. The caller commits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.sealed import SealedText, opens, sealed_texts
from crm_kernel._internal.settings import DIGEST_SECRET, ROWS, seal_of
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_chain.heads import head_of, standing_head
from crm_kernel.access.audit_chain.links import is_signed, signature_of
from crm_kernel.access.policy import authorize
from crm_kernel.records.sealing import seal_with, secret_keys, unseal_with

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What the signature of the audit log's end and the key of digests are called.
HEAD, DIGESTS = "signatures of the audit log", "keys of digests"


@dataclass(frozen=True, slots=True)
class Rotated:
    """One kind of secrets, and how many of it were what."""

    what: str
    #: Encrypted anew just now.
    rotated: int = 0
    #: Encrypted with the key in force before.
    current: int = 0
    #: Encrypted with none of the keys that the instance has.
    unreadable: int = 0
    #: What to do about these.
    fix: str = ""


def rotate_secrets(uow: UnitOfWork) -> list[Rotated]:
    """Encrypt every kept secret with the key in force and return what was done, by kind; audited with the counts.

    Values that no key opens stay as they are. One query per kind of secrets, one statement per secret. The first time, the
    key of digests is put apart, so that suppressions and erased customers are recognised without the replaced key.

    Raises:
        Forbidden: the actor may not change settings.
        ConfigError: the instance has no ``secret_key``.
    """
    authorize(uow.actor, "setting.update")
    keys, connection = secret_keys(), uow.session.connection()
    uow.session.flush()
    found: dict[str, Rotated] = {}
    for sealed in list(sealed_texts(connection, lock=True)):
        known = found.get(sealed.what, Rotated(sealed.what, fix=sealed.fix))
        outcome = _rotate(connection, sealed, keys)
        found[sealed.what] = replace(known, **{outcome: getattr(known, outcome) + 1})
    if DIGESTS not in found and len(keys) > 1:
        _put_digests_apart(connection, keys[0], uow.now.isoformat(), uow.actor.name)
        found[DIGESTS] = Rotated(DIGESTS, rotated=1)
    head = _sign_head(uow)
    results = [*found.values(), *([head] if head else [])]
    if any(result.rotated for result in results):
        facts = {result.what: result.rotated for result in results if result.rotated}
        record_audit_many(uow, "setting", "secrets_rotated", [AuditRow(None, None, facts)])
    # What the session holds of these rows is stale.
    uow.session.expire_all()
    return results


def _rotate(connection: sa.Connection, sealed: SealedText, keys: tuple[str, ...]) -> str:
    if opens(sealed, keys[:1]):
        return "current"
    if not opens(sealed, keys):
        return "unreadable"
    content = unseal_with(keys, sealed.text, bound_to=sealed.bound)
    connection.execute(sealed.replaced_by(seal_with(keys[0], content, bound_to=sealed.bound)))
    return "rotated"


def _put_digests_apart(connection: sa.Connection, key: str, at: str, by: str) -> None:
    secret: str = current_app.config["CRM_DIGEST_SECRET"]
    text = seal_with(key, secret.encode(), bound_to=seal_of(DIGEST_SECRET))
    value = {"value": text, "sealed": True, "at": at, "by": by}
    connection.execute(sa.insert(SettingRow).values(name=ROWS + DIGEST_SECRET, value=value))


def _sign_head(uow: UnitOfWork) -> Rotated | None:
    """Sign the end of the audit log anew where this instance signed it; one that it did not sign is to be looked at."""
    if head_of(uow) is None:
        return None
    head = standing_head(uow)
    signature = signature_of(head.number, head.hash)
    if head.signature == signature:
        return Rotated(HEAD, current=1)
    if not is_signed(head.number, head.hash, head.signature):
        return Rotated(HEAD, unreadable=1, fix="crm audit verify")
    head.signature = signature
    uow.session.flush()
    return Rotated(HEAD, rotated=1)
