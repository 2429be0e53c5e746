"""The state of contact points: what is known about a value, and the only way it changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.customers.duplicates.likely import compare_again
from crm_kernel.customers.events import ContactPointStateChanged
from crm_kernel.customers.models import ContactPoint, ContactPointEvent, Customer
from crm_kernel.customers.values.states import ContactState, Evidence, next_state, soft_bounces_after

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: (customer key, channel, normalised value) → kinds of evidence, oldest first.
History = Mapping[tuple[int, str, str], Sequence[str]]
_CHUNK = 5_000


def history_of(uow: UnitOfWork, customer_ids: Collection[int]) -> History:
    """Return all evidence about the values of some customers; one query per 5,000 of them."""
    table = ContactPointEvent
    found: dict[tuple[int, str, str], list[str]] = {}
    keys = sorted(customer_ids)
    for start in range(0, len(keys), _CHUNK):
        query = (
            sa.select(table.customer_id, table.channel, table.value_normalized, table.kind)
            .where(table.customer_id.in_(keys[start : start + _CHUNK]))
            .order_by(table.id)
        )
        for customer_id, channel, value, kind in uow.session.execute(query):
            found.setdefault((customer_id, channel, value), []).append(kind)
    return found


def report_evidence(
    uow: UnitOfWork,
    contact_point: ContactPoint,
    kind: Evidence | str,
    *,
    source: str,
    external_ref: str | None = None,
    occurred_at: dt.datetime | None = None,
    detail: str = "",
) -> ContactState:
    """Add a piece of evidence about a contact point and return the state that follows from all of it.

    The only way a state changes. Evidence with an ``external_ref`` that its source told before counts once.

    Args:
        source: who says so: a plugin's name, or ``user:<channel>``.
        external_ref: key of the proof at the source (the Message-ID of a bounce).
        occurred_at: when it happened; now if not given.
        detail: the proof in words, such as the SMTP answer.

    Raises:
        ValueError: the kind is not one of ``Evidence``.
    """
    evidence = Evidence(kind)
    uow.session.refresh(contact_point, with_for_update=True)
    known = _known(uow, contact_point)
    if external_ref and any((row.source, row.external_ref) == (source, external_ref) for row in known):
        return ContactState(contact_point.state)
    when = occurred_at or uow.now
    row = evidence_row(
        uow,
        contact_point,
        evidence,
        value=(contact_point.channel, contact_point.value_normalized),
        source=source,
        occurred_at=when,
        external_ref=external_ref,
        detail=detail,
    )
    uow.session.add(ContactPointEvent(**row))
    in_row = 0
    for earlier in (*(row.kind for row in known), evidence):
        in_row = soft_bounces_after(earlier, in_row)
    state = next_state(contact_point.state, evidence, soft_bounces_in_row=in_row)
    _enter(uow, contact_point, state, since=when)
    uow.session.flush()
    return state


def _enter(uow: UnitOfWork, point: ContactPoint, state: ContactState, *, since: dt.datetime) -> None:
    if point.state == state.value:
        return
    customer = uow.session.get_one(Customer, point.customer_id)
    uow.record(
        ContactPointStateChanged(
            customer_id=customer.uid,
            contact_point_id=point.uid,
            channel=point.channel,
            before=point.state,
            after=state.value,
        )
    )
    # What is somebody else's speaks for nobody, and the nightly scan takes only whom it finds changed themselves.
    anew = ContactState.WRONG_PERSON in (point.state, state)
    point.state, point.state_since, point.updated_at = state.value, since, uow.now
    if anew:
        uow.session.flush()
        compare_again(uow, customer.id)


def _known(uow: UnitOfWork, point: ContactPoint) -> Sequence[ContactPointEvent]:
    table = ContactPointEvent
    query = sa.select(table).where(
        table.customer_id == point.customer_id,
        table.channel == point.channel,
        table.value_normalized == point.value_normalized,
    )
    return uow.session.execute(query.order_by(table.id)).scalars().all()


def evidence_row(
    uow: UnitOfWork,
    point: Any,
    kind: Evidence,
    *,
    value: tuple[str, str],
    source: str,
    occurred_at: dt.datetime | None = None,
    external_ref: str | None = None,
    detail: str = "",
) -> dict[str, Any]:
    """Return a row of ``contact_point_event`` about a point's (channel, normalised value)."""
    return {
        "customer_id": point.customer_id,
        "contact_point_id": point.id,
        "channel": value[0],
        "value_normalized": value[1],
        "kind": kind.value,
        "occurred_at": occurred_at or uow.now,
        "recorded_at": uow.now,
        "source": source,
        "external_ref": external_ref,
        "detail": detail,
        "actor": uow.actor.name,
    }
