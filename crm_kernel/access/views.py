"""The pages of one's own profile: preferences, password, API tokens. Log-in and passwords are Flask-Security's pages."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from crm_kernel.access import user_sessions
from crm_kernel.access.models import AppUser, Role, Team, UserRole
from crm_kernel.access.own import own_token, own_tokens, own_user, refuse_tokens
from crm_kernel.access.preferences import language_choices, name_order_choices, timezone_choices
from crm_kernel.access.services import create_token, revoke_token, update_user
from crm_kernel.access.signin.password import ask_again, is_fresh
from crm_kernel.errors import InvalidInput, StaleVersion
from crm_kernel.records.calendar import within_calendar
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission


def pages() -> Blueprint:
    """Return the blueprint of the profile pages."""
    blueprint = Blueprint("access", __name__)
    blueprint.add_url_rule("/profile", view_func=profile)
    blueprint.add_url_rule("/profile", view_func=save_profile, methods=["POST"])
    blueprint.add_url_rule("/profile/tokens", view_func=create_own_token, methods=["POST"])
    blueprint.add_url_rule("/profile/tokens/<uuid:uid>/revoke", view_func=revoke_own_token, methods=["POST"])
    user_sessions.add_routes(blueprint)
    return blueprint


@permission("authenticated")
def profile() -> str:
    """Show the profile; three queries."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    return _page(uow)


@permission("authenticated")
def save_profile() -> Any:
    """Save name, language, time zone and the order of names."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    user = own_user(uow)
    values = {name: request.form.get(name, "") for name in ("name", "language", "timezone", "name_order")}
    if request.form.get("version", str(user.version)) != str(user.version):
        raise StaleVersion(_("Somebody else changed this record meanwhile: load it again and repeat your change."))
    try:
        update_user(uow, user, values)
    except InvalidInput as error:
        return _page(uow, errors=error.errors, values=values), 422
    # What was chosen in the menu for this session would hide what was just chosen for good.
    session.pop("language", None)
    flash(_("Saved."), "success")
    return redirect(url_for("access.profile"))


@permission("authenticated")
def create_own_token() -> Any:
    """Create an API token and show its secret, this once; who one is must have been proved lately."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    if not is_fresh():
        return ask_again(url_for("access.profile", _anchor="tokens"))
    values = {name: request.form.get(name, "").strip() for name in ("token_name", "scopes", "expires_on")}
    user = own_user(uow)
    try:
        ends = _end_of(values["expires_on"], user.timezone)
        scopes = values["scopes"].replace(",", " ").split() or None
        made = create_token(uow, user, name=values["token_name"], scopes=scopes, expires_at=ends)
    except InvalidInput as error:
        errors = {"token_name" if name == "name" else name: found for name, found in error.errors.items()}
        return _page(uow, errors=errors, values=values), 422
    answer = current_app.make_response(_page(uow, new_secret=made.secret))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@permission("authenticated")
def revoke_own_token(uid: UUID) -> Response:
    """Revoke one of one's own tokens."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    token = own_token(uow, uid)
    revoke_token(uow, token)
    flash(_("The token %(name)s is revoked.", name=token.name), "success")
    return redirect(url_for("access.profile", _anchor="tokens"))


def _end_of(text: str, timezone: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text)
        within_calendar(day)
    except ValidationError as error:
        raise InvalidInput({"expires_at": [str(found) for found in error.messages]}) from error
    except ValueError as error:
        message = _("Found %(found)s, expected a date such as 2027-01-31.", found=text[:40])
        raise InvalidInput({"expires_at": [message]}) from error
    return dt.datetime.combine(day, dt.time(23, 59, 59), ZoneInfo(timezone))


def _page(
    uow: UnitOfWork,
    *,
    errors: dict[str, list[str]] | None = None,
    values: dict[str, str] | None = None,
    new_secret: str | None = None,
) -> str:
    user = own_user(uow)
    return render_template(
        "access/profile.html",
        user=user,
        team_name=_team_name(uow, user),
        role_names=_role_names(uow, user),
        languages=_choices(language_choices()),
        timezones=_choices(timezone_choices()),
        name_orders=_choices(name_order_choices()),
        tokens=own_tokens(uow),
        now=uow.now,
        errors=errors or {},
        values=values or {},
        new_secret=new_secret,
    )


def _choices(offered: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "label": label} for value, label in offered.items()]


def _team_name(uow: UnitOfWork, user: AppUser) -> str:
    team = None if user.team_id is None else uow.session.get(Team, user.team_id)
    return "" if team is None else team.name


def _role_names(uow: UnitOfWork, user: AppUser) -> list[str]:
    held = sa.select(Role.name).join(UserRole, UserRole.role_id == Role.id).where(UserRole.user_id == user.id)
    return list(uow.session.execute(held.order_by(Role.name)).scalars())
