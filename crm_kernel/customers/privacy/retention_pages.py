"""What the page of a retention rule shows beside its facts, and the page that builds which customers it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import Blueprint, url_for
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import allowed
from crm_kernel.records.pages.conditions import add_condition_pages, condition_text, stored_tree

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("retention", __name__)
add_condition_pages(
    blueprint,
    "/retention-rules/<uuid:uid>/condition",
    record_type="retention_rule",
    field="condition",
    about="customer",
    subtitle=_l("The rule is about customers that fit."),
)


def rule_context(uow: UnitOfWork, rule: Any) -> Mapping[str, Any]:
    """Return the condition of a rule in words, and where it is changed by who may."""
    may_change = allowed(uow.actor, "retention_rule.update", rule)
    return {
        "condition_text": condition_text(uow, "customer", stored_tree(rule.condition)),
        "condition_url": url_for("retention.condition", uid=rule.uid) if may_change else None,
    }
