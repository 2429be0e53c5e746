"""The page of invitations: who was invited by whom to what, sent again, withdrawn; and the form for a new one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_babel import format_datetime, lazy_gettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.invitations import services
from crm_kernel.access.invitations.models import Invitation
from crm_kernel.access.models import Role, Team
from crm_kernel.access.preferences import language_choices
from crm_kernel.access.services import role_named
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: State → what the page says and its colour.
_STATES = {
    "open": (lazy_gettext("Waiting"), "blue"),
    "accepted": (lazy_gettext("Accepted"), "green"),
    "withdrawn": (lazy_gettext("Withdrawn"), "gray"),
    "expired": (lazy_gettext("Expired"), "orange"),
}


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the page of invitations."""
    blueprint.add_url_rule("/invitations", view_func=invitations, methods=["GET", "POST"])
    verb = "/invitations/<uuid:uid>/<any(again, withdraw):verb>"
    blueprint.add_url_rule(verb, view_func=change_invitation, methods=["POST"])


@permission("user.create")
def invitations() -> Any:
    """List invitations with the form for a new one; invite whom the form names."""
    uow = current_uow()
    if request.method == "GET":
        return _page(uow, {"language": runtime_of(current_app).config.languages[0]}, {})
    form = {name: text.strip() for name, text in request.form.items()}
    try:
        with attempt(uow):
            made = _invited(uow, form)
    except (InvalidInput, NotFound, Conflict, Forbidden) as error:
        errors = error.errors if isinstance(error, InvalidInput) else {"": [str(error)]}
        return _page(uow, form, errors), error.status
    _say_sent(made)
    return redirect(url_for("admin.invitations"), 303)


@permission("user.create")
def change_invitation(uid: UUID, verb: str) -> Response:
    """Send an invitation again, or withdraw it."""
    uow = current_uow()
    found = uow.session.scalars(sa.select(Invitation).where(Invitation.uid == uid)).one_or_none()
    if found is None:
        raise NotFound(_("There is no such invitation."))
    if verb == "withdraw":
        services.withdraw(uow, found)
        flash(_("The invitation is withdrawn; its link does not work any more."), "success")
    else:
        services.send_again(uow, found)
        _say_sent(found)
    return redirect(url_for("admin.invitations"), 303)


def _invited(uow: UnitOfWork, form: Mapping[str, str]) -> Invitation:
    team = form.get("team", "")
    team_id = uow.session.scalar(sa.select(Team.id).where(Team.name == team)) if team else None
    if team and team_id is None:
        raise InvalidInput({"team": [_("There is no such team.")]})
    role_named(uow, form.get("role", ""))
    return services.invite(
        uow,
        email=form.get("email", ""),
        name=form.get("name", ""),
        role=form.get("role", ""),
        language=form.get("language", ""),
        team_id=team_id,
    )


def _say_sent(found: Invitation) -> None:
    if can_send_mail():
        flash(_("The invitation is on its way to %(email)s.", email=found.email), "success")
    else:
        link = services.link_of(found)
        flash(
            _("This instance sends no mail. Give %(email)s this link yourself: %(link)s", email=found.email, link=link)
        )


def _page(uow: UnitOfWork, form: Mapping[str, str], errors: Mapping[str, list[str]]) -> str:
    said = {field: " ".join(texts) for field, texts in errors.items()}
    names = uow.session.scalars(sa.select(Role.name).order_by(Role.name))
    # Nothing is chosen at first: the first name would be the administrator's.
    roles = [{"value": "", "label": "–"}, *({"value": name, "label": name} for name in names)]
    teams = [{"value": name, "label": name} for name in uow.session.scalars(sa.select(Team.name).order_by(Team.name))]
    languages = [{"value": code, "label": label} for code, label in language_choices().items()]
    controls: list[dict[str, Any]] = [
        {"name": "email", "label": _("E-mail"), "kind": "email", "required": True},
        {"name": "name", "label": _("Name"), "kind": "text"},
        {"name": "role", "label": _("Role"), "kind": "choice", "required": True, "choices": roles},
        {"name": "team", "label": _("Team"), "kind": "choice", "choices": teams},
        {"name": "language", "label": _("Language"), "kind": "choice", "required": True, "choices": languages},
    ]
    for control in controls:
        control |= {"value": form.get(control["name"], ""), "error": said.pop(control["name"], None)}
    return render_template(
        "admin/invitations.html",
        form={"sections": [{"columns": 2, "fields": controls}], "message": " ".join(said.values()) or None},
        rows=[_row(uow, row, role) for row, role in services.invitations(uow)],
        can_send=can_send_mail(),
    )


def _row(uow: UnitOfWork, row: Invitation, role: str) -> dict[str, Any]:
    state = services.state_of(row, uow.now)
    label, color = _STATES[state]
    return {
        "email": row.email,
        "role": role,
        "label": label,
        "color": color,
        "sent": format_datetime(row.sent_at, "short"),
        "expires": format_datetime(row.expires_at, "short"),
        "waiting": state in ("open", "expired"),
        "again_url": url_for("admin.change_invitation", uid=row.uid, verb="again"),
        "withdraw_url": url_for("admin.change_invitation", uid=row.uid, verb="withdraw"),
        "command": f"crm users invite {shlex.quote(row.email)} --again",
    }
