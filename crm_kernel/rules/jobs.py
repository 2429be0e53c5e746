"""The jobs of automation rules: one per event and rule that follows it, one per time of a schedule, one that forgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import Job, JobKind
from crm_kernel.events.models import StoredEvent
from crm_kernel.records.plan import record_types
from crm_kernel.rules.definition import problem_of
from crm_kernel.rules.matching import condition_of, matching
from crm_kernel.rules.models import RUN, Outcome, Rule, RuleRun
from crm_kernel.rules.principals import principal_of
from crm_kernel.rules.running import CHANNEL, note, run_for
from crm_kernel.rules.subjects import event_classes, subjects_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Names of the jobs.
SCHEDULED, FORGET = "kernel.run_scheduled_rule", "kernel.forget_rule_runs"
#: Records one transaction runs a rule for.
CHUNK = 100
_FORGOTTEN = 1_000


def rule_jobs() -> list[Job]:
    """Return the jobs of rules."""
    return [
        Job(name=RUN, handler=run_rule, kind=JobKind.CHUNKED, queue="rules"),
        Job(name=SCHEDULED, handler=run_scheduled, kind=JobKind.CHUNKED, queue="rules"),
        Job(name=FORGET, handler=forget_runs, kind=JobKind.CHUNKED, queue="housekeeping", schedule="50 3 * * *"),
    ]


def run_rule(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run a rule for the records that one event is about; a bulk event is about many, a chunk at a time."""
    rule, stored = _rule(uow, payload), _event(uow, payload)
    if rule is None or stored is None or (not rule.enabled and not payload.get("replayed")):
        return None
    if stored.name not in event_classes() or rule.record_type not in record_types():
        # Which record it was about cannot be known without the module: the row stands for the event itself.
        _act(uow, rule, stored.request_id)
        note(uow, rule, stored.uid, stored.uid, Outcome.INERT, reason=problem_of(uow, rule) or stored.name)
        return None
    start = (payload.get("checkpoint") or {"next": 0})["next"]
    if payload.get("replayed") and not start:
        # What it did stays done; that it did not match, or failed, was said of what was there then.
        undone = sa.and_(RuleRun.rule_id == rule.id, RuleRun.cause_uid == stored.uid, RuleRun.outcome != Outcome.DONE)
        uow.session.execute(sa.delete(RuleRun).where(undone))
    uids = list(subjects_of(uow, stored, rule.record_type))
    _run(uow, rule, uids[start : start + CHUNK], stored.uid, stored.request_id)
    following = start + CHUNK
    return {"next": following, "progress": {"done": following, "total": len(uids)}} if following < len(uids) else None


def run_scheduled(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run a rule for every record that fits it now; each chunk goes on after the last record of the one before."""
    rule = _rule(uow, payload)
    record_type = None if rule is None else record_types().get(rule.record_type)
    if rule is None or record_type is None or not rule.enabled:
        return None
    here = payload.get("checkpoint") or {"after": 0, "cause": str(uuid7()), "done": 0}
    cause = UUID(here["cause"])
    actor = _act(uow, rule, f"rule-{cause.hex}")
    problem = problem_of(uow, rule)
    if actor is None or problem is not None:
        note(uow, rule, rule.uid, cause, Outcome.INERT, reason=problem or _NOBODY)
        return None
    query = matching(uow, record_type, condition_of(uow, record_type, rule.condition))
    rows = uow.session.execute(query.where(record_type.model.id > here["after"]).limit(CHUNK)).all()
    run_for(uow, rule, [row.uid for row in rows], cause)
    done = here["done"] + len(rows)
    if len(rows) < CHUNK:
        return None
    return {"after": rows[-1].id, "cause": str(cause), "done": done, "progress": {"done": done}}


def forget_runs(uow: UnitOfWork, _payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete the oldest rows of the log that are older than the setting ``rule_days``."""
    cutoff = uow.now - dt.timedelta(days=runtime_of(current_app).config.rule_days)
    old = sa.select(RuleRun.id).where(RuleRun.at < cutoff).order_by(RuleRun.at).limit(_FORGOTTEN)
    keys = list(uow.session.scalars(old))
    uow.session.execute(sa.delete(RuleRun).where(RuleRun.id.in_(keys)))
    return {"more": True} if len(keys) == _FORGOTTEN else None


_NOBODY = "whom it ran as is gone or deactivated: let somebody else enable it"


def _run(uow: UnitOfWork, rule: Rule, uids: list[UUID], cause: UUID, request_id: str) -> None:
    if _act(uow, rule, request_id) is None:
        for uid in uids:
            note(uow, rule, uid, cause, Outcome.INERT, reason=_NOBODY)
        return
    run_for(uow, rule, uids, cause)


def _act(uow: UnitOfWork, rule: Rule, request_id: str) -> Actor | None:
    """Let the unit be the rule's: its principal, its channel, the request that led to it. None if nobody is left."""
    actor = principal_of(uow, rule)
    uow.channel, uow.request_id = CHANNEL, request_id
    if actor is not None:
        uow.actor = actor
    return actor


def _rule(uow: UnitOfWork, payload: Mapping[str, Any]) -> Rule | None:
    return uow.session.scalars(sa.select(Rule).where(Rule.uid == UUID(payload["rule"]))).one_or_none()


def _event(uow: UnitOfWork, payload: Mapping[str, Any]) -> StoredEvent | None:
    return uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.uid == UUID(payload["event"]))).one_or_none()
