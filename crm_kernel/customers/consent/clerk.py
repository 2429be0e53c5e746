"""The page on which a clerk asks a customer for consent by mail, sees what still waits, asks again or takes it back.

Taking a request back adds a row that answers it with nothing, because the ledger is added to only: the link ends, and the
ledger says nothing new of the customer. A withdrawal would, and would stop what he never objected to.

What was asked is shown, and taken back, by who reads consents and as far as his roles show them; asking needs only the
right to record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel.access.field_access import hidden_fields, seen_record
from crm_kernel.access.policy import allowed, authorize, visible
from crm_kernel.customers.consent.asking import CHANNEL, ask_for_consent, refuse_without_mail, state_of, states_of
from crm_kernel.customers.consent.choices import EXPIRED, GONE, OPEN, PENDING, REVOKED, USED
from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
from crm_kernel.customers.consent.models import Consent, Purpose
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput, NotFound
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("consent_requests", __name__)

#: Requests that the page shows, and how old they may be.
_SHOWN, _RECENT = 20, dt.timedelta(days=90)
#: How long the row holds that ends a request: it has to hold at all.
_MOMENT = dt.timedelta(seconds=1)
#: Where a request stands → what a clerk reads, and its colour.
_STATES = {
    OPEN: (_l("Waiting for the customer"), "orange"),
    USED: (_l("Confirmed"), "green"),
    EXPIRED: (_l("Over without an answer"), "gray"),
    REVOKED: (_l("The customer said no since"), "red"),
    GONE: (_l("The address is gone"), "gray"),
}


@blueprint.get("/customers/<uuid:uid>/consent-requests")
@permission("consent.create")
def page(uid: UUID) -> str:
    """Show the recent requests with where each stands, and the form for a new one."""
    uow = current_uow()
    customer = _customer(uow, uid)
    return _page(uow, customer)


@blueprint.post("/customers/<uuid:uid>/consent-requests")
@permission("consent.create")
def ask(uid: UUID) -> Any:
    """Mail a request for a purpose, also for one that was asked for before."""
    uow = current_uow()
    customer = _customer(uow, uid)
    note = request.form.get("note", "").strip()[:500] or None
    try:
        with attempt(uow):
            refuse_without_mail()
            ask_for_consent(
                uow,
                customer,
                purpose=request.form.get("purpose", ""),
                source=f"user:{uow.channel}",
                evidence=Evidence(note=note),
            )
    except (Conflict, InvalidInput) as error:
        return _page(uow, customer, refused=_said(error)), error.status
    flash(_("The question is on its way. It counts once the customer has confirmed it."), "success")
    return redirect(url_for("consent_requests.page", uid=uid), 303)


@blueprint.post("/customers/<uuid:uid>/consent-requests/<uuid:request_id>/withdraw")
@permission("consent.create")
def take_back(uid: UUID, request_id: UUID) -> Response:
    """Take back a request that waits: its link ends."""
    uow = current_uow()
    customer = _customer(uow, uid)
    authorize(uow.actor, "consent.read", customer)
    asked = uow.session.scalars(_requests(uow, customer).where(Consent.uid == request_id)).first()
    if asked is None:
        raise NotFound(_("There is no such request."))
    # The customer may be confirming it right now: the lock is the one that his page takes.
    uow.session.execute(sa.select(Customer.id).where(Customer.id == customer.id).with_for_update())
    if state_of(uow, asked) != OPEN:
        raise Conflict(_("This request waits for nothing any more."))
    end = Spoken(channel=asked.channel, purpose=asked.purpose, status=PENDING, valid_to=uow.now + _MOMENT)
    record_consent(uow, customer, end, source=f"user:{uow.channel}", confirms=asked)
    flash(_("The request is taken back; its link does not work any more."), "success")
    return redirect(url_for("consent_requests.page", uid=uid), 303)


def _customer(uow: UnitOfWork, uid: UUID) -> Customer:
    found: Customer = record_of(uow, record_type("customer"), uid)
    authorize(uow.actor, "consent.create", found)
    return found


def _page(uow: UnitOfWork, customer: Customer, *, refused: str = "") -> str:
    purposes = uow.session.execute(sa.select(Purpose.code, Purpose.label).order_by(Purpose.label)).all()
    told = _told(uow.actor)
    labels = {row.code: row.label for row in purposes}
    rows = _recent(uow, customer, labels) if told else []
    return render_template(
        "customers/consent_requests.html",
        customer=customer,
        told=told,
        rows=rows,
        purposes=[{"value": code, "label": label} for code, label in labels.items()],
        can_send=can_send_mail(),
        refused=refused,
        command=f"crm consent ask {customer.uid} --purpose {rows[0]['purpose'] if rows else 'PURPOSE'}",
    )


def _told(actor: Actor) -> bool:
    """Say whether somebody may know what was asked: a request is told by its status and its channel."""
    return allowed(actor, "consent.read") and not hidden_fields(actor, "consent") & {"status", "channel", "customer"}


def _requests(uow: UnitOfWork, customer: Customer) -> sa.Select[Consent]:
    return sa.select(Consent).where(
        Consent.customer_id == customer.id, Consent.status == PENDING, visible(uow.actor, record_type("consent"))
    )


def _recent(uow: UnitOfWork, customer: Customer, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    query = _requests(uow, customer).where(
        Consent.channel == CHANNEL, Consent.captured_at > uow.now - _RECENT, Consent.confirms_id.is_(None)
    )
    found = uow.session.scalars(query.order_by(Consent.captured_at.desc(), Consent.id.desc()).limit(_SHOWN)).all()
    states = states_of(uow, found)
    return [_row(uow.actor, customer, asked, labels, states[asked.id]) for asked in found]


def _row(actor: Actor, customer: Customer, asked: Consent, labels: Mapping[str, str], state: str) -> dict[str, Any]:
    until = seen_record(actor, "consent", asked).valid_to
    # Where a request stands tells when it ends: who may not see the one is not told the other.
    label_of_state, color = _STATES[state] if until else ("", "")
    return {
        "label": labels.get(asked.purpose, asked.purpose),
        "purpose": asked.purpose,
        "at": asked.captured_at,
        "until": until,
        "state": label_of_state,
        "color": color,
        "open": bool(until) and state == OPEN,
        "withdraw_url": url_for("consent_requests.take_back", uid=customer.uid, request_id=asked.uid),
    }


def _said(error: Conflict | InvalidInput) -> str:
    if isinstance(error, InvalidInput):
        return " ".join(text for texts in error.errors.values() for text in texts)
    return str(error)
