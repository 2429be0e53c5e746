"""Says the actions of a rule in words, and lists what a parameter can be: pages speak of labels, the API of names."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.access.audit_reading.wording import titles_of
from crm_kernel.records.plan import plan_of, record_types
from crm_kernel.rules.definition import offered_actions
from crm_kernel.rules.kernel_actions import writable_fields

if TYPE_CHECKING:
    from crm_kernel.contributions import RuleAction
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.rules.models import Rule
    from crm_kernel.unit_of_work import UnitOfWork


def told_uses(uow: UnitOfWork, rule: Rule) -> list[dict[str, Any]]:
    """Return a rule's actions with label, icon and what each is given; one query per type of record they name."""
    return [_use(uow, rule, use, place) for place, use in enumerate(rule.actions)]


def said_uses(uow: UnitOfWork, rule: Rule) -> list[str]:
    """Return a rule's actions in words, with what each is given."""
    return [f"{use['label']} ({use['text']})" if use["text"] else str(use["label"]) for use in told_uses(uow, rule)]


def choices_for(action: RuleAction, found: RecordType | None) -> Mapping[str, dict[str, str]]:
    """Return parameter → name → label, of those parameters that name something of the record's type."""
    if found is None:
        return {}
    if action.name == "kernel.perform":
        return {"action": {offered.name: str(offered.label) for offered in found.actions}}
    if action.name != "kernel.set_field":
        return {}
    plan = plan_of(found)
    labels = {name: str(field.label) for name, field in plan.fields.items()}
    for extension, fields in plan.extension_fields.items():
        labels |= {f"{extension}.{name}": str(field.label) for name, field in fields.items()}
    return {"field": {name: labels.get(name, name) for name in writable_fields(plan)}}


def _use(uow: UnitOfWork, rule: Rule, use: Any, place: int) -> dict[str, Any]:
    action = offered_actions().get(use.get("action", ""))
    given = {name: value for name, value in (use.get("params") or {}).items() if value not in (None, "", {})}
    said = _said(uow, action, record_types().get(rule.record_type), given) if action else given
    return {
        "place": place,
        "label": str(action.label) if action else _("%(name)s (its module is not loaded)", name=use.get("action")),
        "icon": action.icon if action else "alert-triangle",
        "text": ", ".join(_("%(label)s: %(value)s", label=label, value=value) for label, value in said.items()),
    }


def _said(uow: UnitOfWork, action: RuleAction, found: RecordType | None, given: Mapping[str, Any]) -> dict[str, Any]:
    declared = action.schema._declared_fields if action.schema else {}
    known = choices_for(action, found)
    said = {}
    for name, value in given.items():
        metadata = declared[name].metadata if name in declared else {}
        text = known.get(name, {}).get(str(value), value)
        if metadata.get("reference"):
            text = _title(uow, metadata["reference"], value)
        said[str(metadata.get("label") or name)] = text
    return said


def _title(uow: UnitOfWork, record_type: str, uid: Any) -> str:
    row = SimpleNamespace(record_type=record_type, record_uid=UUID(str(uid)))
    found = titles_of(uow, [row]).get((record_type, row.record_uid))
    return found or str(_("(gone, or not yours to see)"))
