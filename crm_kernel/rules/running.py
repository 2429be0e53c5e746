"""Runs a rule for one record and cause: once, with the rights of its principal, and never without a word in its log.

The row of the log and everything the actions did commit together; a refused action takes back those before it. An error
of the database is nobody's answer: it leaves no row, and the job is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm.exc import StaleDataError

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import CrmError, DatabaseUnavailable, InvalidInput, StaleVersion
from crm_kernel.records.plan import record_types
from crm_kernel.records.reading import record_of
from crm_kernel.rules.definition import loaded_params, problem_of
from crm_kernel.rules.matching import condition_of, verdict_on
from crm_kernel.rules.models import Outcome, Rule, RuleRun
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.records.filter_tree import Node
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.rules")

#: Nobody's answer: the job is tried again.
TRANSIENT = (DatabaseUnavailable, StaleVersion, StaleDataError, sa.exc.OperationalError)

#: The channel of what rules do, in the audit log and in events.
CHANNEL = "rule"


def run_for(uow: UnitOfWork, rule: Rule, uids: Iterable[UUID], cause: UUID) -> int:
    """Run a rule for records it has not run for because of this cause; returns how often its actions were done.

    The unit acts as the rule's principal by now. About three queries and what the actions cost per record.
    """
    wanted = list(uids)
    fresh = [uid for uid in wanted if uid not in _answered(uow, rule, wanted, cause)]
    stopped = _stopped(uow, rule) if fresh else None
    if stopped is not None:
        for uid in fresh:
            note(uow, rule, uid, cause, stopped[0], reason=stopped[1])
        return 0
    record_type = record_types().get(rule.record_type)
    if record_type is None or not fresh:
        return 0
    node = condition_of(uow, record_type, rule.condition)
    return sum(_run(uow, rule, record_type, node, uid, cause) for uid in fresh)


def note(
    uow: UnitOfWork,
    rule: Rule,
    uid: UUID,
    cause: UUID,
    outcome: Outcome,
    *,
    reason: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Add a row to the rule's log."""
    uow.session.add(
        RuleRun(
            rule_id=rule.id,
            rule_version=rule.version,
            record_type=rule.record_type,
            record_uid=uid,
            cause_uid=cause,
            outcome=str(outcome),
            reason=reason,
            details=details,
            causation_depth=uow.causation_depth,
            at=uow.now,
        )
    )


def note_passed_over(uow: UnitOfWork, rule: Rule, cause: UUID, reason: str) -> None:
    """Say in a rule's log that it was not even asked which records a cause is about, and why; once per cause."""
    if rule.uid not in _answered(uow, rule, [rule.uid], cause):
        note(uow, rule, rule.uid, cause, Outcome.INERT, reason=reason)


def perform_actions(uow: UnitOfWork, rule: Rule, record_type: RecordType, uid: UUID) -> None:
    """Do a rule's actions with one record, in order, as the unit's actor.

    Raises:
        CrmError: one is refused; the caller takes back what those before it did.
    """
    for use in rule.actions:
        action, params = loaded_params(record_type, use)
        action.run(uow, record_of(uow, record_type, uid), **params)
        uow.session.flush()


def _answered(uow: UnitOfWork, rule: Rule, uids: list[UUID], cause: UUID) -> set[UUID]:
    query = sa.select(RuleRun.record_uid).where(
        RuleRun.rule_id == rule.id, RuleRun.cause_uid == cause, RuleRun.record_uid.in_(uids)
    )
    return set(uow.session.scalars(query))


def _stopped(uow: UnitOfWork, rule: Rule) -> tuple[Outcome, str] | None:
    """Return why a rule does not even look at its records, or None."""
    limit = runtime_of(current_app).config.rule_depth
    if uow.causation_depth > limit:
        log.warning(
            "rule %s (%s): %s events led to it, at most %s may", rule.uid, rule.name, uow.causation_depth, limit
        )
        return Outcome.LOOP, f"{uow.causation_depth} events led to it, at most {limit} may (rule_depth)"
    problem = problem_of(uow, rule)
    return None if problem is None else (Outcome.INERT, problem)


def _run(uow: UnitOfWork, rule: Rule, record_type: RecordType, node: Node | None, uid: UUID, cause: UUID) -> bool:
    verdict = verdict_on(uow, record_type, node, uid)
    if not verdict.matched:
        details = {"failed": list(verdict.failed)} if verdict.seen else {"unseen": True}
        note(uow, rule, uid, cause, Outcome.NOT_MATCHED, details=details)
        return False
    try:
        with attempt(uow):
            perform_actions(uow, rule, record_type, uid)
    except TRANSIENT:
        raise
    except Exception as error:  # an action of a module may fail in any way
        if not isinstance(error, CrmError):
            log.exception("rule %s (%s): an action failed for %s %s", rule.uid, rule.name, rule.record_type, uid)
        note(uow, rule, uid, cause, Outcome.FAILED, reason=said(error))
        return False
    note(uow, rule, uid, cause, Outcome.DONE)
    return True


def said(error: Exception) -> str:
    """Return what an action said; of refused input the names of the fields alone: messages may repeat values."""
    if isinstance(error, InvalidInput):
        return f"InvalidInput: {', '.join(sorted(error.errors))}"
    told = isinstance(error, CrmError)
    return f"{type(error).__name__}: {error}"[:500] if told else f"{type(error).__name__}: see the log of the server"
