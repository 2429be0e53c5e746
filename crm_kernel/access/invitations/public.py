"""The page that an invitation's link opens: name and password are chosen there, once.

A GET only shows, because mail filters follow every link. A link that is over says so in one sentence, whatever ended it:
the page tells nobody which addresses are users. Whoever tries links or passwords is slowed down.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_limiter.util import get_remote_address

from crm_kernel.access.invitations.models import Invitation
from crm_kernel.access.invitations.services import accept, invitation_by_link
from crm_kernel.access.models import Role
from crm_kernel.access.passwords import MIN_LENGTH, hash_password, password_problems
from crm_kernel.access.services.checks import Errors, checked_name
from crm_kernel.access.signin.password import finish
from crm_kernel.errors import InvalidInput
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import open_unit, own_unit, permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("invitations", __name__)

#: Links that are not open, and forms that are sent, per address of the network.
WRONG_LINKS, FORMS = "30 per minute", "20 per minute"


@blueprint.record
def _limit(state: BlueprintSetupState) -> None:
    """Slow down who guesses links, and who lets us hash passwords all day."""
    for limiter in state.app.extensions["limiter"]:
        limiter.limit(WRONG_LINKS, key_func=get_remote_address, deduct_when=_wrong)(blueprint)
        limiter.limit(FORMS, key_func=get_remote_address, methods=["POST"])(blueprint)


@blueprint.get("/join/<token>")
@permission("public")
def join(token: str) -> Any:
    """Show the form of an open invitation; changes nothing."""
    found = invitation_by_link(current_uow(), token)
    return _over() if found is None else _form(token, found, {"name": found.name})


@blueprint.post("/join/<token>", endpoint="join_now")
@permission("public")
@own_unit
def join_now(token: str) -> Any:
    """Make the user and log him in; a role that asks for a second factor leads to the page that sets one up.

    The password is hashed between two transactions, as at log-in (``signin/password.py`` says why).
    """
    with open_unit() as uow:
        found = invitation_by_link(uow, token)
        if found is None:
            return _over()
        with _language(found):
            errors = _problems(found)
            if errors:
                return _form(token, found, request.form, errors), 422
    hashed = hash_password(request.form["password"])
    with open_unit() as uow:
        return _joined(uow, token, hashed)


def _problems(invitation: Invitation) -> dict[str, list[str]]:
    """Return what is wrong with the form, by field."""
    errors = Errors()
    checked_name(errors, request.form.get("name", ""), longest=120)
    password = request.form.get("password", "")
    for problem in password_problems(password, email=invitation.email):
        errors.add("password", problem)
    if password != request.form.get("password_confirm", ""):
        errors.add("password_confirm", _("The two passwords differ."))
    return errors


def _joined(uow: UnitOfWork, token: str, hashed: str) -> Any:
    found = invitation_by_link(uow, token)
    if found is None:
        return _over()
    try:
        with attempt(uow):
            user = accept(uow, found, name=request.form["name"], password_hash=hashed)
    except InvalidInput:  # the form was checked before: the address became a user's meanwhile
        return _over()
    finish(user, "password")
    needed = uow.session.get_one(Role, found.role_id).second_factor
    return redirect(url_for("signin.security" if needed else "web.home"), 303)


def _form(token: str, invitation: Invitation, values: Any, errors: Any = None) -> str:
    with _language(invitation):
        return render_template(
            "invitations/join.html",
            token=token,
            email=invitation.email,
            name=values.get("name", ""),
            errors={field: " ".join(said) for field, said in (errors or {}).items()},
            least=MIN_LENGTH,
        )


def _over() -> Any:
    return render_template("invitations/over.html"), 410


def _language(invitation: Invitation) -> AbstractContextManager[None]:
    """The language chosen on this page, else that of the invitation."""
    speaking: AbstractContextManager[None] = force_locale(session.get("language") or invitation.language)
    return speaking


def _wrong(response: Any) -> bool:
    return response.status_code in (404, 410)
