"""Records what customers agreed to and withdrew. Rows are only ever added: there is no function that changes one."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once
from crm_kernel.customers.consent.choices import BASES, CONTACT_CHANNELS, GIVEN, PENDING, STATUSES
from crm_kernel.customers.consent.models import Consent, Purpose
from crm_kernel.customers.events import ConsentGiven, ConsentWithdrawn
from crm_kernel.customers.models import ContactPoint, Customer, new_uid
from crm_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: How far another system's clock may be ahead of ours.
_SKEW = dt.timedelta(minutes=5)
_MOST = {"form": 120, "form_version": 60, "ip": 45, "user_agent": 300}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How a consent can be proved; texts that are too long are cut."""

    #: The words the customer saw; the purpose's own if not given.
    statement: str | None = None
    #: Where: a form, a page, a call; and the version of it or of the words.
    form: str | None = None
    form_version: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a customer said, and for how long it holds."""

    channel: str
    purpose: str
    status: str
    basis: str = "consent"
    #: When the customer said so; now if not given.
    captured_at: dt.datetime | None = None
    #: From when it holds; from ``captured_at`` on if not given.
    valid_from: dt.datetime | None = None
    #: The first moment at which it no longer holds.
    valid_to: dt.datetime | None = None
    double_opt_in_at: dt.datetime | None = None
    evidence: Evidence = field(default_factory=Evidence)


def record_consent(
    uow: UnitOfWork,
    customer: Customer,
    spoken: Spoken,
    *,
    source: str,
    external_ref: str | None = None,
    contact_point: ContactPoint | None = None,
    confirms: Consent | None = None,
) -> Consent:
    """Add a fact to the ledger and return it, flushed; the same one told again is returned as it is.

    Args:
        source, external_ref: who tells (``user:web``, a plugin), and the key there: the pair is stored once.
        contact_point: the address it was given for.
        confirms: the pending row that it answers.

    Raises:
        InvalidInput: channel, purpose, status or basis is unknown, or the times contradict each other.
    """
    purpose = _checked(uow, spoken)
    captured = spoken.captured_at or uow.now
    row = Consent(
        uid=new_uid(),
        customer_id=customer.id,
        channel=spoken.channel,
        purpose=spoken.purpose,
        status=spoken.status,
        basis=spoken.basis,
        source=source[:60],
        external_ref=external_ref,
        captured_at=captured,
        valid_from=spoken.valid_from or captured,
        valid_to=spoken.valid_to,
        double_opt_in_at=spoken.double_opt_in_at,
        confirms_id=confirms.id if confirms else None,
        contact_point_id=contact_point.id if contact_point else None,
        recorded_by=uow.actor.name,
        created_at=uow.now,
        updated_at=uow.now,
        **_proof(spoken, purpose),
    )
    stored, new = add_once(uow.session, row, lambda: _known(uow, source, external_ref))
    if new:
        _tell(uow, customer, row)
    return cast(Consent, stored)


def create_consent(uow: UnitOfWork, data: Mapping[str, Any]) -> Consent:
    """Record what a form, the API or an import says; ``data`` is what ``ConsentSchema`` loaded.

    Raises:
        InvalidInput: as for ``record_consent``; or it says that it waits for a confirmation.
    """
    if data["status"] == PENDING:
        raise InvalidInput({"status": [_("A consent to be confirmed is asked for, not recorded.")]})
    customer = uow.session.get(Customer, data["customer_id"])
    if customer is None:
        raise InvalidInput({"customer": [_("No such customer.")]})
    names = Spoken.__dataclass_fields__.keys() - {"evidence"}
    spoken = {name: data[name] for name in names if data.get(name) is not None}
    evidence = Evidence(**{name: data.get(name) for name in Evidence.__dataclass_fields__})
    return record_consent(
        uow,
        customer,
        Spoken(**spoken, evidence=evidence),
        source=data.get("source") or f"user:{uow.channel}",
        external_ref=data.get("external_ref"),
    )


def _checked(uow: UnitOfWork, spoken: Spoken) -> Purpose:
    errors: dict[str, list[str]] = {}
    for name, known in (("channel", CONTACT_CHANNELS), ("status", STATUSES), ("basis", BASES)):
        found = getattr(spoken, name)
        if found not in known:
            errors[name] = [_("Found %(found)s, expected one of: %(known)s.", found=found, known=", ".join(known))]
    purpose = uow.session.execute(sa.select(Purpose).where(Purpose.code == spoken.purpose)).scalar_one_or_none()
    if purpose is None or (not purpose.active and spoken.status in (GIVEN, PENDING)):
        errors["purpose"] = [_unknown_purpose(uow, spoken.purpose)]
    errors |= _wrong_times(uow, spoken)
    if errors or purpose is None:
        raise InvalidInput(errors)
    return purpose


def _wrong_times(uow: UnitOfWork, spoken: Spoken) -> dict[str, list[str]]:
    captured = spoken.captured_at or uow.now
    errors = {}
    for name in ("captured_at", "double_opt_in_at"):
        moment = getattr(spoken, name)
        if moment is not None and moment > uow.now + _SKEW:
            errors[name] = [_("Found %(found)s, expected a time that has come.", found=moment.isoformat())]
    if spoken.valid_to is not None and spoken.valid_to <= (spoken.valid_from or captured):
        errors["valid_to"] = [_("Ends before it begins on %(start)s.", start=spoken.valid_from or captured)]
    return errors


def _unknown_purpose(uow: UnitOfWork, code: str) -> str:
    known = uow.session.scalars(sa.select(Purpose.code).where(Purpose.active == sa.true()).order_by(Purpose.code))
    return str(_("Found %(found)s, expected one of: %(known)s.", found=code, known=", ".join(known)))


def _proof(spoken: Spoken, purpose: Purpose) -> dict[str, Any]:
    given = asdict(spoken.evidence)
    proof = {name: value[: _MOST.get(name)] if value else None for name, value in given.items()}
    if proof["statement"] is None and spoken.status in (GIVEN, PENDING):
        proof["statement"] = purpose.statement
        proof["form_version"] = proof["form_version"] or purpose.statement_version
    words = proof["statement"]
    return {**proof, "statement_digest": hashlib.sha256(words.encode()).hexdigest() if words else None}


def _known(uow: UnitOfWork, source: str, external_ref: str | None) -> Consent | None:
    if external_ref is None:
        return None
    query = sa.select(Consent).where(Consent.source == source, Consent.external_ref == external_ref)
    return uow.session.execute(query).scalar_one_or_none()


def _tell(uow: UnitOfWork, customer: Customer, row: Consent) -> None:
    if row.status == PENDING:
        return
    event = ConsentGiven if row.status == GIVEN else ConsentWithdrawn
    uow.record(event(customer_id=customer.uid, consent_id=row.uid, channel=row.channel, purpose=row.purpose))
