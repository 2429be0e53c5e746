"""Double opt-in: a consent that is asked for waits until who holds the mailbox confirms it.

A request is a ``pending`` row of the ledger, which permits nothing; its confirmation is a second row that names it. The
database takes one answer per request, so a link works once. The mail leaves by a job, which finds address and words in
the database: neither stands in the job.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm import aliased

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import Job, JobKind
from crm_kernel.customers.consent.choices import DENIED, EXPIRED, GIVEN, GONE, OPEN, PENDING, REVOKED, USED, WITHDRAWN
from crm_kernel.customers.consent.gate import verdict_of
from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
from crm_kernel.customers.consent.links import confirmation_link, preferences_link
from crm_kernel.customers.consent.models import Consent, Purpose
from crm_kernel.customers.consent.suppression import lift_suppression, suppressions_of
from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.customers.values.states import ContactState, can_use
from crm_kernel.customers.values.states import Evidence as Proof
from crm_kernel.errors import Conflict
from crm_kernel.jobs.services import enqueue
from crm_kernel.mail.message import Mail
from crm_kernel.mail.transport import MAIL_ATTEMPTS, can_send_mail, send_about
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What carries the question: only who reads the mailbox can answer.
CHANNEL = "email"
#: How long a link can be used.
VALID_FOR = dt.timedelta(days=7)
#: Shortest time between two mails to one address, and how many a day.
PAUSE, MOST_A_DAY = dt.timedelta(minutes=10), 3

_MAIL = "kernel.mail_consent_request"


def jobs() -> list[Job]:
    """Return the job that mails a request."""
    return [Job(name=_MAIL, handler=mail_request, kind=JobKind.OUTSIDE, queue="mail", max_attempts=MAIL_ATTEMPTS)]


def ask_for_consent(
    uow: UnitOfWork, customer: Customer, *, purpose: str, source: str, evidence: Evidence | None = None
) -> Consent:
    """Store a request for consent by e-mail and mail its link to the customer's address; return the pending row.

    Raises:
        Conflict, InvalidInput: as for ``request_consent``.
    """
    row = request_consent(uow, customer, purpose=purpose, source=source, evidence=evidence)
    enqueue(uow, _MAIL, {"request": str(row.uid)}, dedupe_key=str(row.uid))
    return row


def request_consent(
    uow: UnitOfWork, customer: Customer, *, purpose: str, source: str, evidence: Evidence | None = None
) -> Consent:
    """Store a request for consent by e-mail and return it, pending; who calls it brings the link to the customer.

    Args:
        purpose: code of a purpose.
        evidence: where the customer asked for it; the words of the purpose are added.

    Raises:
        Conflict: no address to ask, one that must not be used, the customer agreed already, or was asked too often.
        InvalidInput: there is no such purpose.
    """
    uow.session.execute(sa.select(Customer.id).where(Customer.id == customer.id).with_for_update())
    point = _address(uow, customer)
    _refuse_agreed(uow, customer, purpose)
    _refuse_too_often(uow, point)
    said = Spoken(
        channel=CHANNEL, purpose=purpose, status=PENDING, valid_to=uow.now + VALID_FOR, evidence=evidence or Evidence()
    )
    return record_consent(uow, customer, said, source=source, contact_point=point)


def refuse_without_mail() -> None:
    """Refuse to ask where nothing can be sent.

    Raises:
        Conflict: the instance has no mail server.
    """
    if not can_send_mail():
        raise Conflict(
            _("No mail can be sent: this instance has no mail server. Print the link: crm consent ask --print-link")
        )


def state_of(uow: UnitOfWork, request: Consent) -> str:
    """Return where a request stands: a key of ``choices.REQUEST_STATES``; two queries."""
    return states_of(uow, [request])[request.id]


def states_of(uow: UnitOfWork, requests: Sequence[Consent]) -> dict[int, str]:
    """Return where some requests stand: key → a key of ``choices.REQUEST_STATES``; two queries, however many there are."""
    keys = [request.id for request in requests]
    answers = sa.select(Consent.confirms_id, Consent.status).where(Consent.confirms_id.in_(keys))
    answered = {row.confirms_id: row.status for row in uow.session.execute(answers)}
    refused = set(uow.session.scalars(_refused_since(keys)))
    return {
        request.id: _state(uow.now, request, answered.get(request.id), refused=request.id in refused)
        for request in requests
    }


def _refused_since(keys: Sequence[int]) -> sa.Select[int]:
    """Select those of some requests after which the customer withdrew what they ask for, or said no."""
    later = aliased(Consent)
    said_no = sa.exists().where(
        later.customer_id == Consent.customer_id,
        later.channel == Consent.channel,
        later.purpose == Consent.purpose,
        later.status.in_((WITHDRAWN, DENIED)),
        later.captured_at > Consent.captured_at,
    )
    return sa.select(Consent.id).where(Consent.id.in_(keys), said_no.correlate(Consent))


def _state(now: dt.datetime, request: Consent, answer: str | None, *, refused: bool) -> str:
    if answer is not None:
        return EXPIRED if answer == PENDING else USED  # pending: whoever asked took it back
    if request.valid_to is None or request.valid_to <= now:
        return EXPIRED
    if request.contact_point_id is None:
        return GONE
    return REVOKED if refused else OPEN


def confirm_consent(uow: UnitOfWork, request: Consent, *, evidence: Evidence | None = None) -> Consent:
    """Record that the holder of the link agreed, and return the new row; the address is known to be his from now on.

    A suppression that says "unsubscribed" of this address ends: its holder asked for mail again.

    Raises:
        Conflict: the request is not open; the state is the text's reason.
    """
    uow.session.execute(sa.select(Customer.id).where(Customer.id == request.customer_id).with_for_update())
    state = state_of(uow, request)
    if state != OPEN:
        raise Conflict(_("This request cannot be confirmed: it is %(state)s.", state=state))
    customer = uow.session.get_one(Customer, request.customer_id)
    point = uow.session.get_one(ContactPoint, request.contact_point_id)
    proof = evidence or Evidence()
    said = Spoken(
        channel=request.channel,
        purpose=request.purpose,
        status=GIVEN,
        basis=request.basis,
        double_opt_in_at=uow.now,
        evidence=Evidence(
            statement=request.statement, form=request.form, form_version=request.form_version, ip=proof.ip,
            user_agent=proof.user_agent,
        ),
    )  # fmt: skip
    row = record_consent(uow, customer, said, source="customer:confirmation", contact_point=point, confirms=request)
    report_evidence(uow, point, Proof.CONFIRMED, source="kernel", external_ref=str(row.uid))
    for suppression in suppressions_of(uow, point):
        if suppression.reason == "unsubscribed":
            lift_suppression(uow, suppression, note=_("The holder of the address agreed again."))
    return row


def mail_request(payload: dict[str, Any]) -> None:
    """Mail the link of a request that is still open; a job, with no transaction open while it talks to the mail server.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    with reading(SYSTEM, channel="job") as uow:
        asked = _mail(uow, UUID(payload["request"]))
    if asked is not None:
        send_about(asked[0], "customer", asked[1])


def _mail(uow: UnitOfWork, uid: UUID) -> tuple[Mail, UUID] | None:
    """Return the mail of a request and the customer it goes to."""
    request = uow.session.scalars(sa.select(Consent).where(Consent.uid == uid)).first()
    if request is None or state_of(uow, request) != OPEN:
        return None
    customer = uow.session.get_one(Customer, request.customer_id)
    point = uow.session.get_one(ContactPoint, request.contact_point_id)
    purpose = uow.session.scalars(sa.select(Purpose).where(Purpose.code == request.purpose)).one()
    with force_locale(language_of(customer)):
        # Not render_template: what the shell adds to every page needs a request.
        text = current_app.jinja_env.get_template("customers/confirm_mail.txt").render(
            purpose=purpose,
            request=request,
            company=runtime_of(current_app).config.company_name,
            link=confirmation_link(request),
            preferences=preferences_link(customer),
        )
        subject = _("Please confirm: %(purpose)s", purpose=purpose.label)
        return Mail(recipient=point.value, subject=subject, text=text, key=f"{_MAIL}:{uid}"), customer.uid


def language_of(customer: Customer) -> str:
    """Return the language a customer is written to in: the customer's own if the instance speaks it, else its first."""
    languages = runtime_of(current_app).config.languages
    wanted = (customer.language or "").replace("-", "_")
    return next((code for code in (wanted, wanted.partition("_")[0]) if code in languages), languages[0])


def _address(uow: UnitOfWork, customer: Customer) -> ContactPoint:
    if customer.merged_into_id is not None or customer.status == "archived":
        raise Conflict(_("This customer is archived or was merged into another one."))
    live = [state.value for state in ContactState if can_use(state)]
    query = sa.select(ContactPoint).where(
        ContactPoint.customer_id == customer.id, ContactPoint.channel == CHANNEL, ContactPoint.state.in_(live)
    )
    points = uow.session.scalars(query.order_by(ContactPoint.is_primary.desc(), ContactPoint.id)).all()
    for point in points:
        if all(found.reason == "unsubscribed" for found in suppressions_of(uow, point)):
            return point
    if points:
        raise Conflict(_("No address of this customer may be used."))
    raise Conflict(_("This customer has no e-mail address that works: add one first."))


def _refuse_agreed(uow: UnitOfWork, customer: Customer, purpose: str) -> None:
    verdict = verdict_of(uow, customer.id, channel=CHANNEL, purpose=purpose, at=uow.now)
    if verdict.reason == "consent_given":
        raise Conflict(_("The customer agreed to this already."))


def _refuse_too_often(uow: UnitOfWork, point: ContactPoint) -> None:
    table = Consent
    asked = sa.select(table.captured_at).where(
        table.contact_point_id == point.id,
        table.status == PENDING,
        table.captured_at > uow.now - dt.timedelta(days=1),
    )
    times = sorted(uow.session.scalars(asked))
    if len(times) >= MOST_A_DAY or (times and times[-1] > uow.now - PAUSE):
        raise Conflict(_("This address was asked a moment ago, or too often today: wait before asking again."))
