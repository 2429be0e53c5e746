"""What the page of an event says: its fields as facts, records by their title, codes in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_kernel.access.audit_reading.wording import titles_of
from crm_kernel.events.wording import event_named, field_label_of, in_words
from crm_kernel.records.pages.presenting import plain_text, record_url, text_of
from crm_kernel.records.pages.saying import SAID
from crm_kernel.records.plan import TypePlan, plan_of, record_types

if TYPE_CHECKING:
    from crm_kernel.events import Event
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def told_fields(uow: UnitOfWork, stored: StoredEvent) -> list[dict[str, Any]]:
    """Return the fields of an event as facts; one query per type of record that they name."""
    event = event_named(stored.name)
    values = _values(event, stored)
    meant = {name: found for name in values if (found := _type_meant(stored, values, name))}
    rows = [SimpleNamespace(record_type=meant[name].name, record_uid=values[name]) for name in meant]
    titles = titles_of(uow, rows)
    about = next((plan_of(meant[name]) for name in values if name in meant), None)
    facts: list[dict[str, Any]] = []
    for name, value in values.items():
        fact: dict[str, Any] = {
            "name": name,
            "label": _label(event, about, meant.get(name), name),
            "text": _text(about, name, values),
        }
        if name in meant and (title := titles.get((meant[name].name, value))):
            fact |= {"text": title, "url": record_url(meant[name], value)}
        facts.append(fact)
    return [fact for fact in facts if fact["text"] != ""]


def _values(event: type[Event] | None, stored: StoredEvent) -> dict[str, Any]:
    """Return field → value; as they are stored where the event's module is gone or has changed its meaning."""
    payload: Mapping[str, Any] = stored.payload
    try:
        found = event.from_json(payload) if event else None
    except ValueError:
        found = None
    return {name: getattr(found, name, value) for name, value in payload.items()}


def _type_meant(stored: StoredEvent, values: Mapping[str, Any], name: str) -> RecordType | None:
    """Return the type of record that a field names: ``from_stage_id`` of ``sfa`` → ``sfa.stage``."""
    known, module = record_types(), stored.name.partition(".")[0]
    if not isinstance(values[name], UUID):
        return None
    if name == "record_id":
        return known.get(values.get("record_type", ""))
    base = name.removesuffix("_id")
    candidates = (f"{module}.{base}", base, f"{module}.{base.rpartition('_')[2]}")
    return next((known[found] for found in candidates if found in known), None)


def _label(event: type[Event] | None, about: TypePlan | None, meant: RecordType | None, name: str) -> str:
    if event and name in event.field_labels:
        return field_label_of(event, name)
    if meant:
        return str(meant.label)
    if about and name in about.fields:
        return str(about.fields[name].label)
    return field_label_of(event, name) if event else in_words(name)


def _text(about: TypePlan | None, name: str, values: Mapping[str, Any]) -> str:
    value = values[name]
    if value is None:
        return ""
    if name == "changed" and about:
        return ", ".join(str(about.fields[part].label) if part in about.fields else part for part in value.split(","))
    if name in SAID:
        return SAID[name](value)
    if about and name in about.fields:
        return text_of(about.fields[name], value, values)
    return plain_text(value)
