"""Legal holds: who must not be erased for now, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.models import new_uid
from crm_kernel.customers.privacy.models import LegalHold
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def hold_customer(uow: UnitOfWork, data: Mapping[str, Any]) -> LegalHold:
    """Keep a customer from being erased until the hold is released, and return it, flushed."""
    found = LegalHold(
        uid=new_uid(), since=uow.now, recorded_by=uow.actor.name, created_at=uow.now, updated_at=uow.now, **data
    )
    uow.session.add(found)
    uow.session.flush()
    return found


def release_hold(uow: UnitOfWork, hold: LegalHold) -> None:
    """End a hold now.

    Raises:
        Conflict: it ended already.
    """
    if hold.until is not None:
        raise Conflict(_("This hold was released already."))
    hold.until = hold.updated_at = uow.now
    uow.session.flush()


def in_force(at: Any) -> sa.ColumnElement[bool]:
    """Return the predicate that a hold keeps its customer at a moment."""
    return sa.and_(LegalHold.since <= at, sa.or_(LegalHold.until.is_(None), LegalHold.until > at))


def held(at: Any) -> sa.Select[Any]:
    """Return the keys of the customers that a hold keeps at a moment, as a select."""
    return sa.select(LegalHold.customer_id).where(in_force(at))


def holds_of(uow: UnitOfWork, customer_ids: Collection[int]) -> list[LegalHold]:
    """Return the holds in force on some customers, oldest first; one query."""
    query = sa.select(LegalHold).where(LegalHold.customer_id.in_(sorted(customer_ids)), in_force(uow.now))
    return list(uow.session.scalars(query.order_by(LegalHold.id)))


def refuse_held(uow: UnitOfWork, customer_ids: Collection[int]) -> None:
    """Refuse to erase who is held.

    Raises:
        Conflict: naming the reason of the oldest hold.
    """
    found = holds_of(uow, customer_ids)
    if found:
        day = found[0].since.date().isoformat()
        raise Conflict(_("A legal hold of %(day)s keeps this customer: %(reason)s", day=day, reason=found[0].reason))
