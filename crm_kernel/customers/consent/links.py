"""The signed links in messages to customers: whoever holds one may confirm, choose or unsubscribe, without a log-in.

A link is sealed with the instance's ``secret_key``: it cannot be guessed, changed or read, and names no customer to who
finds it in a log. It lasts as long as the customer; what a request for consent asks expires with that request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.errors import NotFound
from crm_kernel.records.sealing import seal, unseal
from crm_kernel.web.addresses import public_address

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_CONFIRM, _CHOOSE, _LEAVE = ("consent-request",), ("preferences",), ("unsubscribe",)
_UID = 16
#: Longest way from a merged customer to the one that stays.
_MERGES = 20


@dataclass(frozen=True, slots=True)
class Leaving:
    """What an unsubscribe link is about."""

    customer: Customer
    #: The address the message went to; None when it is not stored any more.
    point: ContactPoint | None
    channel: str
    #: Code of a purpose; empty for all of them.
    purpose: str


def confirmation_link(request: Consent) -> str:
    """Return the address of the page on which the customer confirms a request."""
    return public_address("preferences.confirm", token=seal(request.uid.bytes, bound_to=_CONFIRM))


def preferences_link(customer: Customer) -> str:
    """Return the address of the customer's own preference page; send it to the customer only."""
    return public_address("preferences.choose", token=seal(customer.uid.bytes, bound_to=_CHOOSE))


def unsubscribe_link(customer: Customer, point: ContactPoint, *, channel: str = "email", purpose: str = "") -> str:
    """Return the address at which one POST ends a purpose over a channel, or all of them when none is named."""
    content = customer.uid.bytes + point.uid.bytes + f"{channel} {purpose}".encode()
    return public_address("preferences.leave", token=seal(content, bound_to=_LEAVE))


def list_unsubscribe_headers(customer: Customer, point: ContactPoint, *, purpose: str = "") -> dict[str, str]:
    """Return the headers that every commercial mail needs, so that a mail program's own button works (RFC 8058).

    Args:
        point: the address the mail goes to.
        purpose: its purpose; without one, a press ends all of them.
    """
    link = unsubscribe_link(customer, point, purpose=purpose)
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def request_of(uow: UnitOfWork, token: str) -> Consent:
    """Return the request for consent that a link names; one query.

    Raises:
        NotFound: the link was not made here, or what it named is gone.
    """
    row = uow.session.scalars(sa.select(Consent).where(Consent.uid == UUID(bytes=_opened(token, _CONFIRM)))).first()
    if row is None:
        raise _nowhere()
    return row


def customer_of(uow: UnitOfWork, token: str) -> Customer:
    """Return whose preference page a link opens; the one that stays after a merge.

    Raises:
        NotFound: as for ``request_of``.
    """
    return _customer(uow, UUID(bytes=_opened(token, _CHOOSE)))


def leaving_of(uow: UnitOfWork, token: str) -> Leaving:
    """Return what an unsubscribe link is about; two queries.

    Raises:
        NotFound: as for ``request_of``.
    """
    content = _opened(token, _LEAVE)
    channel, _space, purpose = content[2 * _UID :].decode().partition(" ")
    customer = _customer(uow, UUID(bytes=content[:_UID]))
    query = sa.select(ContactPoint).where(
        ContactPoint.uid == UUID(bytes=content[_UID : 2 * _UID]), ContactPoint.customer_id == customer.id
    )
    return Leaving(customer, uow.session.scalars(query).first(), channel, purpose)


def _opened(token: str, bound_to: tuple[str, ...]) -> bytes:
    try:
        return unseal(token, bound_to=bound_to)
    except ValueError as error:
        raise _nowhere() from error


def _customer(uow: UnitOfWork, uid: UUID) -> Customer:
    found = uow.session.scalars(sa.select(Customer).where(Customer.uid == uid)).first()
    for _step in range(_MERGES):
        if found is None or found.merged_into_id is None:
            break
        found = uow.session.get(Customer, found.merged_into_id)
    if found is None:
        raise _nowhere()
    return found


def _nowhere() -> NotFound:
    return NotFound(_("This link leads nowhere any more. If you copied it, check that all of it is there."))
