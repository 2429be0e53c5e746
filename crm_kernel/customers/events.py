"""The facts the kernel tells about customers: ids and names of fields, never personal values.

Changes of many at once are told by the one bulk event that all record types share (``crm_kernel.records.events``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from crm_kernel.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crm_kernel.customers.models import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCreated(Event):
    """A customer was created, one at a time."""

    name: ClassVar[str] = "kernel.customer_created"

    customer_id: UUID
    #: ``person``, ``organization`` or ``household``.
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerUpdated(Event):
    """Something about a customer changed."""

    name: ClassVar[str] = "kernel.customer_updated"

    customer_id: UUID
    #: Names of the changed fields, sorted, separated by commas; ``relationships`` for a tie to another customer,
    #: ``extensions.bank.risk`` for a module's field. Own fields and the others that one request changed come as two events.
    changed: str

    @property
    def fields(self) -> frozenset[str]:
        """The names of the changed fields."""
        return frozenset(self.changed.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDeleted(Event):
    """A customer and everything that belonged to it was deleted."""

    name: ClassVar[str] = "kernel.customer_deleted"

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerErased(Event):
    """A customer and all that was about it was erased for good: whoever keeps copies elsewhere erases them too."""

    name: ClassVar[str] = "kernel.customer_erased"

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPointStateChanged(Event):
    """Evidence changed what is known about a contact point."""

    name: ClassVar[str] = "kernel.contact_point_state_changed"

    customer_id: UUID
    contact_point_id: UUID
    channel: str
    #: Values of ``values.states.ContactState``.
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentGiven(Event):
    """A customer agreed to be contacted over a channel for a purpose."""

    name: ClassVar[str] = "kernel.consent_given"

    customer_id: UUID
    consent_id: UUID
    channel: str
    #: The purpose's code.
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentWithdrawn(Event):
    """A customer withdrew a consent, objected, or said no when asked."""

    name: ClassVar[str] = "kernel.consent_withdrawn"

    customer_id: UUID
    consent_id: UUID
    channel: str
    #: The purpose's code.
    purpose: str


def customer_updated(customer: Customer, names: Iterable[str]) -> CustomerUpdated:
    """Return the event that fields of a customer changed."""
    return CustomerUpdated(customer_id=customer.uid, changed=",".join(sorted(names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersMerged(Event):
    """Two customers became one; what named the one that went now names the one that stays."""

    name: ClassVar[str] = "kernel.customers_merged"

    #: The one that stays.
    customer_id: UUID
    #: The one that went; its id leads to the other.
    merged_id: UUID
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersUnmerged(Event):
    """A merge was taken back: what had been moved names the customer again that it named before."""

    name: ClassVar[str] = "kernel.customers_unmerged"

    #: The one that had stayed.
    customer_id: UUID
    #: The one that is back.
    merged_id: UUID
    run_id: UUID


EVENTS = (
    CustomerCreated,
    CustomerUpdated,
    CustomerDeleted,
    CustomerErased,
    ContactPointStateChanged,
    ConsentGiven,
    ConsentWithdrawn,
    CustomersMerged,
    CustomersUnmerged,
)
