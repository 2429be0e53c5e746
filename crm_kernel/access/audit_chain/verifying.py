"""Reads the whole log along its chain and tells what does not fit. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.audit import payload_digest
from crm_kernel.access.audit_chain.heads import exported_head, head_of
from crm_kernel.access.audit_chain.links import GENESIS, SEALED, is_signed, link
from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Findings that are kept; the others are counted.
SHOWN = 20
_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit."""

    #: ``altered``, ``deleted``, ``inserted``, ``truncated``, ``values``, ``head`` or ``kept_head``.
    kind: str
    text: str
    #: Where in the chain; None beside it.
    number: int | None = None
    #: The audit row's public id, if it is there.
    row: UUID | None = None


@dataclass(slots=True)
class Verification:
    """What a verification found."""

    #: Rows of the chain.
    sealed: int = 0
    #: Rows committed since the last sealing; only their values could be checked.
    unsealed: int = 0
    #: Rows whose values were erased: the digest still proves them.
    erased: int = 0
    #: The first of the findings, in the order of the chain.
    findings: list[Finding] = field(default_factory=list)
    #: How many findings there are in all.
    found: int = 0
    #: The end of the chain, as ``exported_head`` gives it.
    head: dict[str, Any] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count a finding and keep it while there is room."""
        self.found += 1
        if len(self.findings) < SHOWN:
            self.findings.append(finding)


def verify(uow: UnitOfWork, *, kept_head: Mapping[str, Any] | None = None) -> Verification:
    """Check every row, every seal, the values that are not erased, and the end; the whole log is read once, in pages.

    Args:
        uow: just opened: on PostgreSQL it must see one state of the database, which only its first statement can ask.
        kept_head: what ``exported_head`` gave earlier and was kept elsewhere: the chain must still contain it.

    Raises:
        InvalidInput: the kept head is no head.
    """
    if uow.session.get_bind().dialect.name == "postgresql":
        uow.session.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    kept = _kept(kept_head)
    result, head = Verification(), head_of(uow)
    last = _walk(uow, result, kept)
    _check_end(result, head, last)
    if kept is not None and kept[0] > last[0]:
        text = f"the kept head says {kept[0]} rows, {last[0]} are there: the end of the log was cut off"
        result.add(Finding("truncated", text, kept[0]))
    _check_unsealed(uow, result, 0 if head is None else head.settled_id)
    result.head = exported_head(head)
    return result


def _kept(kept_head: Mapping[str, Any] | None) -> tuple[int, bytes] | None:
    if kept_head is None:
        return None
    try:
        return int(kept_head["number"]), bytes.fromhex(kept_head["hash"])
    except (KeyError, TypeError, ValueError) as error:
        expected = "expected a JSON object with number and hash, as crm audit head --json prints it"
        raise InvalidInput({"head": [f"{type(error).__name__}: {error}; {expected}"]}) from error


def _walk(uow: UnitOfWork, result: Verification, kept: tuple[int, bytes] | None) -> tuple[int, bytes]:
    """Follow the chain and return its last number and hash."""
    number, before = 0, GENESIS
    for row in _rows(uow, _chain(), AuditSeal.number):
        linked = row.number == number + 1
        if not linked:
            text = f"the seals {number + 1} to {row.number - 1} are gone"
            result.add(Finding("deleted", text, number + 1))
        _check_row(result, row, before if linked else None)
        if kept is not None and row.number == kept[0] and row.hash != kept[1]:
            text = "another hash than the kept head: the log was written anew"
            result.add(Finding("kept_head", text, row.number, row.uid))
        number, before = row.number, row.hash
        result.sealed += 1
    return number, before


def _check_row(result: Verification, row: Any, before: bytes | None) -> None:
    if row.uid is None:
        result.add(Finding("deleted", "the audit row is gone, its seal is there", row.number))
        return
    if before is not None and link(before, row.number, row) != row.hash:
        text = f"{row.action} {row.record_type} of {row.at.isoformat()} is not the row that was sealed here"
        result.add(Finding("altered", text, row.number, row.uid))
    _check_values(result, row)


def _check_values(result: Verification, row: Any) -> None:
    if row.salt is None:
        result.erased += 1
    elif payload_digest(row.salt, row.before, row.after) != row.digest:
        text = "the values before or after are not those of the row's digest"
        result.add(Finding("values", text, getattr(row, "number", None), row.uid))


def _check_end(result: Verification, head: AuditHead | None, last: tuple[int, bytes]) -> None:
    if head is None:
        if last[0]:
            result.add(Finding("head", "the head is gone, the seals are there"))
        return
    if not is_signed(head.number, head.hash, head.signature):
        text = "the head is not signed with this instance's secret_key: altered, or the key was changed"
        result.add(Finding("head", text, head.number))
    if last[0] < head.number:
        text = f"the chain ends at {last[0]}, its head says {head.number}: the end of the log was cut off"
        result.add(Finding("truncated", text, last[0] + 1))
    elif last != (head.number, head.hash):
        result.add(
            Finding("head", f"the chain ends at {last[0]}, its head says {head.number} or another hash", last[0])
        )


def _check_unsealed(uow: UnitOfWork, result: Verification, settled_id: int) -> None:
    for row in _rows(uow, _beside(), AuditLog.id):
        if row.id <= settled_id:
            text = f"{row.action} {row.record_type} of {row.at.isoformat()} has no seal and stands among sealed rows"
            result.add(Finding("inserted", text, row=row.uid))
        else:
            result.unsealed += 1
        _check_values(result, row)


def _rows(uow: UnitOfWork, query: sa.Select[Any], key: Any) -> Iterator[Any]:
    """Yield a query's rows in the order of a key, page by page."""
    after = None
    while True:
        page = query if after is None else query.where(key > after)
        rows = uow.session.execute(page.order_by(key).limit(_PAGE)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = getattr(rows[-1], key.key)


def _chain() -> sa.Select[Any]:
    query: Any = sa.select(AuditSeal.number, AuditSeal.hash, *SEALED, *_values())
    query = query.outerjoin(AuditLog, AuditLog.id == AuditSeal.audit_id)
    return _with_payload(query)


def _beside() -> sa.Select[Any]:
    query: Any = sa.select(AuditLog.id, *SEALED, *_values())
    return _with_payload(query.where(~sa.exists().where(AuditSeal.audit_id == AuditLog.id)))


def _values() -> tuple[Any, ...]:
    return AuditPayload.salt, AuditPayload.before, AuditPayload.after


def _with_payload(query: Any) -> sa.Select[Any]:
    joined: sa.Select[Any] = query.outerjoin(AuditPayload, AuditPayload.audit_uid == AuditLog.uid)
    return joined
