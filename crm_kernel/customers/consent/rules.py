"""The kernel's reasons not to contact a customer, each as one select of the refused: the only place they are written.

``gate`` runs them for one customer and for a whole audience. What is known of addresses is what is known today; consents
and suppressions are asked as of the moment of the contact.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import ContactRule
from crm_kernel.customers.consent.choices import (
    ABSOLUTE_REASONS,
    ALWAYS,
    ANY_CHANNEL,
    DENIED,
    GIVEN,
    OPT_IN,
    OPT_OUT,
    PENDING,
    POINTS_OF,
    WITHDRAWN,
)
from crm_kernel.customers.consent.models import Consent, Purpose, Suppression, SuppressionMatch
from crm_kernel.customers.models import Address, ContactPoint, Customer
from crm_kernel.customers.values.states import ContactState, can_use
from crm_kernel.database import UTCDateTime

_LIVE = tuple(state.value for state in ContactState if can_use(state))

#: A predicate of SQL.
Where = sa.ColumnElement[bool]


def contact_rules() -> list[ContactRule]:
    """Return the kernel's rules in the order in which they name the reason."""
    return [
        ContactRule(name="kernel.purpose", reason=_l("No such purpose"), refusals=unknown_purpose, order=10),
        ContactRule(name="kernel.customer", reason=_l("Not an active customer"), refusals=gone, order=20),
        ContactRule(name="kernel.address", reason=_l("Cannot be reached"), refusals=unreachable, order=30),
        ContactRule(name="kernel.suppression", reason=_l("Suppressed"), refusals=suppressed, order=40),
        ContactRule(name="kernel.consent", reason=_l("No consent"), refusals=without_consent, order=50),
    ]


def refusal(customer_id: Any, reason: Any, next_eligible_at: Any = None) -> sa.Select[Any]:
    """Return the columns of a contact rule's select, typed the same on both databases; add ``where`` to it.

    Args:
        reason: a word, or an expression that gives one.
        next_eligible_at: an expression for the moment from which it may be allowed again; None for never.
    """
    word = sa.literal(reason) if isinstance(reason, str) else reason
    again = sa.cast(sa.null(), UTCDateTime()) if next_eligible_at is None else next_eligible_at
    return sa.select(
        customer_id.label("customer_id"),
        sa.type_coerce(word, sa.String).label("reason"),
        sa.type_coerce(again, UTCDateTime()).label("next_eligible_at"),
    )


def unknown_purpose(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Refuse everybody when the purpose does not exist or is retired."""
    known = sa.exists().where(Purpose.code == purpose, Purpose.active == sa.true())
    return refusal(Customer.id, "unknown_purpose").where(~known)


def gone(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Refuse customers that were merged into others or are archived."""
    merged = Customer.merged_into_id.is_not(None)
    return refusal(Customer.id, sa.case((merged, "merged"), else_="archived")).where(
        sa.or_(merged, Customer.status == "archived")
    )


def unreachable(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Refuse customers without an address of the channel that works."""
    known, live = (_address(at), _address(at, live=True)) if channel == "letter" else (_point(channel), _live(channel))
    return refusal(Customer.id, sa.case((known, "address_unusable"), else_="no_address")).where(~live)


def suppressed(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Refuse customers all of whose working addresses of the channel are suppressed."""
    free = _live(channel).where(ContactPoint.id.not_in(stopped_points(channel, purpose, at)))
    point = sa.alias(ContactPoint.__table__)
    matched = sa.select(point.c.customer_id).join(SuppressionMatch, SuppressionMatch.contact_point_id == point.c.id)
    return refusal(Customer.id, "suppressed", _free_again(channel, purpose, at)).where(
        Customer.id.in_(matched), _live(channel), ~free
    )


def without_consent(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Refuse customers whose last word does not allow the purpose."""
    last = decisive(channel, purpose, at).subquery()
    holds = sa.and_(last.c.status.is_not(None), sa.or_(last.c.valid_to.is_(None), last.c.valid_to > at))
    refused = last.c.status.in_((WITHDRAWN, DENIED))
    confirmed = sa.or_(Purpose.double_opt_in == sa.false(), last.c.double_opt_in_at.is_not(None))
    agreed = sa.and_(holds, last.c.status == GIVEN, confirmed)
    reason = sa.case(
        (sa.and_(holds, refused), last.c.status),
        (sa.and_(holds, last.c.status == GIVEN), "unconfirmed"),
        (_waiting(channel, purpose, at), PENDING),
        (last.c.status == GIVEN, "lapsed"),
        else_="no_consent",
    )
    again = sa.case((sa.and_(Purpose.rule == OPT_OUT, refused), last.c.valid_to))
    return (
        refusal(Customer.id, reason, again)
        .select_from(Customer)
        .join(Purpose, Purpose.code == purpose)
        .outerjoin(last, last.c.customer_id == Customer.id)
        .where(
            sa.or_(
                sa.and_(Purpose.rule == OPT_IN, sa.func.coalesce(~agreed, sa.true())),
                sa.and_(Purpose.rule == OPT_OUT, holds, refused),
            )
        )
    )


def decisive(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Return the row of each customer that decides at a moment, one at most: the last captured of those in force.

    Rows that wait for confirmation decide nothing.
    """
    table = Consent
    place = sa.func.row_number().over(
        partition_by=table.customer_id, order_by=(table.captured_at.desc(), table.id.desc())
    )
    known = (
        sa.select(
            table.id, table.uid, table.customer_id, table.status, table.valid_to, table.double_opt_in_at,
            table.captured_at, table.source, place.label("place"),
        )
        .where(*_in_force(channel, purpose, at), table.status != PENDING)
        .subquery()
    )  # fmt: skip
    return sa.select(*(column for column in known.c if column.name != "place")).where(known.c.place == 1)


def stopped_points(channel: str, purpose: str, at: dt.datetime) -> sa.Select[Any]:
    """Return the keys of the contact points that must not be used for a purpose at a moment."""
    return (
        sa.select(SuppressionMatch.contact_point_id)
        .join(Suppression, Suppression.id == SuppressionMatch.suppression_id)
        .where(*in_force(channel, purpose, at))
    )


def in_force(channel: str, purpose: str, at: dt.datetime) -> tuple[Where, ...]:
    """Return the conditions under which a suppression counts; purposes that are always allowed heed some only."""
    table = Suppression
    unconditional = sa.exists().where(Purpose.code == purpose, Purpose.rule == ALWAYS)
    return (
        table.channel.in_((channel, ANY_CHANNEL)),
        table.since <= at,
        sa.or_(table.until.is_(None), table.until > at),
        sa.or_(table.reason.in_(ABSOLUTE_REASONS), ~unconditional),
    )


def _in_force(channel: str, purpose: str, at: dt.datetime) -> tuple[Where, ...]:
    table = Consent
    return (
        table.purpose == purpose,
        table.channel == channel,
        table.captured_at <= at,
        table.valid_from <= at,
    )


def _waiting(channel: str, purpose: str, at: dt.datetime) -> Where:
    rows = sa.exists().where(
        Consent.customer_id == Customer.id, *_in_force(channel, purpose, at), Consent.status == PENDING
    )
    return rows.correlate(Customer)


def _point(channel: str) -> sa.Exists:
    found = sa.exists().where(ContactPoint.customer_id == Customer.id, ContactPoint.channel.in_(POINTS_OF[channel]))
    return found.correlate(Customer)


def _live(channel: str) -> sa.Exists:
    return _point(channel).where(ContactPoint.state.in_(_LIVE))


def _address(at: dt.datetime, *, live: bool = False) -> sa.Exists:
    day, table = at.date(), Address
    found = sa.exists().where(table.customer_id == Customer.id).correlate(Customer)
    if not live:
        return found
    return found.where(
        table.state != "undeliverable",
        sa.or_(table.valid_from.is_(None), table.valid_from <= day),
        sa.or_(table.valid_to.is_(None), table.valid_to >= day),
    )


def _free_again(channel: str, purpose: str, at: dt.datetime) -> Any:
    """Return when the first of a customer's working addresses is free again; NULL when none ever is."""
    never = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
    until = sa.func.max(sa.func.coalesce(Suppression.until, never))
    per_point = (
        sa.select(sa.type_coerce(until, UTCDateTime()).label("until"))
        .select_from(ContactPoint)
        .join(SuppressionMatch, SuppressionMatch.contact_point_id == ContactPoint.id)
        .join(Suppression, Suppression.id == SuppressionMatch.suppression_id)
        .where(
            ContactPoint.customer_id == Customer.id,
            ContactPoint.channel.in_(POINTS_OF[channel]),
            ContactPoint.state.in_(_LIVE),
            *in_force(channel, purpose, at),
        )
        .group_by(ContactPoint.id)
        .correlate(Customer)
        .subquery()
    )
    first = sa.select(sa.func.min(per_point.c.until)).correlate(Customer).scalar_subquery()
    return sa.func.nullif(first, never)
