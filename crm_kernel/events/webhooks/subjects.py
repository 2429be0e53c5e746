"""What an event is about, and whether a user may be told: every record it names must be one that he sees.

A field ``opportunity_id`` of the module ``sfa`` names a record of ``sfa.opportunity``, or else of the kernel's type of that
name, ``record_id`` one of the type that ``record_type`` says; other ids (a stage, a contact point) name no record of their
own. An event about no record at all is told to those who see every record of the type it speaks of, or to administrators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.policy import sees_all, visible
from crm_kernel.events.models import StoredEvent
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_ID = "_id"


@dataclass(frozen=True, slots=True)
class Subject:
    """One record that an event names."""

    field: str
    record_type: RecordType
    uid: UUID


def subjects_of(event: StoredEvent) -> list[Subject]:
    """Return the records that an event names, in the order of its fields; no query."""
    module = event.name.partition(".")[0]
    return list(_named(module, event.payload))


def may_be_told(uow: UnitOfWork, actor: Actor, event: StoredEvent) -> bool:
    """Say whether a user may be told of an event; one query per record it names."""
    subjects = subjects_of(event)
    if subjects:
        return all(_sees(uow, actor, subject) for subject in subjects)
    about = runtime_of(current_app).registry.get("record_types", str(event.payload.get("record_type", "")))
    if about is not None:
        return sees_all(actor, about)
    return actor.scope_of("webhook.update") is Scope.ALL


def facts_for(actor: Actor, event: StoredEvent) -> dict[str, Any]:
    """Return the event's payload as the actor may have it: the ids alone if his roles hide fields of what it is about."""
    subjects = subjects_of(event)
    if any(actor.field_rules.get(subject.record_type.name) for subject in subjects):
        return {subject.field: str(subject.uid) for subject in subjects}
    return dict(event.payload)


def _named(module: str, payload: Mapping[str, Any]) -> Iterator[Subject]:
    registry = runtime_of(current_app).registry
    for field, value in payload.items():
        # An event that may be about any record says its type beside the id.
        name = str(payload.get("record_type")) if field == "record_id" else field.removesuffix(_ID)
        found = registry.get("record_types", f"{module}.{name}") or registry.get("record_types", name)
        uid = _uid(value)
        if field.endswith(_ID) and found is not None and uid is not None:
            yield Subject(field, found, uid)


def _sees(uow: UnitOfWork, actor: Actor, subject: Subject) -> bool:
    record_type = subject.record_type
    if not actor.may(record_type.permission("read")):
        return False
    if sees_all(actor, record_type):  # gone ones too: that it is gone is what the event may say
        return True
    model = record_type.model
    query = sa.select(sa.literal(1)).where(model.uid == subject.uid, visible(actor, record_type))
    return uow.session.execute(query).first() is not None


def _uid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
