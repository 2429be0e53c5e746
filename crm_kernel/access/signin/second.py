"""The second step of a log-in: a code of the authenticator app, or a recovery code."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from crm_kernel.access.factors.services import take_code
from crm_kernel.access.login import count_try
from crm_kernel.access.signin.password import finish
from crm_kernel.access.signin.pending import pending, pending_user
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the page."""
    blueprint.add_url_rule("/auth/second-factor", view_func=second_factor, methods=["GET", "POST"])


@permission("public")
def second_factor() -> Any:
    """Ask for a code and log in with a right one; every try is counted with the wrong passwords."""
    uow, found = current_uow(), pending()
    user = pending_user(uow)
    if user is None or found is None:
        flash(_("Log in again: too much time has passed, or the password was changed."), "warning")
        return redirect(url_for("security.login"))
    if request.method != "POST":
        return _form(user.tf_totp_secret is not None)
    method = take_code(uow, user, request.form.get("code", "")[:40]) if count_try(user.id) else None
    if method is None:
        return _form(user.tf_totp_secret is not None, failed=True)
    finish(user, found.first, method)
    if method == "recovery":
        left = len(user.mf_recovery_codes or ())
        flash(ngettext("%(num)s recovery code is left.", "%(num)s recovery codes are left.", left), "warning")
    return redirect(found.next)


def _form(by_code: bool, *, failed: bool = False) -> str:
    return render_template("access/second_factor.html", by_code=by_code, failed=failed)
