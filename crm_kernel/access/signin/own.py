"""The page "Sign-in and security" of one's profile: sessions, authenticator app, recovery codes, passkeys.

Ending sessions is always open; whatever changes a second factor asks first who one is, unless that was just proved.
"""

from __future__ import annotations

import base64
import time
from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access import sessions
from crm_kernel.access.factors import services, totp
from crm_kernel.access.models import AppUser
from crm_kernel.access.oidc.people import identities_of
from crm_kernel.access.oidc.providers import enabled_providers
from crm_kernel.access.own import own_user, refuse_tokens
from crm_kernel.access.signin.password import ask_again, is_fresh
from crm_kernel.access.signin.pending import opened
from crm_kernel.errors import InvalidInput
from crm_kernel.records.sealing import seal
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

_KEY = "crm_new_totp"
_BOUND = ("totp", "set-up")
#: Seconds in which the first code of a new app must be typed.
_PATIENCE_SECONDS = 900


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the page and what its buttons do."""
    rule, posts = blueprint.add_url_rule, ["POST"]
    rule("/profile/security", view_func=security)
    rule("/profile/security/sessions/<uuid:uid>/end", view_func=end_session, methods=posts)
    rule("/profile/security/sessions/end-others", view_func=end_others, methods=posts)
    rule("/profile/security/totp/start", view_func=start_totp, methods=posts)
    rule("/profile/security/totp", view_func=show_totp)
    rule("/profile/security/totp", view_func=enable_totp, methods=posts)
    rule("/profile/security/totp/remove", view_func=remove_totp, methods=posts)
    rule("/profile/security/recovery-codes", view_func=renew_codes, methods=posts)
    rule("/profile/security/passkeys/<uuid:uid>/rename", view_func=rename_passkey, methods=posts)
    rule("/profile/security/passkeys/<uuid:uid>/remove", view_func=remove_passkey, methods=posts)


@permission("authenticated")
def security() -> str:
    """Show sessions, second factors and linked accounts; five queries."""
    uow, user = _own()
    found = sessions.sessions_of(uow, user)
    return render_template(
        "access/security.html",
        user=user,
        sessions=[{**sessions.described(row), "current": sessions.is_current(row)} for row in found],
        passkeys=services.passkeys_of(uow, user),
        identities=identities_of(uow, user),
        providers=enabled_providers(uow),
        codes_left=len(user.mf_recovery_codes or ()),
        fresh=is_fresh(),
    )


@permission("authenticated")
def end_session(uid: UUID) -> Response:
    """End one of one's own sessions."""
    uow, user = _own()
    sessions.end_session(uow, user, uid)
    flash(_("The session has ended."), "success")
    return _back()


@permission("authenticated")
def end_others() -> Response:
    """End all of one's own sessions but this one."""
    uow, user = _own()
    sessions.end_other_sessions(uow, user)
    flash(_("All other sessions have ended."), "success")
    return _back()


@permission("authenticated")
def start_totp() -> Response:
    """Make a new secret for an app; it counts only once a code of it has been typed."""
    _own()
    if not is_fresh():
        return ask_again()
    found = {"secret": base64.b64encode(totp.new_secret()).decode("ascii"), "at": time.time()}
    session[_KEY] = seal(orjson.dumps(found), bound_to=_BOUND)
    return redirect(url_for("signin.show_totp"), 302)


@permission("authenticated")
def show_totp() -> Any:
    """Show the new secret as a picture and as letters."""
    _uow, user = _own()
    secret = _new_secret()
    return _back() if secret is None else _totp_page(user, secret)


@permission("authenticated")
def enable_totp() -> Any:
    """Take the first code of the new app, then show the recovery codes, this once."""
    uow, user = _own()
    secret = _new_secret()
    if secret is None or not is_fresh():
        return ask_again()
    try:
        codes = services.enable_totp(uow, user, secret, request.form.get("code", ""))
    except InvalidInput as error:
        return _totp_page(user, secret, errors=error.errors), 422
    session.pop(_KEY, None)
    return _codes_page(codes)


@permission("authenticated")
def remove_totp() -> Response:
    """Remove one's authenticator app."""
    uow, user = _own()
    if not is_fresh():
        return ask_again()
    services.disable_totp(uow, user)
    flash(_("The authenticator app is removed."), "success")
    return _back()


@permission("authenticated")
def renew_codes() -> Any:
    """Replace one's recovery codes and show the new ones, this once."""
    uow, user = _own()
    if not is_fresh():
        return ask_again()
    if user.tf_totp_secret is None:
        return _back()
    return _codes_page(services.new_recovery_codes(uow, user))


@permission("authenticated")
def rename_passkey(uid: UUID) -> Response:
    """Give one's passkey another name."""
    uow, user = _own()
    services.rename_passkey(uow, user, uid, request.form.get("name", ""))
    flash(_("Saved."), "success")
    return _back()


@permission("authenticated")
def remove_passkey(uid: UUID) -> Response:
    """Remove one of one's passkeys."""
    uow, user = _own()
    if not is_fresh():
        return ask_again()
    services.remove_passkey(uow, user, uid)
    flash(_("The passkey is removed."), "success")
    return _back()


def _own() -> tuple[UnitOfWork, AppUser]:
    uow = current_uow()
    refuse_tokens(uow.actor)
    return uow, own_user(uow)


def _back() -> Response:
    return redirect(url_for("signin.security"), 302)


def _new_secret() -> bytes | None:
    found = opened(_KEY, _BOUND, _PATIENCE_SECONDS)
    return None if found is None else base64.b64decode(found["secret"])


def _totp_page(user: AppUser, secret: bytes, *, errors: dict[str, list[str]] | None = None) -> str:
    issuer = runtime_of(current_app).config.company_name
    address = totp.address(secret, account=user.email, issuer=issuer)
    return render_template(
        "access/totp.html", picture=totp.picture(address), written=totp.written(secret), errors=errors or {}
    )


def _codes_page(codes: list[str]) -> Any:
    answer = current_app.make_response(render_template("access/recovery_codes.html", codes=codes))
    answer.headers["Cache-Control"] = "no-store"
    return answer
