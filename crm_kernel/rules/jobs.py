"""The jobs of automation rules: one per event and rule that follows it, one per time of a schedule, one that forgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, url_for
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import Job, JobKind
from crm_kernel.events.models import StoredEvent
from crm_kernel.records.plan import record_types
from crm_kernel.rules.definition import problem_of
from crm_kernel.rules.matching import condition_of, matching
from crm_kernel.rules.models import RUN, Outcome, Rule, RuleRun
from crm_kernel.rules.principals import principal_of
from crm_kernel.rules.running import CHANNEL, note, note_passed_over, run_for
from crm_kernel.rules.subjects import event_classes, subjects_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Names of the jobs.
SCHEDULED, FORGET = "kernel.run_scheduled_rule", "kernel.forget_rule_runs"
#: Records one transaction runs a rule for.
CHUNK = 100
_FORGOTTEN = 1_000
#: The reason of a rule that nobody is left to run as.
NOBODY = "whom it ran as is gone or deactivated: let somebody else enable it"
_DISABLED = "it was disabled before its turn came"


def rule_jobs() -> list[Job]:
    """Return the jobs of rules."""
    return [
        Job(name=RUN, handler=run_rule, kind=JobKind.CHUNKED, queue="rules", result=log_of),
        Job(
            name=SCHEDULED,
            handler=run_scheduled,
            kind=JobKind.CHUNKED,
            queue="rules",
            result=log_of,
            scheduled_by="rule",
        ),
        Job(name=FORGET, handler=forget_runs, kind=JobKind.CHUNKED, queue="housekeeping", schedule="50 3 * * *"),
    ]


def run_rule(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run a rule for the records that one event is about; a bulk event is about many, a chunk at a time."""
    rule, stored = rule_in(uow, payload), _event(uow, payload)
    if rule is None or stored is None:
        return None
    if not rule.enabled or stored.name != rule.event:
        # Its condition and actions were written for what it follows now.
        reason = _DISABLED if not rule.enabled else "it follows another event by now"
        note_passed_over(uow, rule, stored.uid, reason)
        return None
    if stored.name not in event_classes() or rule.record_type not in record_types():
        # Which record it was about cannot be known without the module: the row stands for the event itself.
        act_for(uow, rule, stored.request_id)
        note(uow, rule, stored.uid, stored.uid, Outcome.INERT, reason=problem_of(uow, rule) or stored.name)
        return None
    start = (payload.get("checkpoint") or {"next": 0})["next"]
    try:
        uids = list(subjects_of(uow, stored, rule.record_type))
    except ValueError:  # later events about the same customer would wait for as long as this is tried again
        note_passed_over(uow, rule, stored.uid, f"another version of its module stored {stored.name}")
        return None
    _run(uow, rule, uids[start : start + CHUNK], stored.uid, stored.request_id)
    following = start + CHUNK
    return {"next": following, "progress": {"done": following, "total": len(uids)}} if following < len(uids) else None


def run_scheduled(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run a rule for every record that fits it now; each chunk goes on after the last record of the one before."""
    rule = rule_in(uow, payload)
    record_type = None if rule is None else record_types().get(rule.record_type)
    if rule is None or record_type is None:
        return None
    here = payload.get("checkpoint") or {"after": 0, "cause": str(uuid7()), "done": 0}
    cause = UUID(here["cause"])
    if not rule.enabled or not rule.cron:
        reason = _DISABLED if not rule.enabled else "it follows an event by now, no schedule"
        note_passed_over(uow, rule, cause, reason)
        return None
    actor = act_for(uow, rule, f"rule-{cause.hex}")
    problem = problem_of(uow, rule)
    if actor is None or problem is not None:
        note(uow, rule, rule.uid, cause, Outcome.INERT, reason=problem or NOBODY)
        return None
    query = matching(uow, record_type, condition_of(uow, record_type, rule.condition))
    rows = uow.session.execute(query.where(record_type.model.id > here["after"]).limit(CHUNK)).all()
    run_for(uow, rule, [row.uid for row in rows], cause)
    done = here["done"] + len(rows)
    if len(rows) < CHUNK:
        return None
    return {"after": rows[-1].id, "cause": str(cause), "done": done, "progress": {"done": done}}


def forget_runs(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete rows of the log that are older than the setting ``rule_days``, the oldest first.

    What was done for an event stays as long as the event: a replay would do it a second time.
    """
    cutoff = uow.now - dt.timedelta(days=runtime_of(current_app).config.rule_days)
    replayable = sa.exists().where(StoredEvent.uid == RuleRun.cause_uid)
    kept = sa.and_(RuleRun.outcome == Outcome.DONE, replayable).label("kept")
    walk = sa.select(RuleRun.id, RuleRun.at, kept).order_by(RuleRun.id).limit(_FORGOTTEN)
    rows = uow.session.execute(walk.where(RuleRun.id > (payload.get("checkpoint") or {"after": 0})["after"])).all()
    old = [row for row in rows if row.at < cutoff]
    gone = [row.id for row in old if not row.kept]
    uow.session.execute(sa.delete(RuleRun).where(RuleRun.id.in_(gone)))
    return {"after": old[-1].id} if len(old) == _FORGOTTEN else None


def log_of(payload: Mapping[str, Any]) -> str:
    """Return the page that shows what a job of a rule does."""
    return url_for("rules.runs", uid=payload["rule"])


def _run(uow: UnitOfWork, rule: Rule, uids: list[UUID], cause: UUID, request_id: str) -> None:
    if act_for(uow, rule, request_id) is None:
        for uid in uids:
            note(uow, rule, uid, cause, Outcome.INERT, reason=NOBODY)
        return
    run_for(uow, rule, uids, cause)


def act_for(uow: UnitOfWork, rule: Rule, request_id: str) -> Actor | None:
    """Let the unit be the rule's: its principal, its channel, the request that led to it. None if nobody is left."""
    actor = principal_of(uow, rule)
    uow.channel, uow.request_id = CHANNEL, request_id
    if actor is not None:
        uow.actor = actor
    return actor


def rule_in(uow: UnitOfWork, payload: Mapping[str, Any]) -> Rule | None:
    """Return the rule that a job's payload names; None if it is gone."""
    return uow.session.scalars(sa.select(Rule).where(Rule.uid == UUID(payload["rule"]))).one_or_none()


def _event(uow: UnitOfWork, payload: Mapping[str, Any]) -> StoredEvent | None:
    return uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.uid == UUID(payload["event"]))).one_or_none()
