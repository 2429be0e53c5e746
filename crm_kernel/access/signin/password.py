"""The first step: address and password; and proving again who one is before security is changed.

The password is checked between two transactions, not inside one: argon2 takes 50 ms on purpose, and SQLite has one lock
for all who write. The first transaction counts the try, so that parallel ones stay exact; the second logs in, if the user
is still the one whose password was checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flask import current_app, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_security.utils import login_user
from werkzeug.wrappers import Response

from crm_kernel.access.actor import ANONYMOUS
from crm_kernel.access.datastore import Datastore
from crm_kernel.access.factors.services import take_code
from crm_kernel.access.login import count_try, forget_tries
from crm_kernel.access.models import AppUser
from crm_kernel.access.oidc.offered import offered_providers
from crm_kernel.access.oidc.people import identities_of
from crm_kernel.access.oidc.providers import enabled_providers
from crm_kernel.access.passwords import hash_password, normalized
from crm_kernel.access.signin.pending import await_second_step, forget_pending, safe_next
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.unit_of_work import UnitOfWork
from crm_kernel.web.edge import open_unit, own_unit, permission

#: Seconds for which a proof of who one is counts for changes of security.
FRESH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who may be logging in, and the hash his password is checked against; None where there is nobody to check."""

    user_id: int | None = None
    password_hash: str | None = None
    #: Whether he has a password at all; a user of an identity provider may have none.
    has_password: bool = True


@permission("public")
@own_unit
def log_in() -> Any:
    """Show the form, or take the first step of a log-in."""
    wanted = safe_next(request.values.get("next", ""))
    if g.crm_actor is not ANONYMOUS:
        return redirect(wanted)
    if request.method != "POST":
        return _form(next_url=wanted)
    forget_pending()
    email, password = request.form.get("email", "").strip(), request.form.get("password", "")
    with open_unit():
        candidate = _candidate(email)
    if not fits(candidate, password):
        return _form(email=email, next_url=wanted, failed=True)
    with open_unit() as uow:
        return _passed(uow, candidate, wanted) or _form(email=email, next_url=wanted, failed=True)


@permission("authenticated")
@own_unit
def prove_again() -> Any:
    """Ask for the password (or a code, of whom has no password) once more; then changes of security are open a while."""
    wanted = safe_next(request.values.get("next", ""))
    if request.method != "POST" or g.crm_actor.kind != "user":
        return _proof_form(wanted)
    with open_unit() as uow:
        user = uow.session.get_one(AppUser, g.crm_actor.user_id)
        counted = count_try(user.id)
        candidate = Candidate(user.id, user.password if counted else None)
        proved = counted and user.password is None and take_code(uow, user, request.form.get("code", "")) is not None
    if not proved and not (candidate.password_hash and fits(candidate, request.form.get("password", ""))):
        return _proof_form(wanted, failed=True)
    with open_unit():
        forget_tries(g.crm_actor.user_id)
    session["fs_paa"] = time.time()
    return redirect(wanted)


def is_fresh() -> bool:
    """Say whether the reader has proved who he is in the last minutes."""
    return 0 <= time.time() - float(session.get("fs_paa", 0)) < FRESH_SECONDS


def ask_again(back: str = "") -> Response:
    """Return the way to the page that asks who one is, and back to an address of this site, else to the page of security."""
    return redirect(url_for("security.verify", next=back or url_for("signin.security")), 302)


def finish(user: AppUser, *methods: str) -> None:
    """Log a user in: his session begins, with how he proved who he is."""
    forget_pending()
    login_user(user, remember=False, authn_via=list(methods))  # type: ignore[arg-type]


def _candidate(email: str) -> Candidate:
    user = Datastore().find_user(email=email) if email else None
    if user is None or not user.active or not count_try(user.id):
        return Candidate()
    return Candidate(user.id, user.password)


def fits(candidate: Candidate, password: str) -> bool:
    """Check a password; with nobody to check it takes as long. Called with no transaction open."""
    if candidate.password_hash is None:
        hash_password(password[:256])
        return False
    context = current_app.extensions["security"].pwd_context
    return bool(context.verify(normalized(password)[:1024], candidate.password_hash))


def _passed(uow: UnitOfWork, candidate: Candidate, wanted: str) -> Response | None:
    user = uow.session.get(AppUser, candidate.user_id)
    if user is None or not user.active or user.password != candidate.password_hash:
        return None
    if user.tf_primary_method is not None:
        await_second_step(user, wanted)
        return redirect(url_for("signin.second_factor"))
    finish(user, "password")
    return redirect(wanted)


def _form(*, email: str = "", next_url: str = "", failed: bool = False) -> str:
    from crm_kernel.access.signin.oidc import left_provider

    providers = offered_providers()
    return render_template(
        "access/login.html",
        email=email,
        next_url=next_url,
        failed=failed,
        can_send_mail=can_send_mail(),
        providers=providers,
        left=next((found for found in providers if found.uid == left_provider()), None),
    )


def _proof_form(wanted: str, *, failed: bool = False) -> str:
    with open_unit() as uow:
        user = uow.session.get(AppUser, g.crm_actor.user_id)
        by_code = user is not None and user.password is None
        linked = {name for _identity, name in identities_of(uow, user)} if user is not None else set()
        providers = [{"uid": found.uid, "name": found.name} for found in enabled_providers(uow) if found.name in linked]
    message = _("That did not fit, or the account is locked for a while after too many tries.") if failed else None
    return render_template("access/verify.html", next_url=wanted, by_code=by_code, message=message, providers=providers)
