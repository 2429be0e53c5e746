"""What customers choose by themselves: purposes by channels, and leaving all of them. Every choice is a row of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.consent.asking import CHANNEL, ask_for_consent
from crm_kernel.customers.consent.choices import (
    ALWAYS,
    ANY_CHANNEL,
    CONTACT_CHANNELS,
    DENIED,
    GIVEN,
    OPT_OUT,
    PENDING,
    POINTS_OF,
    WITHDRAWN,
)
from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
from crm_kernel.customers.consent.models import Consent, Purpose, Suppression, SuppressionMatch
from crm_kernel.customers.consent.suppression import lift_suppression, suppress_points
from crm_kernel.customers.models import Address, ContactPoint, Customer
from crm_kernel.mail.transport import can_send_mail

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_SOURCE = "customer:preferences"
#: A purpose's code and a channel.
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One purpose over one channel."""

    channel: str
    #: Lazy.
    label: Any
    chosen: bool
    #: Whether a request waits for its confirmation.
    waiting: bool = False
    #: Why the customer cannot choose it here; empty when he can.
    locked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One purpose, and its channels."""

    code: str
    label: str
    description: str
    statement: str
    cells: tuple[Cell, ...]


def preferences_of(uow: UnitOfWork, customer: Customer) -> list[Choice]:
    """Return what a customer may choose, by label: public purposes over the channels he can be reached by; five queries."""
    channels, said, stopped = _channels(uow, customer), _last_words(uow, customer), _stopped(uow, customer)
    return [
        Choice(
            code=purpose.code,
            label=purpose.label,
            description=purpose.description or "",
            statement=purpose.statement or "",
            cells=tuple(_cell(purpose, channel, said, stopped) for channel in channels),
        )
        for purpose in _purposes(uow)
    ]


def save_preferences(
    uow: UnitOfWork, customer: Customer, *, shown: Collection[Pair], wanted: Collection[Pair], evidence: Evidence
) -> list[Pair]:
    """Record what differs from before and return the pairs whose confirmation was mailed.

    Args:
        shown: the pairs the page showed; others are left as they are, whatever was added meanwhile.
        wanted: those that were ticked.

    Raises:
        Conflict: a confirmation cannot be mailed; the text says why.
    """
    asked: list[Pair] = []
    for choice in preferences_of(uow, customer):
        for cell in choice.cells:
            pair = (choice.code, cell.channel)
            if pair not in shown or cell.locked or cell.chosen == (pair in wanted):
                continue
            if pair in wanted:
                asked += _agree(uow, customer, pair, evidence)
            elif not cell.waiting:
                _say(uow, customer, pair, WITHDRAWN, evidence)
    return asked


def unsubscribe(
    uow: UnitOfWork,
    customer: Customer,
    *,
    channel: str,
    purpose: str = "",
    point: ContactPoint | None = None,
    evidence: Evidence,
) -> None:
    """End one purpose over a channel, or all of them; told again, nothing is added.

    Without a purpose the address is suppressed as well (all addresses of the channel if none is given), so that it stays
    so when the same address comes back by an import.
    """
    said = _last_words(uow, customer)
    codes = [purpose] if purpose else [found.code for found in _purposes(uow)]
    for code in codes:
        word = said.get((code, channel))
        if word is None or word.status not in (WITHDRAWN, DENIED):
            _say(uow, customer, (code, channel), WITHDRAWN, evidence)
    if not purpose and POINTS_OF[channel]:  # a letter goes to no contact point
        suppress_points(uow, _reached(customer, channel, point), channel=channel, reason="unsubscribed", source=_SOURCE)


def unsubscribe_from_all(uow: UnitOfWork, customer: Customer, evidence: Evidence) -> None:
    """End all purposes over all channels by which the customer can be reached."""
    for channel in _channels(uow, customer):
        unsubscribe(uow, customer, channel=channel, evidence=evidence)


def _agree(uow: UnitOfWork, customer: Customer, pair: Pair, evidence: Evidence) -> list[Pair]:
    code, channel = pair
    purpose = uow.session.scalars(sa.select(Purpose).where(Purpose.code == code)).one()
    if purpose.double_opt_in:
        ask_for_consent(uow, customer, purpose=code, source=_SOURCE, evidence=evidence)
        return [pair]
    _say(uow, customer, pair, GIVEN, evidence)
    _let_in_again(uow, customer, channel)
    return []


def _say(uow: UnitOfWork, customer: Customer, pair: Pair, status: str, evidence: Evidence) -> None:
    spoken = Spoken(purpose=pair[0], channel=pair[1], status=status, evidence=evidence)
    if status != GIVEN:
        spoken = replace(spoken, evidence=replace(evidence, statement=None))
    record_consent(uow, customer, spoken, source=_SOURCE)


def _let_in_again(uow: UnitOfWork, customer: Customer, channel: str) -> None:
    """End what the customer's own leaving suppressed; what others decided stays."""
    for found in _suppressions(uow, customer):
        if found.reason == "unsubscribed" and found.channel in (channel, ANY_CHANNEL):
            lift_suppression(uow, found, note=_("The customer agreed again on the preference page."))


def _purposes(uow: UnitOfWork) -> Sequence[Purpose]:
    query = sa.select(Purpose).where(Purpose.active == sa.true(), Purpose.public == sa.true(), Purpose.rule != ALWAYS)
    return uow.session.scalars(query.order_by(Purpose.label, Purpose.id)).all()


def _channels(uow: UnitOfWork, customer: Customer) -> list[str]:
    kinds = set(uow.session.scalars(sa.select(ContactPoint.channel).where(ContactPoint.customer_id == customer.id)))
    place = uow.session.scalar(sa.select(Address.id).where(Address.customer_id == customer.id).limit(1))
    reached = {channel for channel, points in POINTS_OF.items() if kinds.intersection(points)}
    return [name for name in CONTACT_CHANNELS if name in reached or (name == "letter" and place is not None)]


def _last_words(uow: UnitOfWork, customer: Customer) -> dict[Pair, Consent]:
    """Return pair → the row that decides now; where none does, the request that waits."""
    table = Consent
    query = sa.select(table).where(
        table.customer_id == customer.id, table.captured_at <= uow.now, table.valid_from <= uow.now
    )
    found: dict[Pair, Consent] = {}
    for row in uow.session.scalars(query.order_by(table.captured_at, table.id)):
        pair = (row.purpose, row.channel)
        if row.status != PENDING or pair not in found or found[pair].status == PENDING:
            found[pair] = row
    return {pair: row for pair, row in found.items() if row.valid_to is None or row.valid_to > uow.now}


def _suppressions(uow: UnitOfWork, customer: Customer) -> Sequence[Suppression]:
    table = Suppression
    query = (
        sa.select(table)
        .join(SuppressionMatch, SuppressionMatch.suppression_id == table.id)
        .join(ContactPoint, ContactPoint.id == SuppressionMatch.contact_point_id)
        .where(
            ContactPoint.customer_id == customer.id,
            table.since <= uow.now,
            sa.or_(table.until.is_(None), table.until > uow.now),
        )
        .distinct()
    )
    return uow.session.scalars(query).all()


def _stopped(uow: UnitOfWork, customer: Customer) -> dict[str, bool]:
    """Return the suppressed channels, ``any`` among them: whether somebody else than the customer decided so."""
    found: dict[str, bool] = {}
    for row in _suppressions(uow, customer):
        found[row.channel] = found.get(row.channel, False) or row.reason != "unsubscribed"
    return found


def _cell(purpose: Purpose, channel: str, said: dict[Pair, Consent], stopped: dict[str, bool]) -> Cell:
    word = said.get((purpose.code, channel))
    agreed = purpose.rule == OPT_OUT if word is None or word.status == PENDING else word.status == GIVEN
    theirs = [stopped[name] for name in (channel, ANY_CHANNEL) if name in stopped]
    return Cell(
        channel=channel,
        label=CONTACT_CHANNELS[channel],
        chosen=agreed and not theirs,
        waiting=word is not None and word.status == PENDING,
        locked=_lock(purpose, channel, decided_by_others=any(theirs)),
    )


def _lock(purpose: Purpose, channel: str, *, decided_by_others: bool) -> str:
    if decided_by_others:
        return str(_("Nothing is sent to this address any more."))
    if purpose.double_opt_in and (channel != CHANNEL or not can_send_mail()):
        return str(_("Needs a confirmation that cannot be asked for here."))
    return ""


def _reached(customer: Customer, channel: str, point: ContactPoint | None) -> sa.ColumnElement[bool]:
    if point is not None:
        return ContactPoint.id == point.id
    return sa.and_(ContactPoint.customer_id == customer.id, ContactPoint.channel.in_(POINTS_OF[channel]))
