"""Validates raw rows by a type's schema, as one row at a time would be, at a fraction of the cost.

One schema instance for all rows, and a memory for values that repeat (a country, a stage): what marshmallow spends its
time on is left out, its hooks and validators all run. Whenever anything is wrong, marshmallow itself judges the row
again, so the errors are its own.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from marshmallow import RAISE, Schema, ValidationError, missing
from marshmallow import fields as ma

from crm_kernel.records.fields import Collection
from crm_kernel.records.messages import flatten
from crm_kernel.records.payloads import EXTENSIONS
from crm_kernel.records.plan import TypePlan

#: Distinct values remembered per field: enough for lists of choices, too few for names to fill the memory.
REMEMBERED = 2_000

_PURE = frozenset({"marshmallow.fields", "crm_kernel.records.fields", "crm_kernel.records.texts"})
_CONSTANT = (str, int, bool, Decimal, dt.date, dt.datetime, uuid.UUID)

Loaded = tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, list[str]]]


class Loader:
    """Loads rows of one record type and its extensions; holds values of rows, so make one per run."""

    def __init__(self, plan: TypePlan) -> None:
        self._own = quick_schema(plan.record_type.schema)
        self._extensions = {extension.name: quick_schema(extension.schema) for extension in plan.extensions}

    def load(self, payload: Mapping[str, Any], *, partial: bool = False) -> Loaded:
        """Return (attribute → value, extension → attribute → value, errors by path); the first two only if none."""
        errors: dict[str, list[str]] = {}
        if EXTENSIONS not in payload:
            return _loaded(self._own, payload, partial, "", errors), {}, errors
        own = {name: value for name, value in payload.items() if name != EXTENSIONS}
        data = _loaded(self._own, own, partial, "", errors)
        given = payload[EXTENSIONS] or {}
        extensions: dict[str, dict[str, Any]] = {}
        if not isinstance(given, Mapping):
            found = type(given).__name__
            return (
                data,
                {},
                {**errors, EXTENSIONS: [_("Expected an object with fields, found %(found)s.", found=found)]},
            )
        for name, values in given.items():
            said = not isinstance(values, Mapping) or any(value is not None for value in values.values())
            if name not in self._extensions:
                errors[f"{EXTENSIONS}.{name}"] = [_("Unknown field.")]
            elif said or partial:
                extensions[name] = _loaded(self._extensions[name], values, partial, f"{EXTENSIONS}.{name}.", errors)
        return data, extensions, errors

    def load_what_fits(self, payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Return (attribute → value of the type's own fields that are right, errors by path), whatever is missing.

        Of a collection all parts are right, or it is left out.
        """
        own = {name: value for name, value in payload.items() if name != EXTENSIONS}
        try:
            return dict(self._own.load(own, partial=True)), {}
        except ValidationError as error:
            errors, fields = flatten(error.messages), self._own.load_fields
            wrong = {path.partition(".")[0] for path in errors}
            attributes = {fields[name].attribute or name if name in fields else name for name in wrong}
            found = dict(error.valid_data or {}) if wrong <= fields.keys() | own.keys() else {}
            return {name: value for name, value in found.items() if name not in attributes}, errors


def quick_schema(schema: type[Schema]) -> Schema:
    """Return an instance that loads what the schema loads, with the same errors, faster."""
    meta = type("Meta", (schema.Meta,), {"register": False})
    made: Any = type(schema.__name__, (schema,), {"_deserialize": _deserialize, "Meta": meta})()
    made.crm_steps = dict(_step(name, field) for name, field in made.load_fields.items())
    # What matters when it is missing: it is required, or has a default.
    made.crm_needed = [key for key, (_name, field, _memory) in made.crm_steps.items() if _is_needed(field)]
    made.crm_nested = any("." in attribute for attribute, _field, _memory in made.crm_steps.values())
    for field in made.load_fields.values():
        if isinstance(field, Collection) and isinstance(field.inner, ma.Nested):
            field.inner._schema = quick_schema(field.part_schema)
    return made  # type: ignore[no-any-return]


def _loaded(schema: Schema, payload: Any, partial: bool, prefix: str, errors: dict[str, list[str]]) -> dict[str, Any]:
    try:
        return schema.load(payload, partial=partial)  # type: ignore[no-any-return]
    except ValidationError as error:
        errors |= flatten(error.messages, prefix)
        return {}


def _step(name: str, field: Any) -> tuple[str, tuple[str, Any, dict[str, Any] | None]]:
    key = field.data_key if field.data_key is not None else name
    plain = type(field).__module__ in _PURE and not isinstance(field, ma.List | ma.Nested | ma.Mapping | ma.Tuple)
    return key, (field.attribute or name, field, {} if plain else None)


def _is_needed(field: Any) -> bool:
    usual = type(field).deserialize in (ma.Field.deserialize, ma.Nested.deserialize)
    return bool(field.required) or field.load_default is not missing or not usual


def _deserialize(
    self: Any,
    data: Any,
    *,
    error_store: Any,
    many: bool = False,
    partial: Any = None,
    unknown: Any = RAISE,
    index: Any = None,
) -> Any:
    """Stand in for marshmallow's loop over the fields as long as nothing is wrong."""
    quick = not many and partial in (None, False, True) and unknown == RAISE and type(data) is dict
    if quick and not self.crm_nested and data.keys() <= self.crm_steps.keys():
        try:
            return _all_fields(self, data, partial)
        except ValidationError:
            pass
    usual = super(type(self), self)._deserialize
    return usual(data, error_store=error_store, many=many, partial=partial, unknown=unknown, index=index)


def _all_fields(schema: Any, data: dict[str, Any], partial: Any) -> dict[str, Any]:
    found = {}
    extra = {} if not partial else {"partial": partial}
    for key, raw in data.items():
        attribute, field, memory = schema.crm_steps[key]
        if memory is not None and type(raw) is str and raw in memory:
            found[attribute] = memory[raw]
            continue
        value = field.deserialize(raw, key, data, **extra)
        if value is not missing:
            found[attribute] = value
        if memory is not None and type(raw) is str and len(memory) < REMEMBERED and isinstance(value, _CONSTANT):
            memory[raw] = value
    for key in schema.crm_needed if partial is not True else ():
        if key not in data:
            attribute, field, _memory = schema.crm_steps[key]
            value = field.deserialize(missing, key, data, **extra)
            if value is not missing:
                found[attribute] = value
    return found
