"""What a rule may say, checked when it is written, and what of it is not there any more when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import current_app
from flask_babel import gettext as _

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import CrmError, InvalidInput
from crm_kernel.jobs.cron import InvalidSchedule, checked_cron, checked_zone
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_types
from crm_kernel.rules.matching import condition_of
from crm_kernel.rules.subjects import concerns, event_classes

if TYPE_CHECKING:
    from crm_kernel.contributions import RuleAction
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.rules.models import Rule
    from crm_kernel.unit_of_work import UnitOfWork

#: What says what a rule does; a new name or owner leaves its principal, and its replay, alone.
DOES = ("record_type", "event", "cron", "timezone", "condition", "actions", "as_system")
#: Most actions of one rule.
MOST_ACTIONS = 10


def offered_actions() -> dict[str, RuleAction]:
    """Return the active actions of all loaded modules by name."""
    runtime = runtime_of(current_app)
    return {found.name: found for found in c.active(runtime.registry.all("rule_actions"), runtime.manager.names)}


def actions_for(record_type: RecordType) -> dict[str, RuleAction]:
    """Return the actions that rules over a record type may use."""
    return {name: found for name, found in offered_actions().items() if found.applies(record_type)}


def check_rule(uow: UnitOfWork, said: Mapping[str, Any]) -> None:
    """Refuse a rule that could never run, for the unit's actor; ``said`` has the rule's attributes.

    Raises:
        InvalidInput: naming each field, what was found and what is expected.
    """
    record_type = record_types().get(said["record_type"])
    if record_type is None:
        raise InvalidInput({"record_type": [_expected(said["record_type"], record_types())]})
    errors: dict[str, list[str]] = {}
    for check in (_check_trigger, _check_condition, _check_actions):
        try:
            check(uow, record_type, said)
        except InvalidInput as error:
            errors |= error.errors
    if errors:
        raise InvalidInput(errors)


def problem_of(uow: UnitOfWork, rule: Rule) -> str | None:
    """Return why a rule cannot run now, in words, or None; checked as the unit's actor. No query."""
    said = {name: getattr(rule, name) for name in ("record_type", "event", "cron", "timezone", "condition", "actions")}
    try:
        check_rule(uow, said)
    except InvalidInput as error:
        return "; ".join(f"{name}: {' '.join(map(str, messages))}" for name, messages in error.errors.items())
    except CrmError as error:
        return str(error)
    return None


def _check_trigger(_uow: UnitOfWork, record_type: RecordType, said: Mapping[str, Any]) -> None:
    event, cron = said.get("event"), said.get("cron")
    if bool(event) == bool(cron):
        raise InvalidInput({"event": [_("Name an event or a schedule, one of the two.")]})
    if event:
        known = [name for name, found in event_classes().items() if concerns(found, record_type.name)]
        if event not in known:
            raise InvalidInput({"event": [_expected(event, known)]})
        return
    try:
        checked_cron(str(cron))
    except InvalidSchedule as error:
        raise InvalidInput({"cron": [str(error)]}) from error
    if said.get("timezone") not in ("site", "user"):
        try:
            checked_zone(str(said.get("timezone")))
        except InvalidSchedule as error:
            raise InvalidInput({"timezone": [str(error)]}) from error


def _check_condition(uow: UnitOfWork, record_type: RecordType, said: Mapping[str, Any]) -> None:
    try:
        condition_of(uow, record_type, said.get("condition"))
    except InvalidInput as error:
        raise InvalidInput({f"condition.{place}": found for place, found in error.errors.items()}) from error


def _check_actions(_uow: UnitOfWork, record_type: RecordType, said: Mapping[str, Any]) -> None:
    actions: Any = said.get("actions") or []
    if not isinstance(actions, list) or len(actions) > MOST_ACTIONS:
        raise InvalidInput({"actions": [_("Expected a list of at most %(most)s actions.", most=MOST_ACTIONS)]})
    errors: dict[str, list[str]] = {}
    for place, use in enumerate(actions):
        try:
            loaded_params(record_type, use)
        except InvalidInput as error:
            errors |= {f"actions[{place}].{name}": found for name, found in error.errors.items()}
    if errors:
        raise InvalidInput(errors)


def loaded_params(record_type: RecordType, use: Any) -> tuple[RuleAction, dict[str, Any]]:
    """Return the action that a rule uses and its parameters, loaded.

    Raises:
        InvalidInput: no loaded module offers it for the type, or the parameters do not fit.
    """
    known = actions_for(record_type)
    if not isinstance(use, Mapping) or not set(use) <= {"action", "params"} or use.get("action") not in known:
        found = use.get("action") if isinstance(use, Mapping) else use
        raise InvalidInput({"action": [_expected(found, known)]})
    action = known[use["action"]]
    given = use.get("params") or {}
    if not isinstance(given, Mapping):
        raise InvalidInput({"params": [_("Expected an object of names and values.")]})
    params = load_with(action.schema, given) if action.schema else {}
    if action.check is not None:
        action.check(record_type, params)
    return action, params


def _expected(found: Any, known: Mapping[str, Any] | Sequence[str]) -> str:
    names = ", ".join(sorted(known)) or _("nothing")
    return str(_("Found %(found)s, expected one of: %(known)s.", found=str(found)[:80], known=names))
