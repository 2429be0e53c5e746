"""Writes automation rules. Whoever changes what a rule does, or enables it, is whom it runs as from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.jobs.models import JobSchedule
from crm_kernel.jobs.schedules import drop_schedule, schedule_job
from crm_kernel.rules.definition import DOES, check_rule
from crm_kernel.rules.jobs import SCHEDULED
from crm_kernel.rules.models import Rule
from crm_kernel.rules.principals import acting_as, principal_of, take_over
from crm_kernel.rules.replay_jobs import stop_replay

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_rule(uow: UnitOfWork, data: Mapping[str, Any]) -> Rule:
    """Create a rule, disabled, and return it.

    Raises:
        InvalidInput: it could never run; each field is named.
        Forbidden: it shall act as the system and the actor may not let it, or a limited token writes it.
    """
    rule = Rule(**{"timezone": "site", "actions": [], **data})
    check_rule(uow, _said(rule, {}))
    take_over(uow, rule)
    uow.session.add(rule)
    return rule


def update_rule(uow: UnitOfWork, rule: Rule, changes: Mapping[str, Any]) -> None:
    """Change a rule; an enabled one follows its new schedule at once, and a replay of what it said before stops.

    Raises:
        InvalidInput, Forbidden: as for ``create_rule``.
    """
    does = {name for name in DOES if name in changes and changes[name] != getattr(rule, name)}
    if does:
        check_rule(uow, _said(rule, changes))
    for name, value in changes.items():
        setattr(rule, name, value)
    if does:
        take_over(uow, rule)
        stop_replay(uow, rule)
    if rule.enabled and does:
        _keep_schedule(uow, rule)


def delete_rule(uow: UnitOfWork, rule: Rule) -> None:
    """Delete a rule with its run log; what it did stays."""
    _rest(uow, rule)
    uow.session.delete(rule)


def enable_rule(uow: UnitOfWork, rule: Rule) -> None:
    """Let a rule run from now on, as whoever enables it.

    Raises:
        Conflict: it is enabled already, or does nothing yet.
        InvalidInput: what it names is not there any more.
        Forbidden: as for ``create_rule``; or nobody is left whom it could run as.
    """
    if rule.enabled:
        raise Conflict(_("The rule is enabled already."))
    if not rule.actions:
        raise Conflict(_("The rule does nothing yet: add an action first."))
    take_over(uow, rule)
    _check_as_principal(uow, rule)
    rule.enabled = True
    _follow_schedule(uow, rule)


def disable_rule(uow: UnitOfWork, rule: Rule) -> None:
    """Let a rule rest; events meanwhile are not made up for, but can be replayed.

    Raises:
        Conflict: it is disabled already.
    """
    if not rule.enabled:
        raise Conflict(_("The rule is disabled already."))
    rule.enabled = False
    _rest(uow, rule)


def _check_as_principal(uow: UnitOfWork, rule: Rule) -> None:
    actor = principal_of(uow, rule)
    if actor is None:
        raise InvalidInput(
            {"principal": [_("Whom it ran as is gone or deactivated: somebody must log in and enable it.")]}
        )
    with acting_as(uow, actor):
        check_rule(uow, _said(rule, {}))


def _said(rule: Rule, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: changes.get(name, getattr(rule, name)) for name in DOES}


def _keep_schedule(uow: UnitOfWork, rule: Rule) -> None:
    """Let the schedule of an enabled rule be what the rule says by now; one that says the same keeps its next time."""
    query = sa.select(JobSchedule.cron, JobSchedule.timezone, JobSchedule.user_id)
    found = uow.session.execute(query.where(JobSchedule.uid == rule.schedule_uid)).one_or_none()
    said = (" ".join(rule.cron.split()), rule.timezone, _whose(rule)) if rule.cron else None
    if said != (None if found is None else tuple(found)):
        _follow_schedule(uow, rule)


def _follow_schedule(uow: UnitOfWork, rule: Rule) -> None:
    _rest(uow, rule)
    if not rule.cron:
        return
    uow.session.flush()
    found = schedule_job(
        uow,
        SCHEDULED,
        rule.cron,
        payload={"rule": str(rule.uid)},
        timezone=rule.timezone,
        user_id=_whose(rule),
    )
    rule.schedule_uid = found.uid


def _whose(rule: Rule) -> int | None:
    return rule.principal_id if rule.timezone == "user" else None


def _rest(uow: UnitOfWork, rule: Rule) -> None:
    if rule.schedule_uid is not None:
        drop_schedule(uow, rule.schedule_uid)
        rule.schedule_uid = None
