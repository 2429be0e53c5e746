"""The audit log: who changed what, when, through which channel; stored by the commit that made the change.

Values stand only in ``audit_payload``, beside a salt; the row itself keeps a salted digest, so that erasing a person's
payloads leaves every row provable. Exports and refusals change nothing, so they get a unit of work of their own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel._internal.rows import insert_rows
from crm_kernel.access import trail
from crm_kernel.access.masking import masked
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.database import db
from crm_kernel.unit_of_work import writing

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

_SALT = 16
_LISTENERS = (
    ("after_flush", trail.collect),
    ("after_transaction_create", trail.remember_savepoint),
    ("after_soft_rollback", trail.restore_savepoint),
)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One record of a bulk change: values as JSON-ready or Python values, None where there are none."""

    record_uid: UUID | None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def watch_changes() -> None:
    """Attach the collection of changes to the session; once per process, however many applications it has."""
    for name, listener in _LISTENERS:
        if not sa.event.contains(db.session, name, listener):
            sa.event.listen(db.session, name, listener)


def store_audit(uow: UnitOfWork) -> None:
    """Insert one audit row per record changed through the session in this unit of work; two statements for all."""
    changes = [change for change in trail.net_changes(uow.audited.values()) if _uid_of(uow, change)]
    uow.audited.clear()
    if changes:
        _insert(uow, [(c.record_type.name, c.action, AuditRow(_uid_of(uow, c), c.before, c.after)) for c in changes])


def record_audit_many(uow: UnitOfWork, record_type: str, action: str, rows: Iterable[AuditRow]) -> None:
    """Insert the audit rows of a bulk change, which the session does not see; two statements for all rows.

    Secret values are hidden here. An update of which only marks without a trace are left makes no row.
    """
    found = [(record_type, action, kept) for row in rows if (kept := _kept(record_type, action, row)) is not None]
    if found:
        _insert(uow, found)


def record_access(
    actor: Actor,
    *,
    action: str,
    record_type: str,
    channel: str,
    request_id: str | None = None,
    record_uid: UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Store an audit row for what changes nothing: an export, a refusal. Opens and commits a unit of work of its own.

    Call it before a stream starts, or after the refused unit of work has been rolled back.

    Raises:
        UnitOfWorkError: a unit of work is open.
    """
    with writing(actor, channel=channel, request_id=request_id) as uow:
        # Details tell of the access: no values of the record's columns are among them.
        _insert(uow, [(record_type, action, AuditRow(record_uid, None, details))])


def payload_digest(salt: bytes, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Return the digest that an audit row keeps of its values, as they are stored; hexadecimal SHA-256."""
    return hashlib.sha256(salt + orjson.dumps([before or None, after or None], option=orjson.OPT_SORT_KEYS)).hexdigest()


def plain(value: Any) -> Any:
    """Return a value as JSON that reads back the same from both databases: decimals, floats, times and ids as text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value.hex() if isinstance(value, bytes) else str(value)


def _kept(record_type: str, action: str, row: AuditRow) -> AuditRow | None:
    before, after = (None if v is None else masked(record_type, v) for v in (row.before, row.after))
    vanished = action == trail.UPDATED and not before and not after and bool(row.before or row.after)
    return None if vanished else AuditRow(row.record_uid, before, after)


def _uid_of(uow: UnitOfWork, change: trail.Change) -> UUID | None:
    # A part was changed and not the record itself: the service had loaded it, so this asks the identity map.
    if change.uid is not None:
        return change.uid
    host = uow.session.get(change.record_type.model, change.key)
    return None if host is None else host.uid


def _insert(uow: UnitOfWork, found: Sequence[tuple[str, str, AuditRow]]) -> None:
    noise = os.urandom(_SALT * len(found))
    payloads: list[dict[str, Any]] = [
        {
            "salt": noise[n * _SALT : (n + 1) * _SALT],
            "before": plain(row.before) or None,
            "after": plain(row.after) or None,
        }
        for n, (_type, _action, row) in enumerate(found)
    ]
    rows = [
        {
            "uid": uuid7(),
            "at": uow.now,
            "actor": uow.actor.name[:120],
            "actor_uid": uow.actor.user_uid,
            "channel": uow.channel,
            "request_id": uow.request_id,
            "action": action,
            "record_type": record_type,
            "record_uid": row.record_uid,
            "digest": payload_digest(**payload),
        }
        for (record_type, action, row), payload in zip(found, payloads, strict=True)
    ]
    # The payload refers to the uid made here: asking the database for its keys would cost a statement per row.
    stored = [{"audit_uid": row["uid"], **payload} for row, payload in zip(rows, payloads, strict=True)]
    for model, values in ((AuditLog, rows), (AuditPayload, stored)):
        insert_rows(uow.session, cast(sa.Table, model.__table__), values)
