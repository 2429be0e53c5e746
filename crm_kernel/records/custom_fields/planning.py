"""Adds the custom fields of a record type to its plan, so that everything made from plans knows them.

The plan gets a record type of its own: the declared one with the fields in schema, filters, sorts, search, columns and
form. Code that reads ``plan.record_type`` sees them; the registered record type stays as it was declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import sqlalchemy as sa
from flask_babel import LazyString, get_locale
from flask_babel import lazy_gettext as _l
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.records.custom_fields.current import Declared
from crm_kernel.records.custom_fields.json_value import json_value
from crm_kernel.records.custom_fields.kinds import (
    STORED,
    WORDS,
    FieldKind,
    currency_field,
    schema_field,
)
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan
from crm_kernel.records.record_type import FormSection, RecordType

#: Start of the name of every custom field.
PREFIX = "cf_"
_CURRENCY = "_currency"


def with_custom(plan: TypePlan, declared: Sequence[Declared]) -> TypePlan:
    """Return a plan with custom fields; those whose kind needs a module that is not loaded are left out."""
    from crm_kernel.records.plan import record_types

    usable = [found for found in declared if found.target is None or found.target in record_types()]
    fields = {name: field for found in usable for name, field in field_plans_of(found, plan.record_type).items()}
    return replace(plan, record_type=_extended(plan.record_type, usable, fields), fields={**plan.fields, **fields})


def field_plans_of(declared: Declared, record_type: RecordType) -> dict[str, FieldPlan]:
    """Return the plans of one custom field: its own, and the currency's of an amount."""
    kind = FieldKind(declared.kind)
    label = said_in(declared.labels, declared.name)
    metadata: dict[str, Any] = {"label": label}
    if declared.help:
        metadata["help"] = said_in(declared.help, "")
    if kind is FieldKind.PHONE:
        metadata["widget"] = "phone"
    made = schema_field(
        kind,
        required=declared.required,
        metadata=metadata,
        choices={choice["value"]: said_in(choice["labels"], choice["value"]) for choice in declared.choices},
        target=declared.target,
        multiline=declared.multiline,
        currency=declared.name + _CURRENCY,
        name=declared.name,
    )
    given = dict(declared.default) if kind is FieldKind.MONEY and declared.default else {"amount": declared.default}
    if given["amount"] is not None:
        made.load_default = made.deserialize(given["amount"])
    plan_kind, type_ = STORED[kind]
    found = {declared.name: _plan(record_type, declared.name, made, plan_kind, label, type_)}
    if kind is FieldKind.MONEY:
        currency = currency_field()
        if given.get("currency"):
            currency.load_default = currency.deserialize(given["currency"])
        name = declared.name + _CURRENCY
        found[name] = _plan(record_type, name, currency, Kind.TEXT, _l("Currency"), sa.String())
    return found


def said_in(texts: Mapping[str, str], otherwise: str) -> Any:
    """Return a lazy text in the reader's language; English, else the first there is, stands in for a missing one."""

    def say() -> str:
        locale = get_locale()
        return (
            texts.get(locale.language if locale else "en") or texts.get("en") or next(iter(texts.values()), otherwise)
        )

    return LazyString(say)


def is_custom(name: str) -> bool:
    """Say whether a field's name is one of a custom field."""
    return name.startswith(PREFIX)


def _plan(record_type: RecordType, name: str, field: ma.Field[Any], kind: Kind, label: Any, type_: Any) -> FieldPlan:
    table: Any = sa.inspect(record_type.model).local_table
    # Outside of a schema a field has no name of its own; the plan's readers ask for it.
    field.name = field.name or name
    return FieldPlan(name, field, kind, label, cast(Any, json_value(table.c.custom, name, type_)))


def _extended(record_type: RecordType, declared: Sequence[Declared], fields: Mapping[str, FieldPlan]) -> RecordType:
    schema = _extended_schema(record_type.schema, {name: plan.field for name, plan in fields.items()})
    sortable = [d.name for d in declared if fields[d.name].kind not in (Kind.MULTICHOICE, Kind.REFERENCE)]
    words = [d.name for d in declared if d.searchable and FieldKind(d.kind) in WORDS]
    return replace(
        record_type,
        schema=schema,
        filters=(*record_type.filters, *fields),
        sorts=(*record_type.sorts, *sortable),
        search=(*record_type.search, *words) if record_type.search else (),
        columns=(*record_type.columns, *(d.name for d in declared if d.listed)),
        form=_extended_form(record_type.form, declared),
    )


def _extended_schema(schema: type[Schema], fields: Mapping[str, ma.Field[Any]]) -> type[Schema]:
    meta = type("Meta", (schema.Meta,), {"register": False})
    return type(schema.__name__, (schema,), {**fields, "Meta": meta})


def _extended_form(form: Sequence[FormSection], declared: Iterable[Declared]) -> tuple[FormSection, ...]:
    """Return the sections with custom fields at the end of the one they name; titles are compared in English."""
    added: dict[str | None, list[str]] = {}
    for found in declared:
        added.setdefault(found.section, []).append(found.name)
    sections = []
    for section in form:
        own = added.pop(plain_title(section.title), [])
        sections.append(replace(section, fields=(*section.fields, *own)))
    others = added.pop(None, [])
    sections += [FormSection(title=cast(str, title), fields=tuple(names)) for title, names in added.items()]
    if others:
        sections.append(FormSection(title=_l("More"), fields=tuple(others)))
    return tuple(sections)


def plain_title(title: Any) -> str:
    """Return a section's title in English, by which custom fields name it."""
    from flask_babel import force_locale

    with force_locale("en"):
        return str(title)
