"""Which records an event is about: by the name of a field of the event, ``opportunity_id`` for ``sfa.opportunity``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records.bulk import changed_records
from crm_kernel.records.events import RecordsBulkChanged

if TYPE_CHECKING:
    from crm_kernel.events import Event
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.unit_of_work import UnitOfWork


def event_classes() -> dict[str, type[Event]]:
    """Return the registered events by wire name, sorted."""
    return {found.name: found for found in sorted(runtime_of(current_app).registry.all("events"), key=lambda e: e.name)}


def subject_field(event: type[Event], record_type: str) -> str | None:
    """Return the event's field with the public id of a record of the type, or None if the event is about none."""
    names = {found.name for found in dataclasses.fields(event)}
    own = f"{record_type.rpartition('.')[2]}_id"
    if own in names:
        return own
    return event.customer_field if record_type == "customer" and event.customer_field in names else None


def concerns(event: type[Event], record_type: str) -> bool:
    """Say whether a rule over a record type may follow the event."""
    return event is RecordsBulkChanged or subject_field(event, record_type) is not None


def subjects_of(uow: UnitOfWork, stored: StoredEvent, record_type: str) -> Sequence[UUID]:
    """Return the public ids of the records of a type that a stored event is about; a query for bulk events alone.

    Raises:
        ValueError: the payload does not fit the event's class.
    """
    event: Any = event_classes()[stored.name].from_json(stored.payload)
    if isinstance(event, RecordsBulkChanged):
        return changed_records(uow, event) if event.record_type == record_type else ()
    name = subject_field(type(event), record_type)
    found = getattr(event, name) if name else None
    return (found,) if isinstance(found, UUID) else ()
