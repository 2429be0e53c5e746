"""Turns raw input of any channel into checked values: schema, extensions' schemas, references to visible records.

Writes nothing. All errors of all parts are collected and named by their path before anybody is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import Schema, ValidationError

from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.messages import flatten, with_found
from crm_kernel.records.numbers import Misread
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, target_of
from crm_kernel.records.replacements import named

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Name of the object in a payload that holds the extensions' fields.
EXTENSIONS = "extensions"


def load(
    plan: TypePlan,
    payload: Mapping[str, Any],
    *,
    partial: bool = False,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return raw input as (attribute → value, extension → attribute → value); all errors of all parts at once.

    Raises:
        InvalidInput: naming every unknown, missing or wrong field by its path.
    """
    if not isinstance(payload, Mapping):
        raise InvalidInput({"": [_("Expected an object with fields, found %(found)s.", found=type(payload).__name__)]})
    errors: dict[str, list[str]] = {}
    own = {key: value for key, value in payload.items() if key != EXTENSIONS}
    data = _loaded(plan.record_type.schema, own, partial, "", errors)
    extensions = {}
    given = payload.get(EXTENSIONS) or {}
    if not isinstance(given, Mapping):
        errors[EXTENSIONS] = [_("Expected an object with fields, found %(found)s.", found=type(given).__name__)]
    schemas = {extension.name: extension.schema for extension in plan.extensions}
    for name, values in given.items() if isinstance(given, Mapping) else ():
        if name not in schemas:
            errors[f"{EXTENSIONS}.{name}"] = [_("Unknown field.")]
        else:
            extensions[name] = _loaded(schemas[name], values, partial, f"{EXTENSIONS}.{name}.", errors)
    if errors:
        raise InvalidInput(errors)
    return data, extensions


def load_with(schema: type[Schema], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return raw input as a schema loads it.

    Raises:
        InvalidInput: naming every wrong field.
    """
    errors: dict[str, list[str]] = {}
    data = _loaded(schema, payload, False, "", errors)
    if errors:
        raise InvalidInput(errors)
    return data


def resolve_all(
    uow: UnitOfWork, plan: TypePlan, data: dict[str, Any], extensions: Mapping[str, dict[str, Any]]
) -> None:
    """Replace the public ids in what ``load`` returned by the keys of visible records; one query per reference given.

    Raises:
        InvalidInput: records do not exist or are hidden from the actor; names each, an extension's by its path.
    """
    errors: dict[str, list[str]] = {}
    places = [("", plan.fields, data)]
    places += [(f"{EXTENSIONS}.{name}.", plan.extension_fields[name], values) for name, values in extensions.items()]
    for path, fields, values in places:
        try:
            resolve_references(uow, fields, values, path)
        except InvalidInput as error:
            errors |= error.errors
    if errors:
        raise InvalidInput(errors)


def resolve_references(uow: UnitOfWork, fields: Mapping[str, FieldPlan], data: dict[str, Any], path: str = "") -> None:
    """Replace the public ids in loaded data by the keys of visible records; one query per reference given.

    Raises:
        InvalidInput: a record does not exist or is hidden from the actor.
    """
    errors = {}
    for name, field in fields.items():
        attribute = field.field.attribute or name
        if field.kind is Kind.REFERENCE and isinstance(data.get(attribute), UUID):
            target = target_of(field)
            statement = sa.select(target.model.id).where(named(target, [data[attribute]]), visible(uow.actor, target))
            key = uow.session.execute(statement).scalar_one_or_none()
            if key is None:
                message = _("There is no %(type)s with the id %(id)s.", type=target.label, id=data[attribute])
                errors[path + name] = [message]
            data[attribute] = key
        elif field.kind is Kind.COLLECTION and isinstance(data.get(attribute), list):
            _resolve_parts(uow, field, data[attribute], f"{path}{name}.")
    if errors:
        raise InvalidInput(errors)


def _loaded(
    schema: type[Schema],
    payload: Any,
    partial: bool,
    prefix: str,
    errors: dict[str, list[str]],
) -> dict[str, Any]:
    misread = dict(_misread(payload, prefix))
    try:
        return dict(schema().load(payload, partial=partial))
    except ValidationError as error:
        described = _described(schema, payload, error)
        errors |= {f"{prefix}{path}".removesuffix("._schema"): texts for path, texts in described.items()}
        return {}
    finally:
        errors |= misread


def _described(schema: type[Schema], payload: Any, error: ValidationError) -> dict[str, list[str]]:
    """Return what is wrong by path, with what was found; never the value of a secret."""
    problems = flatten(error.messages)
    if not isinstance(payload, Mapping):
        return problems
    fields = schema().load_fields
    secret = {name for name, field in fields.items() if field.load_only or field.metadata.get("widget") == "password"}
    return with_found(problems, {name: value for name, value in payload.items() if name not in secret}, fields)


def _misread(payload: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what a form holds that is no number in the reader's language, though a schema might take it for one."""
    if isinstance(payload, Misread):
        yield path.removesuffix("."), [payload.expected]
    elif isinstance(payload, Mapping):
        for name, value in payload.items():
            yield from _misread(value, f"{path}{name}.")
    elif isinstance(payload, list):
        for number, value in enumerate(payload):
            yield from _misread(value, f"{path}{number}.")


def _resolve_parts(uow: UnitOfWork, field: FieldPlan, parts: Sequence[dict[str, Any]], path: str) -> None:
    from crm_kernel.records.plan import field_plans

    collection: Any = field.field
    plans = field_plans(collection.part_schema, collection.model)
    if any(plan.kind is Kind.REFERENCE for plan in plans.values()):
        for number, part in enumerate(parts):
            resolve_references(uow, plans, part, f"{path}{number}.")
