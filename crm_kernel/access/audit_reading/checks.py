"""The last verification of the audit log: made every night and when asked for, kept so that a page can show it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crm_kernel._internal.modules import SettingRow
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit_chain import exported_head, seal_all, verify
from crm_kernel.access.audit_chain.heads import head_of
from crm_kernel.access.audit_chain.links import is_signed
from crm_kernel.contributions import Job, JobKind
from crm_kernel.errors import Conflict
from crm_kernel.unit_of_work import reading, writing

if TYPE_CHECKING:
    from crm_kernel.access.audit_chain import Verification
    from crm_kernel.unit_of_work import UnitOfWork

#: The job's name.
VERIFY = "kernel.verify_audit"
#: Row of ``setting`` with the last result.
_LAST = "audit.verified"


def check_jobs() -> list[Job]:
    """Return the job that verifies the log every night; it reads outside of any writing transaction."""
    return [Job(name=VERIFY, handler=_verify, kind=JobKind.OUTSIDE, schedule="20 4 * * *", queue="housekeeping")]


def keep_result(uow: UnitOfWork, found: Verification) -> None:
    """Remember a verification as the last one."""
    first = found.findings[0].text if found.findings else ""
    value = {"at": uow.now.isoformat(), "found": found.found, "first": first, "sealed": found.sealed}
    row = uow.session.get(SettingRow, _LAST)
    if row is None:
        uow.session.add(SettingRow(name=_LAST, value=value))
    else:
        row.value = value


def state_of_log(uow: UnitOfWork) -> dict[str, Any]:
    """Return how the log stands: its head, whether this instance signed it, the last verification. Two queries.

    ``head`` as ``exported_head`` gives it; ``verified_at`` (aware, or None), ``found`` and ``first`` of the last check.
    """
    head = head_of(uow)
    row = uow.session.get(SettingRow, _LAST)
    last: Mapping[str, Any] = row.value if row is not None else {}
    return {
        "head": exported_head(head),
        "sealed_at": None if head is None else head.sealed_at,
        "signed": head is None or is_signed(head.number, head.hash, head.signature),
        "verified_at": dt.datetime.fromisoformat(last["at"]) if last else None,
        "found": last.get("found", 0),
        "first": last.get("first", ""),
    }


def _verify(_payload: Mapping[str, Any]) -> Callable[[UnitOfWork], None]:
    with suppress(Conflict):  # a chain that is broken at its end is not continued: the verification says what is wrong
        seal_all(lambda: writing(SYSTEM, channel="job"))
    with reading(SYSTEM, channel="job") as uow:
        found = verify(uow)
    return lambda uow: keep_result(uow, found)
