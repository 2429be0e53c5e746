"""Captures a customer whom another system tells of: found by what he is known by, or by the matcher, or created.

``capture_customer`` is the one way for what comes in with nobody to be asked: the kernel's own kind of inbound webhooks, and those of
modules. It decides as forms and imports do, by ``duplicates.recognising``; whatever names its customer by id (a touch point, a
consent, a file) needs none of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.advisory import CAPTURES, take_turns
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import visible
from crm_kernel.customers.choices import KINDS
from crm_kernel.customers.duplicates.recognising import Recognised, propose, recognise
from crm_kernel.customers.models import Customer
from crm_kernel.customers.queries import customers_by_contact_point
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record, update_record

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Levels of a payload at most; what customers are made of has three.
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Captured:
    """A customer somebody told of, and what became of him."""

    customer: Customer
    outcome: Literal["created", "found", "updated"]
    #: Of a new one: the pairs that wait in the review queue, because he may be somebody who was there.
    proposed: int = 0


def capture_customer(
    uow: UnitOfWork, payload: Mapping[str, Any], *, known: Literal["keep", "update"] = "keep"
) -> Captured:
    """Find or create the customer of a payload as for ``POST /api/customers``, and say which.

    Found by ``source`` and ``external_ref``, else by the first e-mail address among those of his kind, else by the matcher; only among
    customers and by fields that the actor may see. One who may be known and is not surely is created and put into the review queue.

    Two who tell of one new customer at the same moment get one: on PostgreSQL each waits for the commit of the one before.
    Capture first and write afterwards: who has changed rows already may meet one that waits for them, and fail.

    Args:
        known: ``update`` changes one who is found; by the matcher only if nobody else comes into question.

    Raises:
        InvalidInput: a field does not fit, several have the key or the address, or ``update`` may be about several.
        Forbidden: the actor may not create customers, or not change this one.
        Conflict: a unique value is taken.
    """
    _refuse_unreadable(payload)
    take_turns(uow.session, CAPTURES)
    found = _found(uow, payload)
    if len(found) == 1:
        return _known(uow, payload, found[0], known)
    recognised = recognise(uow, payload)
    if recognised.customer is not None and (known == "keep" or recognised.alone):
        return _known(uow, payload, recognised.customer, known)
    _refuse_several(found, recognised)
    created = create_record(uow, record_type("customer"), payload)
    return Captured(created, "created", propose(uow, created, recognised.likely) if recognised.likely else 0)


def _known(uow: UnitOfWork, payload: Mapping[str, Any], customer: Customer, known: str) -> Captured:
    if known == "keep":
        return Captured(customer, "found")
    changed = update_record(uow, record_type("customer"), customer.uid, payload, version=customer.version)
    return Captured(changed, "updated")


def _refuse_several(found: Sequence[Customer], recognised: Recognised) -> None:
    """Refuse what several have by which one is known, and a change where several come into question."""
    if len(found) > 1:
        raise InvalidInput({"customer": [_("%(count)s customers fit: merge them first.", count=len(found))]})
    if recognised.customer is not None:
        text = _(
            "This may be one of %(count)s customers, none of whom is changed unasked: send their source and external_ref.",
            count=len(recognised.likely),
        )
        raise InvalidInput({"update": [text]})


def _found(uow: UnitOfWork, payload: Mapping[str, Any]) -> Sequence[Customer]:
    hidden = hidden_fields(uow.actor, "customer")
    if not hidden & {"source", "external_ref"} and (found := _by_key(uow, payload)):
        return found
    return _by_email(uow, payload) if "contact_points" not in hidden else []


def _by_key(uow: UnitOfWork, payload: Mapping[str, Any]) -> Sequence[Customer]:
    source, reference = payload.get("source"), payload.get("external_ref")
    if not (isinstance(source, str) and isinstance(reference, str)):
        return []
    query = sa.select(Customer).where(Customer.source == source, Customer.external_ref == reference)
    return uow.session.scalars(query.where(visible(uow.actor, record_type("customer")))).all()


def _by_email(uow: UnitOfWork, payload: Mapping[str, Any]) -> Sequence[Customer]:
    points, kind = payload.get("contact_points"), payload.get("kind")
    emails = [p.get("value") for p in points if _is_email(p)] if isinstance(points, list) else []
    found = customers_by_contact_point(uow, "email", str(emails[0])) if emails else []
    # A person is never an organization, though both may be written to at one address.
    return [one for one in found if one.kind == kind or kind not in KINDS]


def _is_email(point: Any) -> bool:
    return isinstance(point, Mapping) and point.get("channel") == "email" and isinstance(point.get("value"), str)


def _refuse_unreadable(payload: Mapping[str, Any]) -> None:
    # Before anything is looked up: PostgreSQL takes no text with a NUL, not even to compare.
    left: list[tuple[str, Any, int]] = [("", payload, 0)]
    while left:
        path, value, depth = left.pop()
        if isinstance(value, str) and "\x00" in value:
            raise InvalidInput({path: [_("Holds a control character: expected plain text.")]})
        if depth > _DEEPEST:
            raise InvalidInput({path.partition(".")[0]: [_("Nested too deeply.")]})
        parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        left += ((f"{path}.{name}".removeprefix("."), part, depth + 1) for name, part in parts)
