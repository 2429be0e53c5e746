"""The facts the kernel tells about customers: ids and names of fields, never personal values.

Changes of many at once are told by the one bulk event that all record types share (``crm_kernel.records.events``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from flask_babel import lazy_gettext as _l

from crm_kernel.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crm_kernel.customers.models import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCreated(Event):
    """A customer was created, one at a time."""

    name: ClassVar[str] = "kernel.customer_created"
    event_label: ClassVar[Any] = _l("Customer created")

    customer_id: UUID
    #: ``person``, ``organization`` or ``household``.
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerUpdated(Event):
    """Something about a customer changed."""

    name: ClassVar[str] = "kernel.customer_updated"
    event_label: ClassVar[Any] = _l("Customer updated")
    field_labels: ClassVar[Mapping[str, Any]] = {"changed": _l("What changed")}

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
    event_label: ClassVar[Any] = _l("Customer deleted")

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerErased(Event):
    """A customer and all that was about it was erased for good: whoever keeps copies elsewhere erases them too."""

    name: ClassVar[str] = "kernel.customer_erased"
    event_label: ClassVar[Any] = _l("Customer erased")

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAnonymised(Event):
    """What named a customer is gone, its figures stay: whoever keeps copies elsewhere forgets the person too."""

    name: ClassVar[str] = "kernel.customer_anonymised"
    event_label: ClassVar[Any] = _l("Customer anonymised")

    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPointStateChanged(Event):
    """Evidence changed what is known about a contact point."""

    name: ClassVar[str] = "kernel.contact_point_state_changed"
    event_label: ClassVar[Any] = _l("State of a contact point changed")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "contact_point_id": _l("Contact point"),
        "channel": _l("Channel"),
        "before": _l("Before"),
        "after": _l("After"),
    }

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
    event_label: ClassVar[Any] = _l("Consent given")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "consent_id": _l("Consent"),
        "channel": _l("Channel"),
        "purpose": _l("Purpose"),
    }

    customer_id: UUID
    consent_id: UUID
    channel: str
    #: The purpose's code.
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentWithdrawn(Event):
    """A customer withdrew a consent, objected, or said no when asked."""

    name: ClassVar[str] = "kernel.consent_withdrawn"
    event_label: ClassVar[Any] = _l("Consent withdrawn")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "consent_id": _l("Consent"),
        "channel": _l("Channel"),
        "purpose": _l("Purpose"),
    }

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
    event_label: ClassVar[Any] = _l("Customers merged")
    field_labels: ClassVar[Mapping[str, Any]] = {"merged_id": _l("Merged customer"), "run_id": _l("Run")}

    #: The one that stays.
    customer_id: UUID
    #: The one that went; its id leads to the other.
    merged_id: UUID
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersUnmerged(Event):
    """A merge was taken back: what had been moved names the customer again that it named before."""

    name: ClassVar[str] = "kernel.customers_unmerged"
    event_label: ClassVar[Any] = _l("Merge undone")
    field_labels: ClassVar[Mapping[str, Any]] = {"merged_id": _l("Merged customer"), "run_id": _l("Run")}

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
    CustomerAnonymised,
    ContactPointStateChanged,
    ConsentGiven,
    ConsentWithdrawn,
    CustomersMerged,
    CustomersUnmerged,
)
