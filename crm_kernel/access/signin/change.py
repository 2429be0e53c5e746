"""Changing one's password: checked and hashed between two transactions, as at log-in (``password.py`` says why).

It replaces Flask-Security's view, which does both inside one: two hashes of 50 ms with SQLite's only lock held.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _

from crm_kernel.access.login import count_try, forget_tries
from crm_kernel.access.models import AppUser
from crm_kernel.access.passwords import hash_password, password_problems
from crm_kernel.access.services.tokens import revoke_tokens_of
from crm_kernel.access.signin.password import Candidate, ask_again, finish, fits, is_fresh
from crm_kernel.errors import Conflict
from crm_kernel.unit_of_work import UnitOfWork
from crm_kernel.web.edge import open_unit, own_unit, permission


@permission("authenticated")
@own_unit
def change_password() -> Any:
    """Show the form, or change the password and end the user's other sessions."""
    if g.crm_actor.kind != "user":  # a token neither sees nor changes what logs its user in
        return redirect(url_for("security.login"))
    with open_unit() as uow:
        candidate, email = _candidate(uow, tries=request.method == "POST")
    if candidate.has_password is False and not is_fresh():
        return ask_again()
    if request.method != "POST":
        return _form(candidate)
    errors = _errors(candidate, email)
    if errors:
        return _form(candidate, errors)
    hashed = hash_password(request.form.get("new_password", ""))
    with open_unit() as uow:
        revoked = _store(uow, candidate, hashed)
    flash(_("Your password is changed."), "success")
    if revoked:
        flash(_("Your API tokens are revoked: %(number)s.", number=revoked))
    return redirect(url_for("access.profile"))


def _candidate(uow: UnitOfWork, *, tries: bool) -> tuple[Candidate, str]:
    """Return whose password is changed and the hash it is checked against, None when he has tried too often."""
    user = uow.session.get_one(AppUser, g.crm_actor.user_id)
    may_try = not tries or user.password is None or count_try(user.id)
    return Candidate(user.id, user.password if may_try else None, user.password is not None), user.email


def _errors(candidate: Candidate, email: str) -> dict[str, list[str]]:
    """Return what is wrong with the form by field; hashes once, with no transaction open."""
    given = {name: request.form.get(name, "") for name in ("password", "new_password", "new_password_confirm")}
    if candidate.has_password:
        if not fits(candidate, given["password"]):
            text = _("That did not fit, or the account is locked for a while after too many tries.")
            return {"password": [text]}
        with open_unit():
            forget_tries(g.crm_actor.user_id)
    problems = password_problems(given["new_password"], email=email)
    if problems:
        return {"new_password": problems}
    if given["new_password"] != given["new_password_confirm"]:
        return {"new_password_confirm": [_("The two new passwords are not the same.")]}
    if given["new_password"] == given["password"]:
        return {"new_password": [_("This is the password you have.")]}
    return {}


def _store(uow: UnitOfWork, candidate: Candidate, hashed: str) -> int:
    """Store the new password and return how many API tokens were revoked with the old one."""
    user = uow.session.get_one(AppUser, g.crm_actor.user_id)
    if not user.active or user.password != candidate.password_hash:
        raise Conflict(_("The password was changed meanwhile: log in again."))
    # A new identifier ends every session and every reset link; this session begins anew.
    user.password, user.fs_uniquifier = hashed, uuid4().hex
    user.failed_logins, user.locked_until = 0, None
    uow.session.flush()
    finish(user, "change")
    return revoke_tokens_of(uow, user) if _revokes() else 0


def _revokes() -> bool:
    # An unticked box sends the empty value that stands before it.
    return "1" in request.form.getlist("revoke_tokens")


def _form(candidate: Candidate, errors: dict[str, list[str]] | None = None) -> str:
    return render_template(
        "access/change_password.html",
        active_password=candidate.has_password,
        errors=errors or {},
        revoke=request.method != "POST" or _revokes(),
    )
