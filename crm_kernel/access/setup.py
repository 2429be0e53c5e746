"""Puts access into the application: cookies, CSRF, Flask-Security with its traps closed, limits, the audit.

Flask-Security serves log-out and passwords; log-in and second factors are in ``signin``. Its own roles, tokens, principal
and mail stay unused: the one policy decides, bearer tokens are ours, and nothing may query before the unit of work is open.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from flask import Flask, g, request, session
from flask_login import user_logged_out
from flask_security import (
    Security,
    password_changed,
    password_reset,
    user_authenticated,
)
from flask_security.core import AnonymousUser
from flask_wtf.csrf import CSRFProtect

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import ANONYMOUS
from crm_kernel.access.audit import watch_changes
from crm_kernel.access.authentication import EXTENSION, SESSION_LIFETIME, AccessState, bearer_token
from crm_kernel.access.datastore import Datastore, PasswordRules
from crm_kernel.access.grants import watch_access
from crm_kernel.access.login import after_login, after_new_password
from crm_kernel.access.marks import mark_use
from crm_kernel.access.models import AppUser
from crm_kernel.access.reset import NoMail
from crm_kernel.access.sessions import after_logout
from crm_kernel.access.signin import blueprint as signin_pages
from crm_kernel.access.signin.change import change_password
from crm_kernel.access.signin.forgotten import forgot_password
from crm_kernel.access.signin.password import log_in, prove_again
from crm_kernel.access.throttle import init_throttle
from crm_kernel.access.views import pages
from crm_kernel.database import db, utcnow

#: Endpoint → permission of the views that Flask-Security brings.
FOREIGN_PERMISSIONS = {
    "security.logout": "public",
    "security.reset_password": "public",
    "security.static": "public",
}

_SETTINGS: dict[str, Any] = {
    # argon2 takes passwords of any length: a first HMAC with a salt to lose would add nothing.
    "SECURITY_PASSWORD_SALT": "unused",
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    "SECURITY_PASSWORD_SINGLE_HASH": ["argon2"],
    "SECURITY_DEPRECATED_PASSWORD_SCHEMES": [],
    "SECURITY_URL_PREFIX": "/auth",
    "SECURITY_POST_LOGIN_VIEW": "/",
    "SECURITY_POST_LOGOUT_VIEW": "/auth/login",
    "SECURITY_POST_CHANGE_VIEW": "/profile",
    "SECURITY_POST_RESET_VIEW": "/auth/login",
    "SECURITY_RESET_PASSWORD_TEMPLATE": "access/reset_password.html",
    "SECURITY_LOGOUT_METHODS": ["POST"],
    "SECURITY_CHANGEABLE": True,
    "SECURITY_RECOVERABLE": True,
    "SECURITY_RESET_PASSWORD_WITHIN": dt.timedelta(days=1),
    "SECURITY_REGISTERABLE": False,
    "SECURITY_TRACKABLE": False,
    # The same answer for an unknown user and a wrong password.
    "SECURITY_RETURN_GENERIC_RESPONSES": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "SECURITY_SEND_PASSWORD_RESET_EMAIL": False,
    "SECURITY_SEND_PASSWORD_RESET_NOTICE_EMAIL": False,
    # Otherwise the forgotten-password form asks the name server about what anybody types.
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False, "test_environment": True},
    "SECURITY_API_ENABLED_METHODS": ["session"],
    "SECURITY_DATETIME_FACTORY": utcnow,
    # Its commands believe that datastore.commit() commits; ours are `crm users`.
    "SECURITY_CLI_USERS_NAME": None,
    "SECURITY_CLI_ROLES_NAME": None,
    # `_guard_csrf` below decides who is checked.
    "SECURITY_CSRF_PROTECT_MECHANISMS": ["session"],
    "WTF_CSRF_CHECK_DEFAULT": False,
    # A form may stay open over lunch: its token lives as long as the session.
    "WTF_CSRF_TIME_LIMIT": None,
    "SESSION_COOKIE_NAME": "crm_session",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "REMEMBER_COOKIE_HTTPONLY": True,
    "REMEMBER_COOKIE_SAMESITE": "Lax",
    "PERMANENT_SESSION_LIFETIME": SESSION_LIFETIME,
}


def init_access(app: Flask) -> None:
    """Give the application log-in, sessions, tokens, CSRF protection, rate limits and the audit log."""
    app.extensions[EXTENSION] = AccessState()
    configure(app)
    init_csrf(app)
    init_security(app)
    app.register_blueprint(signin_pages())
    init_throttle(app)
    app.register_blueprint(pages())
    app.after_request(mark_use)
    watch_changes()
    if not sa.event.contains(db.session, "after_flush", watch_access):
        sa.event.listen(db.session, "after_flush", watch_access)


def configure(app: Flask) -> None:
    """Set cookies and Flask-Security; cookies are sent over https only unless the configuration says otherwise."""
    secure = runtime_of(app).config.secure_cookies
    app.config.update(_SETTINGS, SESSION_COOKIE_SECURE=secure, REMEMBER_COOKIE_SECURE=secure)


def init_csrf(app: Flask) -> None:
    """Demand a CSRF token of whatever a browser sends with its cookie; must come before Flask-Security."""
    csrf = CSRFProtect(app)

    @app.before_request
    def guard_csrf() -> None:
        if bearer_token() is not None:
            # Whoever can set this header needs no cookie: the token is the proof. The cookie is not looked at.
            g._login_user = AnonymousUser()  # type: ignore[no-untyped-call]
            g.csrf_valid = True
        elif app.config["WTF_CSRF_ENABLED"] and not _anonymous_api_call(app) and not _holds_link(app):
            csrf.protect()


def init_security(app: Flask) -> None:
    """Mount Flask-Security's pages over the project's models, and take out what would query or log in by itself."""
    security = Security(app, Datastore(), mail_util_cls=NoMail, password_util_cls=PasswordRules)
    # Its own check passwords inside the transaction, which holds SQLite's only lock for as long as argon2 takes.
    app.view_functions["security.login"], app.view_functions["security.verify"] = log_in, prove_again
    app.view_functions["security.change_password"] = change_password
    # Its own sends from inside the request, which takes longer for an address that somebody has.
    app.view_functions["security.forgot_password"] = forgot_password
    security.login_manager.user_loader(_load_user)
    security.login_manager.request_loader(lambda _request: None)
    security.want_json(lambda _request: False)
    # Both load the user on every request and every page, before the unit of work is open or after it is closed.
    app.before_request_funcs[None].remove(security.principal._on_before_request)
    processors = app.template_context_processors[None]
    processors[:] = [processor for processor in processors if processor.__name__ != "_user_context_processor"]
    user_authenticated.connect(after_login, app)
    user_logged_out.connect(after_logout, app)
    password_changed.connect(after_new_password, app)
    password_reset.connect(after_new_password, app)


def _load_user(identity: str) -> AppUser | None:
    """Return the user of a session for Flask-Security's own pages; one query, inside the unit of work."""
    uniquifier, _dot, epoch = identity.rpartition(".")
    user: AppUser | None = Datastore().find_user(fs_uniquifier=uniquifier) if uniquifier else None
    if (
        user is None
        or not user.active
        or str(user.session_epoch) != epoch
        or g.get("crm_actor", ANONYMOUS) is ANONYMOUS
    ):
        return None
    g.fs_authn_via, g.fs_paa = "session", session.get("fs_paa", 0)
    return user


def _anonymous_api_call(app: Flask) -> bool:
    # Without a cookie there is nothing to ride on: let it fail as unauthenticated, which says what is missing.
    return request.path.startswith("/api/") and app.config["SESSION_COOKIE_NAME"] not in request.cookies


def _holds_link(app: Flask) -> bool:
    # A mail program's one-click POST has neither cookie nor page; the sealed link is what proves it.
    return bool(getattr(app.view_functions.get(request.endpoint or ""), "crm_proven_by_link", False))
