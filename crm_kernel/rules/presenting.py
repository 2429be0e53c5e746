"""What pages, API and command line say of a rule: when, if, then, as whom, whether it can run, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.audit_reading.wording import titles_of
from crm_kernel.access.policy import allowed, visible
from crm_kernel.jobs.models import JobState
from crm_kernel.records.pages.conditions import condition_text
from crm_kernel.records.pages.presenting import moment_text, record_url
from crm_kernel.records.plan import record_types
from crm_kernel.rules.definition import problem_of
from crm_kernel.rules.models import Outcome, Rule, RuleRun
from crm_kernel.rules.principals import AS_SYSTEM, acting_as, principal_of
from crm_kernel.rules.replay_jobs import last_replay
from crm_kernel.rules.wording import told_uses

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Outcome → word and color.
OUTCOMES: Mapping[str, tuple[Any, str]] = {
    Outcome.DONE: (_l("Done"), "green"),
    Outcome.NOT_MATCHED: (_l("Condition did not hold"), "gray"),
    Outcome.FAILED: (_l("Failed"), "red"),
    Outcome.LOOP: (_l("Stopped: a loop"), "orange"),
    Outcome.INERT: (_l("Could not run"), "orange"),
}


def rule_context(uow: UnitOfWork, rule: Rule) -> Mapping[str, Any]:
    """Return what the page of a rule shows beside its facts."""
    may_change = allowed(uow.actor, "rule.update", rule)
    return {
        "rule": rule,
        "condition_text": condition_text(uow, rule.record_type, rule.condition),
        "uses": told_uses(uow, rule),
        "problem": problem(uow, rule),
        "replay": _replay(uow, rule),
        "runs": described_runs(uow, runs_of(uow, rule, limit=10)),
        "may_change": may_change,
        "runs_url": url_for("rules.runs", uid=rule.uid),
        "try_url": url_for("rules.trial", uid=rule.uid) if may_change else None,
        "condition_url": url_for("rules.condition", uid=rule.uid) if may_change else None,
        "actions_url": url_for("rules.add_action", uid=rule.uid) if may_change else None,
        "command": f"crm rules show {rule.uid}",
    }


def _replay(uow: UnitOfWork, rule: Rule) -> dict[str, Any] | None:
    """Return how far the rule's latest replay is."""
    job = last_replay(uow, rule)
    if job is None:
        return None
    here = job.payload.get("checkpoint") or {"looked": 0, "ran": 0}
    numbers = {"looked": here["looked"], "ran": here["ran"], "total": job.payload["total"]}
    over = {JobState.DONE: _("Finished."), JobState.CANCELLED: _("Cancelled."), JobState.DEAD: _("Failed.")}
    return {"job": job, "state": over.get(JobState(job.state)), **numbers}


def problem(uow: UnitOfWork, rule: Rule) -> str | None:
    """Return why a rule cannot run, as its principal, or None."""
    actor = principal_of(uow, rule)
    if actor is None:
        return str(_("Whom it ran as is gone or deactivated: enable it anew."))
    with acting_as(uow, actor):
        return problem_of(uow, rule)


def runs_of(
    uow: UnitOfWork, rule: Rule, *, limit: int, before: UUID | None = None, outcome: str | None = None
) -> Sequence[RuleRun]:
    """Return the rule's log, newest first, of the records that the actor sees; one query along an index."""
    query = sa.select(RuleRun).where(RuleRun.rule_id == rule.id).order_by(RuleRun.id.desc()).limit(limit)
    if outcome:
        query = query.where(RuleRun.outcome == outcome)
    if before is not None:
        query = query.where(RuleRun.id < sa.select(RuleRun.id).where(RuleRun.uid == before).scalar_subquery())
    if not allowed(uow.actor, AS_SYSTEM):
        query = query.where(_of_seen_records(uow, rule))
    return uow.session.scalars(query).all()


def described_runs(uow: UnitOfWork, runs: Sequence[RuleRun]) -> list[dict[str, Any]]:
    """Return rows of the log as a table shows them; one query for the titles."""
    titles = titles_of(uow, runs)
    return [_run(uow, run, titles.get((run.record_type, run.record_uid))) for run in runs]


def why(uow: UnitOfWork, run: RuleRun) -> str:
    """Return in words why a rule did nothing, or what stopped it."""
    details = run.details or {}
    if details.get("unseen"):
        return str(_("The record is gone, or the rule does not see it."))
    if "failed" in details:
        parts = [condition_text(uow, run.record_type, part) for part in details["failed"]]
        return str(_("Did not hold: %(parts)s", parts="; ".join(parts)))
    return run.reason or ""


def _of_seen_records(uow: UnitOfWork, rule: Rule) -> sa.ColumnElement[bool]:
    found = record_types().get(rule.record_type)
    if found is None:
        return sa.false()
    model = found.model
    seen = sa.select(model.id).where(model.uid == RuleRun.record_uid, visible(uow.actor, found))
    return sa.or_(RuleRun.record_uid == rule.uid, seen.correlate(RuleRun).exists())


def _run(uow: UnitOfWork, run: RuleRun, title: str | None) -> dict[str, Any]:
    label, color = OUTCOMES.get(run.outcome, (run.outcome, "gray"))
    found = record_types().get(run.record_type)
    return {
        "id": run.uid,
        "cells": {
            "at": {"text": moment_text(run.at, "medium")},
            "record": {"text": title or "–", "url": record_url(found, run.record_uid) if found and title else None},
            "outcome": {"text": str(label), "color": color},
            "why": {"text": why(uow, run)},
        },
    }
