"""Carries out a replay: the events that were counted, the oldest first, a hundred records per transaction.

One job does it, so that it can be followed and cancelled, live events take turns with it, and one rule has one replay at a
time. It goes on from its checkpoint; what is done is in the rule's log and not done again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.access.policy import authorize
from crm_kernel.contributions import Job, JobKind
from crm_kernel.errors import Conflict
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.queries import PENDING
from crm_kernel.jobs.services import cancel_job, enqueue
from crm_kernel.records.plan import record_types
from crm_kernel.rules.definition import DOES, problem_of
from crm_kernel.rules.jobs import NOBODY, act_for, log_of, rule_in
from crm_kernel.rules.models import Outcome, Rule, RuleRun
from crm_kernel.rules.principals import AS_SYSTEM, principal_of
from crm_kernel.rules.replaying import done_of, standing, subjects_in
from crm_kernel.rules.running import note, run_for

if TYPE_CHECKING:
    from crm_kernel.rules.replaying import Counted
    from crm_kernel.unit_of_work import UnitOfWork

#: The job.
REPLAY = "kernel.replay_rule"
#: Records one transaction runs a rule for, and events it looks at, at most.
CHUNK = 100
#: The reason of a replay that was counted for what the rule said before.
CHANGED = "it was changed since its events were counted: count them again"


def replay_jobs() -> list[Job]:
    """Return the job that carries out a replay."""
    return [Job(name=REPLAY, handler=replay_rule, kind=JobKind.CHUNKED, queue="rules", result=log_of)]


def apply_replay(uow: UnitOfWork, rule: Rule, counted: Counted) -> int:
    """Let a rule run in the background for the events that were counted; returns the job's key, in three queries.

    Raises:
        Conflict: a replay of the rule is under way, or the rule or its events have changed since they were counted.
        Forbidden: the rule's rights are not the actor's to use.
    """
    _refuse_foreign(uow, rule)
    # Two clicks at once: the second waits here and finds the job of the first. Who changes the rule is waited for as well, and
    # what it says by then is read again.
    own = sa.select(Rule).where(Rule.id == rule.id).with_for_update(key_share=True)
    there = uow.session.scalars(own.execution_options(populate_existing=True)).one_or_none()
    if _pending(uow, rule):
        raise Conflict(_("A replay of this rule is under way: wait for it, or cancel it."))
    ends = sa.select(StoredEvent.uid, StoredEvent.id).where(StoredEvent.uid.in_((counted.first, counted.last)))
    keys = {row.uid: row.id for row in uow.session.execute(ends.where(StoredEvent.name == rule.event))}
    if there is None or rule.version != counted.version or keys.keys() != {counted.first, counted.last}:
        raise Conflict(_("The rule has changed since its events were counted: count them again."))
    facts = {"since": counted.since.isoformat(), "first": keys[counted.first], "last": keys[counted.last]}
    total = uow.session.scalar(_events(rule, facts, sa.func.count()))
    asked = {"rule": str(rule.uid), "says": _said(rule), "cause": str(uuid7()), "request": uow.request_id}
    payload = {**asked, "total": total, **facts}
    return enqueue(uow, REPLAY, payload, partition=str(rule.uid))


def stop_replay(uow: UnitOfWork, rule: Rule) -> None:
    """Cancel the replay of a rule that is changed: what is left was counted for what the rule said before."""
    for uid in _pending(uow, rule):
        cancel_job(uow, uid)


def last_replay(uow: UnitOfWork, rule: Rule) -> JobRow | None:
    """Return the job of the rule's latest replay, as long as it is kept; one query."""
    query = sa.select(JobRow).where(*_of(rule)).order_by(JobRow.id.desc()).limit(1)
    return uow.session.scalars(query).one_or_none()


def replay_rule(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run a rule for the next of the events that were counted, and return where to go on; None at the end."""
    rule = rule_in(uow, payload)
    if rule is None:
        return None
    actor, cause = act_for(uow, rule, payload["request"]), UUID(payload["cause"])
    # Who changed it while the replay was being asked for did not see it, and so did not cancel it.
    problem = problem_of(uow, rule) if payload.get("says") == _said(rule) else CHANGED
    if actor is None or problem is not None:
        note(uow, rule, rule.uid, cause, Outcome.INERT, reason=problem or NOBODY)
        return None
    here = payload.get("checkpoint") or {"after": payload["first"] - 1, "skip": 0, "looked": 0, "ran": 0}
    query = _events(rule, payload, StoredEvent).where(StoredEvent.id > here["after"])
    events = uow.session.scalars(query.order_by(StoredEvent.id).limit(CHUNK)).all()
    if not events:
        return None
    pairs, number, skip = _next(uow, rule, events, here["skip"])
    ran, looked = here["ran"] + _run(uow, rule, pairs), here["looked"] + number
    progress = {"done": looked, "total": payload["total"]}
    after = events[number - 1].id if number else here["after"]
    return {"after": after, "skip": skip, "looked": looked, "ran": ran, "progress": progress}


def _said(rule: Rule) -> str:
    """Return a digest of what a rule does: a new name leaves its replay alone, and so does enabling it."""
    said = json.dumps([getattr(rule, name) for name in DOES], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _refuse_foreign(uow: UnitOfWork, rule: Rule) -> None:
    principal = principal_of(uow, rule)
    if principal is None or principal.user_uid != uow.actor.user_uid:
        authorize(uow.actor, AS_SYSTEM)


def _of(rule: Rule) -> tuple[sa.ColumnElement[bool], ...]:
    # As the index of partitions says it.
    return JobRow.partition == str(rule.uid), JobRow.event_id.is_(None), JobRow.name == REPLAY


def _pending(uow: UnitOfWork, rule: Rule) -> Sequence[UUID]:
    return uow.session.scalars(sa.select(JobRow.uid).where(*_of(rule), JobRow.state.in_(PENDING))).all()


def _events(rule: Rule, facts: Mapping[str, Any], what: Any) -> sa.Select[Any]:
    within = StoredEvent.id.between(facts["first"], facts["last"])
    since = dt.datetime.fromisoformat(facts["since"])
    return sa.select(what).where(StoredEvent.name == rule.event, within, StoredEvent.occurred_at >= since)


def _next(
    uow: UnitOfWork, rule: Rule, events: Sequence[StoredEvent], skip: int
) -> tuple[list[tuple[UUID, UUID]], int, int]:
    """Return the next (event, record)s, how many events are through with them, and how many records of the one after."""
    pairs: list[tuple[UUID, UUID]] = []
    for number, stored in enumerate(events):
        for place, uid in enumerate(subjects_in(uow, rule, stored)):
            if number == 0 and place < skip:
                continue
            if len(pairs) == CHUNK:
                return pairs, number, place
            pairs.append((stored.uid, uid))
    return pairs, len(events), 0


def _run(uow: UnitOfWork, rule: Rule, pairs: Sequence[tuple[UUID, UUID]]) -> int:
    """Run a rule for those that fit and are not done; returns how often its actions were done."""
    found = record_types()[rule.record_type]
    known = standing(uow, rule, found, list(dict.fromkeys(uid for _event, uid in pairs)))
    done = done_of(uow, rule, list(dict.fromkeys(event for event, _uid in pairs)))
    left = [pair for pair in pairs if known[pair[1]] == "fitting" and pair not in done]
    ran = 0
    for event, group in groupby(left, key=lambda pair: pair[0]):
        uids = [uid for _event, uid in group]
        # That it did not match, or failed, was said of what was there then.
        said = sa.and_(RuleRun.rule_id == rule.id, RuleRun.cause_uid == event, RuleRun.record_uid.in_(uids))
        uow.session.execute(sa.delete(RuleRun).where(said, RuleRun.outcome != Outcome.DONE))
        ran += run_for(uow, rule, uids, event)
    return ran
