"""The editor of one role: what it grants, permission by permission and by pattern, and what it leaves of fields.

A change is shown first: who gains what and who loses what, other roles of theirs counted in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.action_schemas import ACCESS, SCOPES
from crm_kernel.access.actor import Scope
from crm_kernel.access.explain_pages import explain_url
from crm_kernel.access.models import AppUser, Role, UserRole
from crm_kernel.access.services.field_rules import field_rules_of, free_field, restrict_field
from crm_kernel.access.services.roles import ADMINISTRATOR
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from crm_kernel.records.custom_fields.commands import rule_command
from crm_kernel.records.plan import record_type, record_types
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.admin.rights import changes as rights
from crm_kernel.web.admin.rights.catalogue import parts_of, permissions_by_module, reaches
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Holders named on the page.
_SHOWN = 20


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the editor."""
    blueprint.add_url_rule("/rights/<uuid:uid>", view_func=role_rights, methods=["GET", "POST"])
    blueprint.add_url_rule("/rights/<uuid:uid>/fields", view_func=role_fields, methods=["POST"])


@permission("role.update")
def role_rights(uid: UUID) -> Any:
    """Show a role's grants as a form; show what a change would mean, then make it."""
    uow = current_uow()
    role = _role(uow, uid)
    if request.method == "GET":
        return _editor(uow, role)
    try:
        wanted = rights.changes_between(rights.own_grants(uow, role), _asked())
        if not wanted:
            return _editor(uow, role, refused=_("Nothing was changed."))
        if request.form.get("step") != "do":
            return _preview(role, wanted, rights.outcome_of(uow, role, wanted))
        with attempt(uow):
            rights.apply(uow, role, wanted)
    except (Forbidden, Conflict, InvalidInput) as error:
        return _editor(uow, role, refused=_said(error)), error.status
    flash(_("Saved. It holds from the next request on."), "success")
    return redirect(url_for("admin.role_rights", uid=uid), 303)


@permission("role.update")
def role_fields(uid: UUID) -> Response:
    """Hide a field from a role's holders, let them only read it, or free it."""
    uow = current_uow()
    role, host = _role(uow, uid), request.form.get("record_type", "")
    field, access = request.form.get("field", "").strip(), request.form.get("access", "")
    try:
        with attempt(uow):
            record_type(host)
            if access:
                restrict_field(uow, role, host, field, access)
            else:
                free_field(uow, role, host, field)
    except (Forbidden, Conflict, InvalidInput, NotFound) as error:
        flash(_said(error), "error")
    else:
        flash(_("Saved. It holds from the next request on."), "success")
    return redirect(f"{url_for('admin.role_rights', uid=uid)}#fields", 303)


def _role(uow: UnitOfWork, uid: UUID) -> Role:
    found: Role = record_of(uow, record_type("role"), uid)
    return found


def _asked() -> dict[str, Scope | None]:
    """Return what the form says of each permission it names, and of the pattern that was typed."""
    found: dict[str, Scope | None] = {}
    for key, value in request.form.items():
        if key.startswith("grant-"):
            found[key.removeprefix("grant-")] = _scope(value)
    if pattern := request.form.get("pattern", "").strip():
        found[pattern] = _scope(request.form.get("pattern_scope", ""))
    return found


def _scope(text: str) -> Scope | None:
    if not text:
        return None
    try:
        return Scope[text.upper()]
    except KeyError as error:
        message = _("Found %(found)s, expected one of: %(known)s.", found=text[:20], known=", ".join(SCOPES))
        raise InvalidInput({"scope": [message]}) from error


def _editor(uow: UnitOfWork, role: Role, *, refused: str = "") -> str:
    own, modules = rights.own_grants(uow, role), permissions_by_module()
    names = [listed.name for group in modules.values() for listed in group]
    through = reaches(own, names)
    sections = [
        {
            "module": module,
            "parts": [
                {
                    "label": about,
                    "rows": [_row(listed, own, through) for listed in part],
                    "given": sum(listed.name in through for listed in part),
                }
                for about, part in parts_of(group)
            ],
        }
        for module, group in modules.items()
    ]
    return render_template(
        "admin/rights/role.html",
        role=role,
        refused=refused,
        sections=sections,
        patterns=[{"name": name, "scope": scope.name.lower()} for name, scope in own.items() if name not in names],
        scopes=SCOPES,
        holders=_holders(uow, role),
        fields=_fields(uow, role),
        access=ACCESS,
        types=[{"name": name, "label": kind.label_plural} for name, kind in sorted(record_types().items())],
        keeps_all=role.name == ADMINISTRATOR,
    )


def _row(listed: Any, own: Mapping[str, Scope], through: Mapping[str, Scope]) -> dict[str, Any]:
    said, reached = own.get(listed.name), through.get(listed.name)
    return {
        "name": listed.name,
        "about": listed.about,
        "allows": listed.allows,
        "scoped": listed.scoped,
        "scope": said.name.lower() if said else "",
        "reach": reached.name.lower() if reached else "",
        "inherited": reached is not None and reached != said,
    }


def _preview(role: Role, wanted: Mapping[str, Scope | None], outcome: rights.Outcome) -> str:
    return render_template(
        "admin/rights/preview.html",
        role=role,
        changes=[(name, scope.name.lower() if scope else "") for name, scope in wanted.items()],
        scopes=SCOPES,
        outcome=outcome,
        most=rights.MOST_HOLDERS,
        commands=rights.commands_of(role.name, wanted),
    )


def _holders(uow: UnitOfWork, role: Role) -> list[dict[str, Any]]:
    query = sa.select(AppUser.name, AppUser.uid).join(UserRole, UserRole.user_id == AppUser.id)
    found = query.where(UserRole.role_id == role.id).order_by(AppUser.name).limit(_SHOWN)
    return [
        {"name": name, "url": url_for("records.user_detail", uid=uid), "explain_url": explain_url(uow.actor, user=uid)}
        for name, uid in uow.session.execute(found)
    ]


def _fields(uow: UnitOfWork, role: Role) -> list[dict[str, Any]]:
    return [
        {
            "record_type": rule.record_type,
            "field": rule.field,
            "access": rule.access,
            "command": rule_command(role.name, rule.record_type, rule.field, ""),
        }
        for rule in field_rules_of(uow, role)
    ]


def _said(error: Forbidden | Conflict | InvalidInput | NotFound) -> str:
    if isinstance(error, InvalidInput):
        return " ".join(text for texts in error.errors.values() for text in texts)
    return str(error)
