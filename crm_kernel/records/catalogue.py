"""What may be asked of the records of a type: its fields, its extensions' fields, and what other records say of it.

One registry for filters, builders, rules and reports. It is made of what is declared already, for one actor: what he may
not read is not in it, so that nothing can be guessed by filtering.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import fields as ma

from crm_kernel.access.policy import sees_all
from crm_kernel.collaboration.tags.relation import TAGS, tag_relation
from crm_kernel.records import fields
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, record_types
from crm_kernel.records.projection import part_plans

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute

    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType

_TEXT = ("eq", "ne", "in", "contains", "startswith", "empty")
_ORDERED = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "empty")
_DISCRETE = ("eq", "ne", "in", "empty")

#: Operators by kind of field; the first is the one meant when none is written.
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TEXT: _TEXT,
    Kind.EMAIL: _TEXT,
    Kind.URL: _TEXT,
    Kind.NUMBER: _ORDERED,
    Kind.MONEY: _ORDERED,
    Kind.DATE: (*_ORDERED, "during"),
    Kind.DATETIME: (*_ORDERED, "during"),
    Kind.BOOLEAN: ("eq", "empty"),
    Kind.CHOICE: _DISCRETE,
    Kind.REFERENCE: _DISCRETE,
    Kind.JSON: ("empty",),
    Kind.MULTICHOICE: _DISCRETE,
}
#: What a sum is compared by.
SUM_OPERATORS = ("eq", "ne", "lt", "lte", "gt", "gte")
#: Relations to events have this before the event's name.
EVENT = "event:"

_ID = FieldPlan("id", ma.UUID(), Kind.TEXT, _l("Id"), None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One field that can be compared."""

    name: str
    plan: FieldPlan
    operators: tuple[str, ...]
    #: The stored expression: an attribute of the model, or of ``side``.
    column: Any
    #: Mapped class of the 1:1 table the column is on; a record may have no row there. None: the record's own table.
    side: type[Any] | None = None
    #: Label of the extension it comes from; empty for the type's own.
    group: Any = ""

    @property
    def kind(self) -> str:
        """How it is compared; ``id`` for the record's own public id."""
        return "id" if self.plan is _ID else self.plan.kind.value

    @property
    def summable(self) -> bool:
        """Whether a relation's rows can be summed by it."""
        return self.plan.kind in (Kind.MONEY, Kind.NUMBER) and self.side is None

    @property
    def currency(self) -> str | None:
        """The field that holds an amount's currency; None for plain numbers and for base amounts."""
        return cast(fields.Money, self.plan.field).currency if self.plan.kind is Kind.MONEY else None

    @property
    def nullable(self) -> bool:
        """Whether rows without a value exist."""
        return self.plan is not _ID and self.plan.nullable


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another table that say which record of the type they belong to."""

    name: str
    label: Any
    #: What may be asked of those rows.
    rows: Catalogue
    #: Their attribute that points here, and the attribute of the record it equals.
    key: InstrumentedAttribute[Any]
    host_key: InstrumentedAttribute[Any]
    #: The record type of the rows, whose visibility limits them; None for parts, which their record shows whole.
    record_type: RecordType | None = None
    #: What every row of the relation is, beside the key: the name of an event.
    given: sa.ColumnElement[bool] | None = None

    def dates(self) -> list[Entry]:
        """Return the fields that may say when a row happened."""
        return [
            entry for entry in self.rows.fields() if entry.plan.kind in (Kind.DATE, Kind.DATETIME) and not entry.side
        ]

    def usual_date(self) -> str | None:
        """Return the date that is meant when none is named: when it happened, else when it was recorded."""
        known = {entry.name for entry in self.dates()}
        return next((name for name in ("occurred_at", "created_at") if name in known), None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The fields and relations of one table's rows, as one actor may use them; lookups make no query.

    Without an actor it holds everything: for checking what is stored before somebody in particular asks.
    """

    model: type[Any]
    actor: Actor | None
    #: The plan of a record type; None for parts and events.
    plan: TypePlan | None
    #: Fields of parts and events.
    parts: Mapping[str, FieldPlan]

    def field(self, name: str) -> Entry | None:
        """Return a field by name (``amount``, ``bank.risk``, ``id``), or None if there is none the actor may read."""
        if self.plan is None:
            found = self.parts.get(name)
            return _entry(name, found) if found is not None and found.kind in OPERATORS else None
        if name == "id":
            return Entry(name, _ID, ("eq", "ne", "in"), self.plan.record_type.model.uid)
        if name in self._hidden():
            return None
        extension, dot, own = name.partition(".")
        if dot:
            return self._of_extension(extension, own)
        found = self.plan.fields.get(name)
        return _entry(name, found) if found is not None and _comparable(found) else None

    def fields(self) -> list[Entry]:
        """Return all fields: the id, the others in the order of the schema, the extensions' after the type's own."""
        if self.plan is None:
            names = list(self.parts)
        else:
            names = [
                "id",
                *self.plan.fields,
                *(f"{e.name}.{n}" for e in self.plan.extensions for n in self._stored(e.name)),
            ]
        return [entry for name in names if (entry := self.field(name)) is not None]

    def relation(self, name: str) -> Relation | None:
        """Return a relation by name (``sale.customer``, ``contact_points``, ``event:kernel.sale_recorded``), or None."""
        if self.plan is None:
            return None
        if name.startswith(EVENT):
            return next((found for found in self._events(name.removeprefix(EVENT))), None)
        if name == TAGS:
            return tag_relation(self.plan.record_type, self.actor)
        record_type, dot, field = name.rpartition(".")
        if not dot:
            return self._collection(name)
        found = record_types().get(record_type)
        return None if found is None else self._incoming(found, field)

    def relations(self) -> list[Relation]:
        """Return all relations: the type's own parts, other records by type, events."""
        if self.plan is None:
            return []
        own = [self._collection(field.name) for field in self.plan.collections()]
        others = [self._incoming(t, name) for t in record_types().values() for name in plan_of(t).fields]
        tags = tag_relation(self.plan.record_type, self.actor)
        return [found for found in (*own, tags, *others) if found is not None] + list(self._events(None))

    def _hidden(self) -> frozenset[str]:
        return frozenset() if self.actor is None or self.plan is None else hidden_from(self.actor, self.plan)

    def _stored(self, extension: str) -> list[str]:
        known = cast(TypePlan, self.plan).extension_fields[extension]
        return [name for name, field in known.items() if _comparable(field)]

    def _of_extension(self, name: str, field: str) -> Entry | None:
        plan = cast(TypePlan, self.plan)
        extension = next((e for e in plan.extensions if e.name == name), None)
        found = plan.extension_fields[name].get(field) if extension else None
        if extension is None or found is None or not _comparable(found):
            return None
        entry = _entry(f"{name}.{field}", found)
        return Entry(entry.name, found, entry.operators, found.column, extension.model, extension.label)

    def _collection(self, name: str) -> Relation | None:
        plan = cast(TypePlan, self.plan)
        found = plan.fields.get(name)
        if found is None or found.kind is not Kind.COLLECTION or not found.readable or name in self._hidden():
            return None
        parts = cast(fields.Collection, found.field)
        rows = Catalogue(parts.model, self.actor, None, part_plans(parts))
        return Relation(name, found.label, rows, getattr(parts.model, parts.key), plan.record_type.model.id)

    def _incoming(self, record_type: RecordType, name: str) -> Relation | None:
        own, theirs = cast(TypePlan, self.plan), plan_of(record_type)
        field = theirs.fields.get(name)
        if field is None or not _points_to(field, own.record_type):
            return None
        if self.actor is not None and not self.actor.may(record_type.permission("read")):
            return None
        rows = Catalogue(record_type.model, self.actor, theirs, {})
        if rows.field(name) is None:
            return None
        label = _relation_label(theirs, field, own.record_type)
        key = cast("InstrumentedAttribute[Any]", field.column)
        return Relation(f"{record_type.name}.{name}", label, rows, key, own.record_type.model.id, record_type)

    def _events(self, name: str | None) -> Iterator[Relation]:
        from crm_kernel._internal.runtime import runtime_of
        from crm_kernel.events.models import StoredEvent

        own = cast(TypePlan, self.plan).record_type
        if own.name != "customer":
            return
        rows = Catalogue(StoredEvent, self.actor, None, _event_fields())
        for event in runtime_of(current_app).registry.all("events"):
            said = str(event.name)
            about_customers = event.customer_field in {field.name for field in dataclasses.fields(event)}
            if about_customers and name in (None, said) and self._hears(said, own):
                label, given = _("Event: %(name)s", name=said), StoredEvent.name == said
                yield Relation(f"{EVENT}{said}", label, rows, StoredEvent.customer_uid, own.model.uid, None, given)

    def _hears(self, event: str, customers: RecordType) -> bool:
        """Say whether the actor sees every record of the type an event's name begins with: it tells of all of them."""
        if self.actor is None:
            return True
        about = [t for t in record_types().values() if event.removeprefix("kernel.").startswith(f"{t.name}_")]
        return all(sees_all(self.actor, t) for t in (*about, customers))


def catalogue_of(plan: TypePlan, actor: Actor | None) -> Catalogue:
    """Return the catalogue of a record type for an actor; None sees everything."""
    return Catalogue(plan.record_type.model, actor, plan, {})


def described(catalogue: Catalogue) -> dict[str, Any]:
    """Return a catalogue as plain values for API, command line and clients: ``fields`` and ``relations``."""
    return {
        "fields": [_described_entry(entry) for entry in catalogue.fields()],
        "relations": [
            {
                "name": relation.name,
                "label": str(relation.label),
                "record_type": relation.record_type.name if relation.record_type else None,
                "dates": [entry.name for entry in relation.dates()],
                "usual_date": relation.usual_date(),
                "sums": [entry.name for entry in relation.rows.fields() if entry.summable],
                "fields": [_described_entry(entry) for entry in relation.rows.fields()],
            }
            for relation in catalogue.relations()
        ],
    }


def _described_entry(entry: Entry) -> dict[str, Any]:
    field = entry.plan.field
    found: dict[str, Any] = {
        "name": entry.name,
        "label": str(entry.plan.label),
        "kind": entry.kind,
        "operators": list(entry.operators),
        "nullable": entry.nullable or entry.side is not None,
    }
    if choices := getattr(field, "choices", None):
        found["choices"] = [{"value": value, "label": str(label)} for value, label in choices.items()]
    if isinstance(field, fields.Reference):
        found["record_type"] = field.to
    if entry.currency:
        found["currency"] = entry.currency
    return found


def _entry(name: str, plan: FieldPlan) -> Entry:
    return Entry(name, plan, OPERATORS[plan.kind], plan.column, plan.side)


def _comparable(plan: FieldPlan) -> bool:
    return plan.readable and plan.column is not None and plan.kind in OPERATORS


def _points_to(field: FieldPlan, target: RecordType) -> bool:
    if field.kind is not Kind.REFERENCE or field.side is not None or not _comparable(field):
        return False
    return cast(fields.Reference, field.field).to == target.name


def _relation_label(plan: TypePlan, field: FieldPlan, target: RecordType) -> Any:
    same = [other for other in plan.fields.values() if _points_to(other, target)]
    records = plan.record_type.label_plural
    return records if len(same) == 1 else _("%(records)s (%(field)s)", records=records, field=field.label)


def _event_fields() -> dict[str, FieldPlan]:
    from crm_kernel.events.models import StoredEvent

    return {
        "occurred_at": FieldPlan(
            "occurred_at", ma.AwareDateTime(), Kind.DATETIME, _l("When"), cast(Any, StoredEvent.occurred_at)
        ),
        "channel": FieldPlan("channel", ma.String(), Kind.TEXT, _l("Channel"), cast(Any, StoredEvent.channel)),
    }
