"""What the tests of the chain share: how long the sealed log is, where a row of it lies, and how one is deleted."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel.access.audit_chain.models import AuditSeal
from crm_kernel.access.models import AuditLog, AuditPayload

#: Rows of the fixture ``sealed``.
ROWS = 6


def kinds(result):
    """Return what a verification has found, in the order of the chain."""
    return [finding.kind for finding in result.findings]


def row_at(number):
    """Select the key of the audit row with this place in the chain."""
    return sa.select(AuditSeal.audit_id).where(AuditSeal.number == number).scalar_subquery()


def delete_row(connection, key, *, keep_seal=False):
    """Delete an audit row by its key, with its values, and its seal unless that is kept."""
    uid = connection.scalar(sa.select(AuditLog.uid).where(AuditLog.id == key))
    connection.execute(sa.delete(AuditPayload).where(AuditPayload.audit_uid == uid))
    connection.execute(sa.delete(AuditLog).where(AuditLog.id == key))
    if not keep_seal:
        connection.execute(sa.delete(AuditSeal).where(AuditSeal.audit_id == key))
