"""What a rule would do: for one record, tried and taken back; for past events, counted and sampled without effects.

What was counted is what ``replay_jobs`` then carries out: it is named by its first and last event and the rule's version.

A replay asks today's records whether the condition holds: what a record was when the event happened is not kept. Records
that are gone since, or that the rule's principal does not see, are counted apart.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow
from crm_kernel.access.audit_reading.wording import Told, titles_of, told_by
from crm_kernel.access.policy import allowed, visible
from crm_kernel.access.trail import net_changes
from crm_kernel.errors import Conflict, CrmError, InvalidInput
from crm_kernel.events.models import StoredEvent
from crm_kernel.records.plan import record_type as type_named
from crm_kernel.records.reading import record_of
from crm_kernel.rules.definition import problem_of
from crm_kernel.rules.matching import Verdict, condition_of, matching, verdict_on
from crm_kernel.rules.models import Outcome, Rule, RuleRun
from crm_kernel.rules.principals import AS_SYSTEM, acting_as, principal_of
from crm_kernel.rules.running import TRANSIENT, perform_actions, said
from crm_kernel.rules.subjects import subjects_of
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.rules")

#: Events looked at per statement, and records shown as a sample.
BATCH, SAMPLE = 500, 10


@dataclass(frozen=True, slots=True)
class Counted:
    """The events that were counted: the rule's since a time, from the first to the last; and for which version of it."""

    since: dt.datetime
    first: UUID
    last: UUID
    version: int


@dataclass(slots=True)
class Replay:
    """What a rule would have done since a time; ``sample`` holds ids and titles that the one who asks sees."""

    since: dt.datetime
    #: The rule's version that was asked.
    version: int = 1
    #: The oldest and the newest event looked at, and when the oldest happened; None if there was none.
    first: UUID | None = None
    last: UUID | None = None
    first_at: dt.datetime | None = None
    #: Events of the rule's name since, and those of which a record fits now.
    events: int = 0
    matched: int = 0
    #: Records of the events, each once; those that fit, do not fit, or are gone or not seen.
    records: int = 0
    fitting: int = 0
    not_fitting: int = 0
    gone: int = 0
    #: Matched events for which the rule has done its actions already, and those it has not.
    already_done: int = 0
    left: int = 0
    #: Month (``2026-11``) in the time zone of whoever asks → events of it that are left, latest first.
    months: dict[str, int] = field(default_factory=dict)
    #: Whether there were more events than were looked at.
    truncated: bool = False
    #: Whom it was asked as.
    as_: str = ""
    sample: list[dict[str, str]] = field(default_factory=list)

    @property
    def counted(self) -> Counted | None:
        """What to carry out; None if there is nothing."""
        if self.first is None or self.last is None or not self.left:
            return None
        return Counted(self.since, self.first, self.last, self.version)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rule would do with one record now."""

    verdict: Verdict
    #: Why an action is refused, None if none is.
    refused: str | None
    #: The changes of each record it would touch: (record type, action, values before and after).
    changes: Sequence[tuple[str, str, Sequence[Told]]] = ()
    #: Wire names of the events it would tell.
    events: tuple[str, ...] = ()


class _TakenBack(Exception):
    """Ends the savepoint of a rehearsal."""


def rehearse(uow: UnitOfWork, rule: Rule, record: UUID) -> Rehearsal:
    """Try a rule on a record the actor sees and take everything back; a writing unit of work is needed.

    Raises:
        NotFound: there is no such record, or none the actor may see.
        Conflict: the rule cannot run; the text says why.
    """
    found = type_named(rule.record_type)
    record_of(uow, found, record)
    with acting_as(uow, _asked_as(uow, rule)):
        _refuse_inert(uow, rule)
        verdict = verdict_on(uow, found, condition_of(uow, found, rule.condition), record)
        if not verdict.matched:
            return Rehearsal(verdict, None)
        return _tried(uow, rule, found, record, verdict)


def replay(uow: UnitOfWork, rule: Rule, since: dt.datetime, *, limit: int | None = None) -> Replay:
    """Count what a rule would have done for the events since a time, newest first; a few queries per 500 events.

    Args:
        since: aware.
        limit: most events to look at.

    Raises:
        Conflict: the rule follows a schedule, or cannot run.
    """
    if not rule.event:
        raise Conflict(_("The rule follows a schedule: there are no events to replay. Try it on a record instead."))
    found, actor = type_named(rule.record_type), _asked_as(uow, rule)
    result, here = Replay(since, rule.version, as_=actor.name), ZoneInfo(uow.actor.timezone)
    known: dict[UUID, str] = {}
    with acting_as(uow, actor):
        _refuse_inert(uow, rule)
        for batch in _events(uow, rule, result, limit):
            months = {stored.uid: f"{stored.occurred_at.astimezone(here):%Y-%m}" for stored in batch}
            for event in _count(uow, rule, found, batch, result, known):
                result.left += 1
                result.months[months[event]] = result.months.get(months[event], 0) + 1
    result.records = len(known)
    for outcome in known.values():
        setattr(result, outcome, getattr(result, outcome) + 1)
    fitting = [uid for uid, outcome in known.items() if outcome == "fitting"][: SAMPLE * 10]
    result.sample = _sample(uow, found, fitting)
    return result


def _asked_as(uow: UnitOfWork, rule: Rule) -> Actor:
    """Return whom a rule is tried as: its principal, where that tells the actor nothing he may not know; else himself."""
    principal = principal_of(uow, rule)
    own = principal is not None and principal.user_uid is not None and principal.user_uid == uow.actor.user_uid
    if principal is None or not (own or uow.actor.kind == "system" or allowed(uow.actor, AS_SYSTEM)):
        return uow.actor
    return principal


def _refuse_inert(uow: UnitOfWork, rule: Rule) -> None:
    problem = problem_of(uow, rule)
    if problem is not None:
        raise Conflict(_("The rule cannot run: %(problem)s", problem=problem))


def _tried(uow: UnitOfWork, rule: Rule, found: RecordType, record: UUID, verdict: Verdict) -> Rehearsal:
    before = len(uow.events)
    changes: list[tuple[str, str, Sequence[Told]]] = []
    names: tuple[str, ...] = ()
    try:
        with attempt(uow):
            perform_actions(uow, rule, found, record)
            changes = _changes(uow)
            names = tuple(event.name for event in uow.events[before:])
            raise _TakenBack
    except _TakenBack:
        return Rehearsal(verdict, None, changes, names)
    except TRANSIENT:
        raise
    except InvalidInput as error:
        return Rehearsal(verdict, "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.errors.items()))
    except CrmError as error:
        return Rehearsal(verdict, str(error))
    except Exception as error:  # an action of a module may fail in any way
        log.exception("rule %s (%s): an action failed on trial for %s %s", rule.uid, rule.name, found.name, record)
        return Rehearsal(verdict, said(error))


def _changes(uow: UnitOfWork) -> list[tuple[str, str, Sequence[Told]]]:
    """Return what the unit has changed so far, as the audit log would tell it to the actor."""
    from types import SimpleNamespace

    from crm_kernel.access.audit import plain

    found = list(net_changes(uow.audited.values()))
    rows = [
        SimpleNamespace(
            record_type=change.record_type.name,
            record_uid=change.uid or UUID(int=0),
            before=plain(AuditRow(change.uid, change.before).before),
            after=plain(AuditRow(change.uid, None, change.after).after),
        )
        for change in found
    ]
    return [
        (change.record_type.name, change.action, told) for change, told in zip(found, told_by(uow, rows), strict=True)
    ]


def _events(uow: UnitOfWork, rule: Rule, result: Replay, limit: int | None) -> Iterator[Sequence[StoredEvent]]:
    """Yield the rule's events since the time, newest first, along the index of their names."""
    last: int | None = None
    while True:
        query = sa.select(StoredEvent).where(StoredEvent.name == rule.event).order_by(StoredEvent.id.desc())
        query = query.limit(BATCH) if last is None else query.where(StoredEvent.id < last).limit(BATCH)
        found = uow.session.scalars(query).all()
        # An event has the time its unit of work began at: a long one stores late what happened early.
        rows = [row for row in found if row.occurred_at >= result.since]
        if limit is not None and result.events + len(rows) > limit:
            rows, result.truncated = rows[: limit - result.events], True
        result.events += len(rows)
        if rows:
            result.first, result.first_at, result.last = rows[-1].uid, rows[-1].occurred_at, result.last or rows[0].uid
            yield rows
        if result.truncated or not rows or len(found) < BATCH:
            return
        last = found[-1].id


def _count(
    uow: UnitOfWork,
    rule: Rule,
    found: RecordType,
    batch: Sequence[StoredEvent],
    result: Replay,
    known: dict[UUID, str],
) -> list[UUID]:
    """Count a batch and return its events that fit and have not been done."""
    about = {stored.uid: [*subjects_in(uow, rule, stored)] for stored in batch}
    fresh = [uid for uids in about.values() for uid in uids if uid not in known]
    known |= standing(uow, rule, found, list(dict.fromkeys(fresh)))
    done = done_of(uow, rule, list(about))
    left = []
    for event, uids in about.items():
        fitting = [uid for uid in uids if known[uid] == "fitting"]
        result.matched += bool(fitting)
        if fitting and all((event, uid) in done for uid in fitting):
            result.already_done += 1
        elif fitting:
            left.append(event)
    return left


def subjects_in(uow: UnitOfWork, rule: Rule, stored: StoredEvent) -> Sequence[UUID]:
    """Return the records that a stored event is about; none if it was stored by another version of its module."""
    try:
        return subjects_of(uow, stored, rule.record_type)
    except ValueError:
        return ()


def standing(uow: UnitOfWork, rule: Rule, found: RecordType, uids: list[UUID]) -> dict[UUID, str]:
    """Return how each record stands now: ``fitting``, ``not_fitting`` or ``gone``; two queries."""
    if not uids:
        return {}
    model = found.model
    seen = set(uow.session.scalars(sa.select(model.uid).where(model.uid.in_(uids), visible(uow.actor, found))))
    query = matching(uow, found, condition_of(uow, found, rule.condition), uids)
    fits = {row.uid for row in uow.session.execute(query)}
    return {uid: "fitting" if uid in fits else "not_fitting" if uid in seen else "gone" for uid in uids}


def done_of(uow: UnitOfWork, rule: Rule, events: list[UUID]) -> set[tuple[UUID, UUID]]:
    """Return the (event, record)s that the rule has done its actions for; one query."""
    query = sa.select(RuleRun.cause_uid, RuleRun.record_uid).where(
        RuleRun.rule_id == rule.id, RuleRun.cause_uid.in_(events), RuleRun.outcome == str(Outcome.DONE)
    )
    return {(cause, record) for cause, record in uow.session.execute(query)}


def _sample(uow: UnitOfWork, found: RecordType, uids: Sequence[UUID]) -> list[dict[str, str]]:
    from types import SimpleNamespace

    rows = [SimpleNamespace(record_type=found.name, record_uid=uid) for uid in uids]
    titles = titles_of(uow, rows)
    shown = [(uid, titles.get((found.name, uid))) for uid in uids]
    return [{"id": str(uid), "title": title} for uid, title in shown if title is not None][:SAMPLE]
