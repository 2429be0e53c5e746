"""The pages that customers open from a message, without a log-in: confirm, choose, unsubscribe.

The link is the proof of who comes, and of nothing else: the actor holds no permission. A GET only shows, because mail
filters follow every link; the one press of a mail program is a POST without cookie (RFC 8058). Whoever tries links that
were not made here is slowed down.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, current_app, redirect, render_template, request, session, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import force_locale, get_locale
from flask_limiter.util import get_remote_address

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Actor
from crm_kernel.customers.consent.asking import confirm_consent, language_of, state_of
from crm_kernel.customers.consent.choices import CONTACT_CHANNELS, OPEN, REQUEST_STATES
from crm_kernel.customers.consent.ledger import Evidence
from crm_kernel.customers.consent.links import customer_of, leaving_of, request_of
from crm_kernel.customers.consent.models import Consent, Purpose
from crm_kernel.customers.consent.preferences import (
    preferences_of,
    save_preferences,
    unsubscribe,
    unsubscribe_from_all,
)
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.unit_of_work import UnitOfWork, attempt, current_uow
from crm_kernel.web.edge import permission, proven_by_link

blueprint = Blueprint("preferences", __name__)

#: Who writes what a customer chose; holds no permission.
BY_LINK = Actor(kind="customer", name="customer")
#: Links that were not made here, and changes by one address of the network.
WRONG_LINKS, CHANGES = "30 per minute", "600 per minute"


@blueprint.record
def _limit(state: BlueprintSetupState) -> None:
    """Slow down who guesses links; a mail provider presses for many customers from few addresses, so that is free."""
    for limiter in state.app.extensions["limiter"]:
        limiter.limit(WRONG_LINKS, key_func=get_remote_address, deduct_when=_wrong)(blueprint)
        limiter.limit(CHANGES, key_func=get_remote_address, methods=["POST"])(blueprint)


@blueprint.get("/contact/confirm/<token>", endpoint="confirm")
@permission("public")
def confirm_page(token: str) -> Any:
    """Show what would be confirmed; changes nothing."""
    uow = _uow()
    asked = request_of(uow, token)
    return _confirm_page(uow, asked, state_of(uow, asked))


@blueprint.post("/contact/confirm/<token>", endpoint="confirm_now")
@proven_by_link
@permission("public")
def confirm_now(token: str) -> Any:
    """Record the consent, once."""
    uow = _uow()
    asked = request_of(uow, token)
    state = state_of(uow, asked)
    if state == OPEN:
        confirm_consent(uow, asked, evidence=_evidence())
        state = "confirmed"
    return _confirm_page(uow, asked, state)


@blueprint.get("/contact/preferences/<token>", endpoint="choose")
@permission("public")
def choose_page(token: str) -> Any:
    """Show what the customer is contacted for."""
    uow = _uow()
    return _choose_page(uow, customer_of(uow, token))


@blueprint.post("/contact/preferences/<token>", endpoint="choose_now")
@proven_by_link
@permission("public")
def choose_now(token: str) -> Any:
    """Record what was chosen, or that nothing more is wanted."""
    uow = _uow()
    customer = customer_of(uow, token)
    if "all" in request.form:
        unsubscribe_from_all(uow, customer, _evidence())
        return redirect(url_for("preferences.choose", token=token, said="left"), 303)
    try:
        with attempt(uow):
            asked = save_preferences(
                uow, customer, shown=_pairs("shown"), wanted=_pairs("wanted"), evidence=_evidence()
            )
    except Conflict as error:
        return _choose_page(uow, customer, problem=str(error)), 409
    return redirect(url_for("preferences.choose", token=token, said="asked" if asked else "saved"), 303)


@blueprint.get("/contact/unsubscribe/<token>", endpoint="leave")
@permission("public")
def leave_page(token: str) -> Any:
    """Show a button; changes nothing."""
    uow = _uow()
    return _leave_page(uow, token, done="done" in request.args)


@blueprint.post("/contact/unsubscribe/<token>", endpoint="leave_now")
@proven_by_link
@permission("public")
def leave_now(token: str) -> Any:
    """End what the link names: the page's button, or the one press of a mail program."""
    uow = _uow()
    leaving = leaving_of(uow, token)
    unsubscribe(
        uow,
        leaving.customer,
        channel=leaving.channel,
        purpose=leaving.purpose,
        point=leaving.point,
        evidence=_evidence(),
    )
    if request.form.get("List-Unsubscribe") == "One-Click":
        return "", 200
    return redirect(url_for("preferences.leave", token=token, done=1), 303)


def _uow() -> UnitOfWork:
    uow = current_uow()
    uow.actor = BY_LINK
    return uow


def _confirm_page(uow: UnitOfWork, asked: Consent, state: str) -> Any:
    customer = uow.session.get_one(Customer, asked.customer_id)
    point = uow.session.get(ContactPoint, asked.contact_point_id) if asked.contact_point_id else None
    page = _page(
        customer,
        "customers/confirm.html",
        asked=asked,
        purpose=_purpose_label(uow, asked.purpose),
        address=_veiled(point.value) if point is not None else "",
        state=state,
        says=REQUEST_STATES.get(state, ""),
    )
    return page, 410 if state in ("expired", "gone", "revoked") else 200


def _choose_page(uow: UnitOfWork, customer: Customer, *, problem: str = "") -> str:
    with _language(customer):
        choices = preferences_of(uow, customer)
    return _page(
        customer, "customers/preferences.html", choices=choices, said=request.args.get("said", ""), problem=problem
    )


def _leave_page(uow: UnitOfWork, token: str, *, done: bool) -> str:
    leaving = leaving_of(uow, token)
    return _page(
        leaving.customer,
        "customers/unsubscribe.html",
        purpose=_purpose_label(uow, leaving.purpose) if leaving.purpose else "",
        channel=CONTACT_CHANNELS.get(leaving.channel, leaving.channel),
        address=_veiled(leaving.point.value) if leaving.point is not None else "",
        done=done,
    )


def _page(customer: Customer, template: str, **context: Any) -> str:
    with _language(customer):
        return render_template(
            template, company=runtime_of(current_app).config.company_name, locale=str(get_locale()), **context
        )


def _language(customer: Customer) -> AbstractContextManager[None]:
    """The language chosen on this page, else the customer's, else the browser's."""
    chosen = session.get("language")
    if chosen is None and customer.language is not None:
        chosen = language_of(customer)
    speaking: AbstractContextManager[None] = force_locale(chosen or str(get_locale()))
    return speaking


def _purpose_label(uow: UnitOfWork, code: str) -> str:
    return uow.session.scalar(sa.select(Purpose.label).where(Purpose.code == code)) or code


def _pairs(name: str) -> set[tuple[str, str]]:
    found = (text.rpartition(" ") for text in request.form.getlist(name))
    return {(purpose, channel) for purpose, _space, channel in found}


def _evidence() -> Evidence:
    agent = request.user_agent.string or None
    return Evidence(form="preferences", ip=get_remote_address(), user_agent=agent)


def _veiled(value: str) -> str:
    """Return an address that its owner recognises and nobody else learns: ``a…e@crm.test``."""
    name, at, host = value.rpartition("@")
    return f"{name[:1]}…{name[-1:]}@{host}" if at else f"…{value[-3:]}"


def _wrong(response: Any) -> bool:
    return bool(response.status_code == NotFound.status)
