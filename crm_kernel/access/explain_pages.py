"""The page that says why somebody may or may not do something: the policy's rules with their answers, one by one."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, current_app, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.action_schemas import SCOPES
from crm_kernel.access.audit_reading.wording import titles_of
from crm_kernel.access.explain import explain
from crm_kernel.access.explain_api import ABOUT_OTHERS, QuestionSchema, asked_about
from crm_kernel.access.explain_fields import Step
from crm_kernel.access.own import refuse_tokens
from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_types
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType

blueprint = Blueprint("explain", __name__)

#: Answer → word and color.
_ANSWERS = {True: (_l("Yes"), "green"), False: (_l("No"), "red"), None: (_l("No say"), "gray")}
_RULES = {
    "user": _l("Account"),
    "locked": _l("Lock"),
    "second_factor": _l("Second factor"),
    "token": _l("API token"),
    "permission": _l("Permission"),
    "grant": _l("Role"),
    "reach": _l("Reach"),
    "visibility": _l("Visibility"),
    "verdict": _l("Module"),
    "limit": _l("Limit"),
    "fields": _l("Fields"),
    "field": _l("Field"),
}


def explain_url(actor: Actor, **about: Any) -> str | None:
    """Return the address of the page with a question, for those who may ask about others; else None."""
    if not actor.may(ABOUT_OTHERS) or "explain.page" not in current_app.view_functions:
        return None
    return url_for("explain.page", **about)


@blueprint.get("/access/explain")
@permission("authenticated")
def page() -> Any:
    """Ask and answer: who, which permission, on which record, which field; about oneself without being an administrator."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    asked = {name: value.strip() for name, value in request.args.items() if value.strip()}
    context: dict[str, Any] = {
        "asked": asked,
        "may_ask_about_others": uow.actor.may(ABOUT_OTHERS),
        "permissions": sorted(runtime_of(current_app).registry.permissions().items()),
        "chooser": _chooser(asked),
        "found": None,
        "refused": None,
    }
    status = 200
    if "permission" in asked:
        try:
            context |= _answered(asked)
        except (InvalidInput, NotFound) as error:
            errors = error.errors if isinstance(error, InvalidInput) else {}
            context["refused"] = "; ".join(f"{name}: {' '.join(said)}" for name, said in errors.items()) or str(error)
            status = error.status
    if "user" in asked:
        context["user_title"] = _name(asked["user"])
    return render_template("access/explain.html", **context), status


def _answered(asked: dict[str, str]) -> dict[str, Any]:
    uow = current_uow()
    question = load_with(QuestionSchema, asked)
    user = asked_about(uow, question["user"])
    found = explain(uow, user, question["permission"], question["record"], field=question["field"])
    parts = ["crm access explain", shlex.quote(user.email), found.permission, str(found.record or "")]
    parts += ["--field", shlex.quote(question["field"])] if question["field"] else []
    rows = [
        {
            "cells": {
                "rule": {"text": str(_RULES.get(step.rule, step.rule))},
                "source": {"text": _source(step)},
                "answer": {"text": str(_ANSWERS[step.answer][0]), "color": _ANSWERS[step.answer][1]},
                "why": {"text": step.text},
            }
        }
        for step in found.steps
    ]
    return {"found": found, "rows": rows, "who": user.name, "command": " ".join(part for part in parts if part)}


def _chooser(asked: dict[str, str]) -> dict[str, Any] | None:
    """Return the control that finds a record of the permission's type by its title; None where there is none to find."""
    record_type = record_types().get(asked.get("permission", "").rpartition(".")[0])
    if record_type is None or f"{record_type.endpoint}_suggest" not in current_app.view_functions:
        return None
    url = url_for(f"{record_type.endpoint}_suggest")
    value = asked.get("record", "")
    title = _title(record_type, value)
    return {"name": "record", "kind": "reference", "label": record_type.label, "autocomplete_url": url, "value": value,
            "text": title}  # fmt: skip


def _title(record_type: RecordType, text: str) -> str:
    try:
        row = SimpleNamespace(record_type=record_type.name, record_uid=UUID(text))
    except ValueError:
        return text
    return titles_of(current_uow(), [row]).get((row.record_type, row.record_uid), text)


def _source(step: Step) -> str:
    return str(SCOPES.get(step.source, step.source)) if step.rule == "reach" else step.source


def _name(text: str) -> str:
    try:
        return str(asked_about(current_uow(), UUID(text)).name)
    except (ValueError, NotFound):
        return str(_("nobody"))
