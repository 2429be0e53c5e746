"""The one gate: may this customer be contacted, and which customers may be, by the same contact rules.

``may_contact`` asks the rules about one customer and says why; ``contactable`` turns them into one select for an
audience. There is no second rule set: both are the union of what the rules refuse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.access.policy import visible
from crm_kernel.contributions import ContactRule, active
from crm_kernel.customers.consent.choices import (
    ALWAYS,
    CONTACT_CHANNELS,
    GIVEN,
    OPT_IN,
    PERMISSIONS,
    POINTS_OF,
    REFUSALS,
)
from crm_kernel.customers.consent.models import Purpose, Suppression, SuppressionMatch
from crm_kernel.customers.consent.rules import decisive, in_force
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.database import UTCDateTime
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.replacements import named, not_found

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One rule's no."""

    rule: str
    #: A word: a key of ``choices.REFUSALS``, or the plugin's own.
    reason: str
    #: The same for people; lazy.
    text: Any
    #: When it may be allowed again; None where no moment is known.
    next_eligible_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The stored fact that decided: a row of the consent ledger or of the suppression list."""

    #: ``consent`` or ``suppression``: the record type.
    kind: str
    id: UUID
    #: The consent's status or the suppression's reason.
    says: str
    at: dt.datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactVerdict:
    """Whether a customer may be contacted, why, and by which fact."""

    allowed: bool
    #: A key of ``choices.PERMISSIONS``, or the first refusal's reason.
    reason: str
    #: The same for people; lazy.
    text: Any
    proof: Proof | None
    #: All refusals, in the order of the rules; empty when allowed.
    refusals: tuple[Refusal, ...] = ()

    @property
    def next_eligible_at(self) -> dt.datetime | None:
        """When no known refusal holds any more; None when allowed, or when one has no end."""
        ends = [refusal.next_eligible_at for refusal in self.refusals]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None


def may_contact(
    uow: UnitOfWork, customer_uid: UUID, *, channel: str, purpose: str, at: dt.datetime | None = None
) -> ContactVerdict:
    """Say whether a customer may be contacted over a channel for a purpose, with reason and proof; three queries.

    Args:
        channel: a key of ``choices.CONTACT_CHANNELS``.
        purpose: the code of a purpose; one that does not exist is refused with ``unknown_purpose``.
        at: when the contact takes place, aware; now if not given.

    Raises:
        NotFound: there is no such customer, or none the actor may see.
        InvalidInput: there is no such channel.
    """
    _refuse_unknown(channel)
    when = at or uow.now
    model = Customer
    # Asked by the id of one that was merged, it answers for the one in its place.
    type_ = record_type("customer")
    query = sa.select(model.id).where(named(type_, [customer_uid]), visible(uow.actor, type_))
    key = uow.session.execute(query).scalar_one_or_none()
    if key is None:
        raise not_found(record_type("customer"), customer_uid)
    return verdict_of(uow, key, channel=channel, purpose=purpose, at=when)


def verdict_of(uow: UnitOfWork, key: int, *, channel: str, purpose: str, at: dt.datetime) -> ContactVerdict:
    """Say whether the customer with a key may be contacted, whoever asks: visibility is the caller's; two queries."""
    refused = _refusals_of(uow, key, channel, purpose, at)
    if refused:
        first = refused[0]
        proof = _proof(uow, key, channel, purpose, at, first.rule)
        return ContactVerdict(allowed=False, reason=first.reason, text=first.text, proof=proof, refusals=tuple(refused))
    reason, proof = _permission(uow, key, channel, purpose, at)
    return ContactVerdict(allowed=True, reason=reason, text=PERMISSIONS[reason], proof=proof)


def contactable(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Return the keys of all customers who may be contacted, as a select of ``customer.id``; visibility is the caller's.

    Agrees with ``may_contact`` for every customer. Needs an application context, and does not query.

    Raises:
        InvalidInput: there is no such channel.
    """
    _refuse_unknown(channel)
    query = sa.select(Customer.id)
    for place, rule in enumerate(rules_in_force()):
        refused = rule.refusals(channel, purpose, at).subquery(f"refused_{place}")
        query = query.outerjoin(refused, refused.c.customer_id == Customer.id).where(refused.c.customer_id.is_(None))
    return query


def refusals(channel: str, purpose: str, at: dt.datetime) -> sa.CompoundSelect[Any]:
    """Return every refusal of every customer: ``customer_id``, ``place``, ``reason``, ``next_eligible_at``.

    ``place`` is the rule's in ``rules_in_force()``: the lowest of a customer gives the reason that ``may_contact``
    names first.
    """
    return sa.union_all(*(_placed(rule, place, channel, purpose, at) for place, rule in enumerate(rules_in_force())))


def rules_in_force() -> list[ContactRule]:
    """Return the contact rules of the loaded modules, in order."""
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(current_app)
    return active(runtime.registry.all("contact_rules"), runtime.manager.names)


def _placed(rule: ContactRule, place: int, channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    found = rule.refusals(channel, purpose, at).subquery()
    return sa.select(
        found.c.customer_id,
        sa.literal(place, sa.Integer).label("place"),
        sa.type_coerce(found.c.reason, sa.String).label("reason"),
        sa.type_coerce(found.c.next_eligible_at, UTCDateTime()).label("next_eligible_at"),
    )


def _refusals_of(uow: UnitOfWork, key: int, channel: str, purpose: str, at: dt.datetime) -> list[Refusal]:
    every, known = refusals(channel, purpose, at).subquery(), rules_in_force()
    query = sa.select(every).where(every.c.customer_id == key).order_by(every.c.place)
    return [
        Refusal(
            rule=known[row.place].name,
            reason=row.reason,
            text=REFUSALS.get(row.reason, known[row.place].reason),
            next_eligible_at=row.next_eligible_at,
        )
        for row in uow.session.execute(query)
    ]


def _permission(uow: UnitOfWork, key: int, channel: str, purpose: str, at: dt.datetime) -> tuple[str, Proof | None]:
    rule = uow.session.execute(sa.select(Purpose.rule).where(Purpose.code == purpose)).scalar_one()
    if rule == ALWAYS:
        return "always", None
    proof = _last_word(uow, key, channel, purpose, at)
    agreed = rule == OPT_IN or (proof is not None and proof.says == GIVEN)
    return "consent_given" if agreed else "not_objected", proof


def _proof(uow: UnitOfWork, key: int, channel: str, purpose: str, at: dt.datetime, rule: str) -> Proof | None:
    if rule == "kernel.consent":
        return _last_word(uow, key, channel, purpose, at)
    return _suppression(uow, key, channel, purpose, at) if rule == "kernel.suppression" else None


def _last_word(uow: UnitOfWork, key: int, channel: str, purpose: str, at: dt.datetime) -> Proof | None:
    last = decisive(channel, purpose, at).subquery()
    row = uow.session.execute(sa.select(last).where(last.c.customer_id == key)).first()
    if row is None:
        return None
    return Proof(kind="consent", id=row.uid, says=row.status, at=row.captured_at, source=row.source)


def _suppression(uow: UnitOfWork, key: int, channel: str, purpose: str, at: dt.datetime) -> Proof | None:
    table = Suppression
    query = (
        sa.select(table)
        .join(SuppressionMatch, SuppressionMatch.suppression_id == table.id)
        .join(ContactPoint, ContactPoint.id == SuppressionMatch.contact_point_id)
        .where(
            ContactPoint.customer_id == key,
            ContactPoint.channel.in_(POINTS_OF[channel]),
            *in_force(channel, purpose, at),
        )
        .order_by(table.since.desc(), table.id.desc())
        .limit(1)
    )
    row = uow.session.execute(query).scalar_one_or_none()
    if row is None:
        return None
    return Proof(kind="suppression", id=row.uid, says=row.reason, at=row.since, source=row.source)


def _refuse_unknown(channel: str) -> None:
    if channel not in CONTACT_CHANNELS:
        known: Sequence[str] = list(CONTACT_CHANNELS)
        text = _("Found %(found)s, expected one of: %(known)s.", found=channel, known=", ".join(known))
        raise InvalidInput({"channel": [text]})
