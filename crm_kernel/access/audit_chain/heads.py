"""The head of the chain: read, checked before it is continued, exported so that it can be kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_chain.links import GENESIS, is_signed, signature_of
from crm_kernel.access.audit_chain.models import THE_HEAD, AuditHead, AuditSeal
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: ``record_type`` of the audit rows about the log itself.
RECORD_TYPE = "audit_log"


def head_of(uow: UnitOfWork) -> AuditHead | None:
    """Return the head; None while nothing is sealed."""
    return uow.session.get(AuditHead, THE_HEAD)


def locked_head(uow: UnitOfWork) -> AuditHead:
    """Return the head for whoever continues the chain: the others wait until this transaction ends.

    Raises:
        Conflict: the head is not signed by this instance or is not where the chain ends: continuing it would hide that.
    """
    head = standing_head(uow)
    if not is_signed(head.number, head.hash, head.signature):
        raise Conflict(
            "The head of the audit log is not signed with this instance's secret_key: it was altered, or the key was "
            "changed. Look with: crm audit verify. If the key was changed: crm audit head --accept"
        )
    last = uow.session.scalar(sa.select(sa.func.max(AuditSeal.number))) or 0
    if last != head.number:
        raise Conflict(
            f"The chain of the audit log ends at row {last}, its head says {head.number}. Look with: crm audit verify"
        )
    return head


def accept_head(uow: UnitOfWork) -> AuditHead:
    """Sign the head anew after ``secret_key`` was changed, and leave an audit row that says so.

    Raises:
        Conflict: there is none yet.
    """
    if head_of(uow) is None:
        raise Conflict("Nothing of the audit log is sealed yet. Seal it with: crm audit head")
    head = standing_head(uow)
    head.signature = signature_of(head.number, head.hash)
    facts = {"number": head.number, "hash": head.hash.hex()}
    record_audit_many(uow, RECORD_TYPE, "head_accepted", [AuditRow(None, None, facts)])
    return head


def standing_head(uow: UnitOfWork) -> AuditHead:
    """Return the head, which nobody else moves until this transaction ends; made where there is none yet. Not checked."""
    # Where two seal for the first time at once, the database lets one insert and makes the other wait for it.
    insert = _insert(uow)(AuditHead).values(
        id=THE_HEAD,
        number=0,
        hash=GENESIS,
        signature=signature_of(0, GENESIS),
        sealed_at=uow.now,
        settled_id=0,
        mark_holders=[],
    )
    query = sa.select(AuditHead).where(AuditHead.id == THE_HEAD).with_for_update()
    query = query.execution_options(populate_existing=True)
    found = uow.session.scalar(query)
    if found is None:
        uow.session.execute(insert.on_conflict_do_nothing())
        found = uow.session.scalars(query).one()
    return found


def exported_head(head: AuditHead | None) -> dict[str, Any]:
    """Return the head as JSON-ready values, to be kept where nobody who reaches the database can change it."""
    if head is None:
        return {"number": 0, "hash": GENESIS.hex(), "signature": signature_of(0, GENESIS).hex(), "sealed_at": None}
    found = {"number": head.number, "hash": head.hash.hex(), "signature": head.signature.hex()}
    return {**found, "sealed_at": head.sealed_at.isoformat()}


def _insert(uow: UnitOfWork) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.insert if uow.session.get_bind().dialect.name == "sqlite" else postgresql.insert
