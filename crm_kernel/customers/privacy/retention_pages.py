"""What the page of a retention rule shows beside its facts, and the page that builds which customers it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from flask import Blueprint, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.policy import allowed, authorize
from crm_kernel.records.pages.conditions import condition_page, condition_text, tree_sent
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import update_record
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.customers.privacy.models import RetentionRule
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("retention", __name__)


def rule_context(uow: UnitOfWork, rule: Any) -> Mapping[str, Any]:
    """Return the condition of a rule in words, and where it is changed by who may."""
    may_change = allowed(uow.actor, "retention_rule.update", rule)
    return {
        "condition_text": condition_text(uow, "customer", _stored(rule)),
        "condition_url": url_for("retention.condition", uid=rule.uid) if may_change else None,
    }


@blueprint.get("/retention-rules/<uuid:uid>/condition")
@permission("retention_rule.update")
def condition(uid: UUID) -> str:
    """Show the filter builder over customers; its address is its state, and a button keeps it."""
    rule = _changeable(uid)
    return condition_page(
        current_uow(),
        record_type("customer"),
        _stored(rule),
        here=url_for("retention.condition", uid=uid),
        owner={
            "name": rule.name,
            "url": url_for("records.retention_rule_detail", uid=uid),
            "version": rule.version,
        },
        subtitle=_("The rule is about customers that fit."),
    )


@blueprint.post("/retention-rules/<uuid:uid>/condition")
@permission("retention_rule.update")
def save_condition(uid: UUID) -> Response:
    """Keep the condition that the builder shows."""
    _changeable(uid)
    tree = tree_sent()
    changes = {"condition": None if tree is None else orjson.dumps(tree).decode()}
    update_record(
        current_uow(), record_type("retention_rule"), uid, changes, version=request.form.get("version", type=int)
    )
    flash(_("Saved."), "success")
    return redirect(url_for("records.retention_rule_detail", uid=uid), 303)


def _changeable(uid: UUID) -> RetentionRule:
    uow = current_uow()
    found: RetentionRule = record_of(uow, record_type("retention_rule"), uid)
    authorize(uow.actor, "retention_rule.update", found)
    return found


def _stored(rule: RetentionRule) -> Any:
    """Return the condition as a tree; a text that is none is no tree either, and the builder says so."""
    if not rule.condition:
        return None
    try:
        return orjson.loads(rule.condition)
    except orjson.JSONDecodeError:
        return {"": rule.condition}
