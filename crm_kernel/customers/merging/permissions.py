"""Sees to it that a merge never gains the permission to contact somebody: of two answers the stricter one stays."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.consent.choices import ALWAYS, CONTACT_CHANNELS, DENIED, PENDING, WITHDRAWN
from crm_kernel.customers.consent.gate import refusals
from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
from crm_kernel.customers.consent.models import Consent, Purpose

if TYPE_CHECKING:
    from crm_kernel.customers.merging.book import Book
    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

#: Channel and purpose.
Use = tuple[str, str]
_TICK = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What was allowed before the merge."""

    #: Uses for which at least one of the two could be contacted.
    allowed: frozenset[Use]
    #: Use → the refusal in force of either, the later one of two.
    refused: dict[Use, Any]


def standing_of(uow: UnitOfWork, customers: Sequence[Customer]) -> Standing:
    """Return what is allowed and refused now; one query per purpose that asks for consent, and two more."""
    keys = [customer.id for customer in customers]
    return Standing(_allowed(uow, _uses(uow), keys), _refusals(uow, keys))


def keep_refusals(uow: UnitOfWork, book: Book, run_uid: Any, target: Customer, before: Standing) -> None:
    """Record a refusal for every use that only the merge would allow; unmerging takes it out again."""
    forbidden = [use for use in _uses(uow) if use in before.refused or use not in before.allowed]
    gained = _allowed(uow, forbidden, [target.id])
    for use in forbidden:
        if use in gained:
            row = _record(uow, run_uid, target, use, before.refused.get(use))
            book.created(book.table("consent"), [{"id": row.id}])


def _record(uow: UnitOfWork, run_uid: Any, target: Customer, use: Use, refusal: Any) -> Consent:
    channel, purpose = use
    latest = sa.select(sa.func.max(Consent.captured_at)).where(
        Consent.customer_id == target.id, Consent.channel == channel, Consent.purpose == purpose
    )
    last = uow.session.scalar(latest)
    note = (
        _("One of two merged customers had refused.") if refusal else _("Neither of two merged customers was allowed.")
    )
    spoken = Spoken(
        channel=channel,
        purpose=purpose,
        status=refusal.status if refusal else WITHDRAWN,
        basis=refusal.basis if refusal else "consent",
        captured_at=max(uow.now, last + _TICK) if last else uow.now,
        valid_to=refusal.valid_to if refusal else None,
        evidence=Evidence(note=str(note)),
    )
    return record_consent(uow, target, spoken, source="merge", external_ref=f"{run_uid}:{channel}:{purpose}")


def _uses(uow: UnitOfWork) -> list[Use]:
    purposes = uow.session.scalars(sa.select(Purpose.code).where(Purpose.rule != ALWAYS).order_by(Purpose.code))
    return [(channel, purpose) for purpose in purposes for channel in CONTACT_CHANNELS]


def _allowed(uow: UnitOfWork, uses: Sequence[Use], keys: Sequence[int]) -> frozenset[Use]:
    """Return the uses, given by purpose, for which one of some customers may be contacted; one query per purpose."""
    refused: Counter[Use] = Counter()
    for purpose, some in groupby(uses, key=itemgetter(1)):
        query = sa.union_all(*(_refused(uow, use, keys) for use in some))
        refused.update((channel, purpose) for channel, _key in uow.session.execute(query))
    return frozenset(use for use in uses if refused[use] < len(keys))


def _refused(uow: UnitOfWork, use: Use, keys: Sequence[int]) -> sa.Select[Any]:
    found = refusals(*use, uow.now).subquery()
    channel = sa.literal(use[0]).label("channel")
    return sa.select(channel, found.c.customer_id).where(found.c.customer_id.in_(keys)).distinct()


def _refusals(uow: UnitOfWork, keys: Sequence[int]) -> dict[Use, Any]:
    table = Consent
    query = (
        sa.select(
            table.customer_id,
            table.channel,
            table.purpose,
            table.status,
            table.basis,
            table.valid_to,
            table.captured_at,
        )
        .where(
            table.customer_id.in_(keys),
            table.captured_at <= uow.now,
            table.valid_from <= uow.now,
            table.status != PENDING,
        )
        .order_by(table.captured_at, table.id)
    )
    last = {(row.customer_id, row.channel, row.purpose): row for row in uow.session.execute(query)}
    found: dict[Use, Any] = {}
    for row in sorted(last.values(), key=lambda row: row.captured_at):
        if row.status in (WITHDRAWN, DENIED) and (row.valid_to is None or row.valid_to > uow.now):
            found[row.channel, row.purpose] = row
    return found
