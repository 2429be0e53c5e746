"""The suppression list: values that must not be used, whoever they belong to now or later.

A suppression is found again by the digest of the value. Whoever stores contact points calls ``match_points_of``, so
that an address which comes back after an erasure is suppressed from its first moment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import IN_LIMIT
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.consent.choices import (
    ANY_CHANNEL,
    POINTS_OF,
    SUPPRESSED_CHANNELS,
    SUPPRESSION_REASONS,
)
from crm_kernel.customers.consent.hashing import value_digest
from crm_kernel.customers.consent.models import Suppression, SuppressionMatch
from crm_kernel.customers.models import ContactPoint, Customer, new_uid
from crm_kernel.customers.normalising import contact_values
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def suppress(
    uow: UnitOfWork,
    value: str,
    *,
    channel: str,
    reason: str,
    source: str,
    until: dt.datetime | None = None,
    note: str | None = None,
) -> Suppression:
    """Keep a value from being used over a channel and return the row, flushed; one that says so already is returned.

    Args:
        value: as people write it: an e-mail address, a telephone number, a name in a social network.
        channel: a key of ``choices.SUPPRESSED_CHANNELS``; ``any`` stops all of them.
        until: the first moment at which it no longer holds; None for ever.

    Raises:
        InvalidInput: channel or reason is unknown, the end has passed, or the text is no such value.
    """
    _check(uow, channel, reason, until)
    kind = _kind_of(channel, value)
    try:
        _shown, normalized = contact_values().normalise(kind, value)
    except ValueProblem as problem:
        raise InvalidInput({"value": [str(problem)]}) from problem
    return _suppress(uow, kind, normalized, channel=channel, reason=reason, source=source, until=until, note=note)


def suppress_points(
    uow: UnitOfWork, points: sa.ColumnElement[bool], *, channel: str, reason: str, source: str
) -> list[Suppression]:
    """Keep the values of stored contact points from being used over a channel for ever, oldest point first.

    They are taken as they are stored: what was taken once is no reason to refuse now, whatever the settings or the rules
    say of such a text today. One query, and two per value.

    Args:
        points: which ones, as a predicate over ``ContactPoint``.

    Raises:
        InvalidInput: channel or reason is unknown.
    """
    _check(uow, channel, reason, None)
    query = sa.select(ContactPoint.channel, ContactPoint.value_normalized).where(points).order_by(ContactPoint.id)
    return [
        _suppress(uow, kind, value, channel=channel, reason=reason, source=source)
        for kind, value in uow.session.execute(query).all()
    ]


def suppress_customer(uow: UnitOfWork, customer: Customer, *, reason: str, source: str) -> list[Suppression]:
    """Keep every address and number of a customer from being used over any channel; erasure calls this first.

    Web addresses are no way to contact anybody and left out.
    """
    kinds = {kind for kinds in POINTS_OF.values() for kind in kinds}
    theirs = sa.and_(ContactPoint.customer_id == customer.id, ContactPoint.channel.in_(kinds))
    return suppress_points(uow, theirs, channel=ANY_CHANNEL, reason=reason, source=source)


def lift_suppression(uow: UnitOfWork, suppression: Suppression, *, note: str | None = None) -> None:
    """Let a value be used again from now on; the row stays, with its end.

    Raises:
        Conflict: it has ended already.
    """
    if suppression.until is not None and suppression.until <= uow.now:
        raise Conflict(_("This suppression ended already."))
    suppression.until, suppression.updated_at = uow.now, uow.now
    if note:
        suppression.note = f"{suppression.note}\n{note}" if suppression.note else note
    uow.session.flush()


def suppressions_of(uow: UnitOfWork, point: ContactPoint) -> list[Suppression]:
    """Return the suppressions in force now that name a contact point's value, newest first; one query."""
    table = Suppression
    query = (
        sa.select(table)
        .join(SuppressionMatch, SuppressionMatch.suppression_id == table.id)
        .where(
            SuppressionMatch.contact_point_id == point.id,
            table.since <= uow.now,
            sa.or_(table.until.is_(None), table.until > uow.now),
        )
        .order_by(table.id.desc())
    )
    return list(uow.session.scalars(query))


def match_points_of(uow: UnitOfWork, customer_ids: Collection[int]) -> None:
    """Note which contact points of some customers are suppressed; after their values were written.

    One query while nothing is suppressed; else four per 5,000 customers.
    """
    if not customer_ids or uow.session.execute(sa.select(Suppression.id).limit(1)).first() is None:
        return
    uow.session.flush()
    keys = sorted(customer_ids)
    for start in range(0, len(keys), IN_LIMIT):
        _match_chunk(uow, keys[start : start + IN_LIMIT])


def _match_chunk(uow: UnitOfWork, keys: list[int]) -> None:
    table = ContactPoint
    query = sa.select(table.id, table.channel, table.value_normalized).where(table.customer_id.in_(keys))
    digests = {row.id: value_digest(row.channel, row.value_normalized) for row in uow.session.execute(query)}
    known = _by_digest(uow, set(digests.values()))
    theirs = sa.select(table.id).where(table.customer_id.in_(keys))
    uow.session.execute(sa.delete(SuppressionMatch).where(SuppressionMatch.contact_point_id.in_(theirs)))
    matches = [
        {"contact_point_id": point, "suppression_id": key}
        for point, digest in digests.items()
        for key in known.get(digest, ())
    ]
    if matches:
        uow.session.execute(sa.insert(SuppressionMatch), matches)


def _by_digest(uow: UnitOfWork, digests: set[UUID]) -> Mapping[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    wanted = sorted(digests)
    for start in range(0, len(wanted), IN_LIMIT):
        part = wanted[start : start + IN_LIMIT]
        query = sa.select(Suppression.value_digest, Suppression.id).where(Suppression.value_digest.in_(part))
        for digest, key in uow.session.execute(query):
            found.setdefault(digest, []).append(key)
    return found


def _suppress(
    uow: UnitOfWork,
    kind: str,
    normalized: str,
    *,
    channel: str,
    reason: str,
    source: str,
    until: dt.datetime | None = None,
    note: str | None = None,
) -> Suppression:
    digest = value_digest(kind, normalized)
    known = _standing(uow, digest, channel, reason, until)
    if known is not None:
        return known
    row = Suppression(
        uid=new_uid(), channel=channel, value_digest=digest, reason=reason, since=uow.now, until=until,
        source=source[:60], note=note, recorded_by=uow.actor.name, created_at=uow.now, updated_at=uow.now,
    )  # fmt: skip
    uow.session.add(row)
    uow.session.flush()
    _match_stored(uow, row, kind, normalized)
    return row


def _match_stored(uow: UnitOfWork, row: Suppression, kind: str, normalized: str) -> None:
    table = ContactPoint
    base = normalized.partition(";")[0]
    if kind in PHONE_CHANNELS:
        same = sa.or_(table.value_normalized == base, table.value_normalized.startswith(f"{base};", autoescape=True))
        query = sa.select(table.id).where(table.channel.in_(PHONE_CHANNELS), same)
    else:
        query = sa.select(table.id).where(table.channel == kind, table.value_normalized == normalized)
    points = uow.session.scalars(query).all()
    if points:
        matches: list[dict[str, Any]] = [{"contact_point_id": key, "suppression_id": row.id} for key in points]
        uow.session.execute(sa.insert(SuppressionMatch), matches)


def _standing(
    uow: UnitOfWork, digest: UUID, channel: str, reason: str, until: dt.datetime | None
) -> Suppression | None:
    table = Suppression
    longer = table.until.is_(None) if until is None else sa.or_(table.until.is_(None), table.until >= until)
    query = sa.select(table).where(
        table.value_digest == digest, table.channel == channel, table.reason == reason, table.since <= uow.now, longer
    )
    return uow.session.scalars(query.limit(1)).first()


def _check(uow: UnitOfWork, channel: str, reason: str, until: dt.datetime | None) -> None:
    errors: dict[str, list[str]] = {}
    known: Mapping[str, Any]
    for name, found, known in (("channel", channel, SUPPRESSED_CHANNELS), ("reason", reason, SUPPRESSION_REASONS)):
        if found not in known:
            errors[name] = [_("Found %(found)s, expected one of: %(known)s.", found=found, known=", ".join(known))]
    if until is not None and until <= uow.now:
        errors["until"] = [_("Found %(found)s, expected a time to come.", found=until.isoformat())]
    if errors:
        raise InvalidInput(errors)


def _kind_of(channel: str, value: str) -> str:
    """Return the kind of contact point that a value is; over any channel an @ tells addresses from numbers."""
    if channel != ANY_CHANNEL:
        return "phone" if POINTS_OF[channel][0] in PHONE_CHANNELS else POINTS_OF[channel][0]
    text = value.strip()
    if text.startswith("@") or "://" in text:
        return "social"
    return "email" if "@" in text else "phone"
