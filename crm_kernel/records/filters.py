"""Conditions over a record type's fields, from the URL or from code, compiled to SQL from known fields only.

``amount__gte=100`` · ``name__contains=acme`` · ``stage=<id>`` · ``owner=me`` · ``close_date__empty=true`` ·
``bank.risk__lt=5`` for an extension's field. An unknown field, operator or value is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.messages import flatten
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, target_of
from crm_kernel.records.storable import refuse_unstorable

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

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
    Kind.DATE: _ORDERED,
    Kind.DATETIME: _ORDERED,
    Kind.BOOLEAN: ("eq", "empty"),
    Kind.CHOICE: _DISCRETE,
    Kind.REFERENCE: _DISCRETE,
    Kind.JSON: ("empty",),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: field name (``bank.risk`` for an extension's), operator, and the value as it was written."""

    field: str
    operator: str
    value: str

    @property
    def parameter(self) -> str:
        """The name it has in a URL."""
        return self.field if self.operator == "eq" else f"{self.field}__{self.operator}"


def parse_conditions(plan: TypePlan, arguments: Iterable[tuple[str, str]]) -> list[Condition]:
    """Return the conditions that URL arguments spell; empty values are dropped, as an untouched form field sends them.

    Raises:
        InvalidInput: an argument names no filterable field, or an operator its kind does not have.
    """
    conditions, errors = [], {}
    for parameter, value in arguments:
        field, _separator, operator = parameter.partition("__")
        found = filterable(plan).get(field)
        if found is None:
            errors[parameter] = [
                _("Unknown filter; expected one of: %(known)s.", known=", ".join(sorted(filterable(plan))))
            ]
        elif (operator or "eq") not in OPERATORS[found.kind]:
            errors[parameter] = [
                _("Unknown operator; expected one of: %(known)s.", known=", ".join(OPERATORS[found.kind]))
            ]
        elif value != "":
            conditions.append(Condition(field, operator or "eq", value))
    if errors:
        raise InvalidInput(errors)
    return conditions


def filterable(plan: TypePlan) -> dict[str, FieldPlan]:
    """Return the fields a request may filter by: name → plan, extensions' as ``<extension>.<field>``."""
    own = {name: plan.fields[name] for name in plan.record_type.filters}
    for extension in plan.extensions:
        fields = plan.extension_fields[extension.name]
        own |= {f"{extension.name}.{name}": fields[name] for name in extension.filters}
    return own


def predicate(uow: UnitOfWork, plan: TypePlan, condition: Condition) -> sa.ColumnElement[bool]:
    """Return a condition as SQL over the record type's model.

    Raises:
        InvalidInput: the value does not fit the field.
    """
    field = filterable(plan)[condition.field]
    comparison = _comparison(uow, field, condition)
    if "." in condition.field:
        extension = next(e for e in plan.extensions if e.name == condition.field.partition(".")[0])
        return _through_side(plan, extension.model, comparison, condition)
    if field.side is not None:
        return _through_side(plan, field.side, comparison, condition)
    return comparison


def _through_side(
    plan: TypePlan, side: type[Any], comparison: sa.ColumnElement[bool], condition: Condition
) -> sa.ColumnElement[bool]:
    key = next(iter(sa.inspect(side).primary_key))
    # Only the record is the outer one: the list may have joined the side table too, for its own columns.
    rows = sa.select(sa.literal(1)).where(key == plan.record_type.model.id).correlate(plan.record_type.model)
    missing_counts = condition.operator == "ne" or (condition.operator == "empty" and _truth(condition))
    if missing_counts:  # a record without side row has no value: it differs from any value, and is empty
        return ~sa.exists(rows.where(sa.not_(comparison)))
    return sa.exists(rows.where(comparison))


def _comparison(uow: UnitOfWork, field: FieldPlan, condition: Condition) -> sa.ColumnElement[bool]:
    column: Any = field.column
    if condition.operator == "empty":
        blank = sa.or_(column.is_(None), column == "") if field.kind is Kind.TEXT else column.is_(None)
        return blank if _truth(condition) else sa.not_(blank)
    if condition.operator == "in":
        values = [_value(uow, field, condition, part) for part in condition.value.split(",")]
        return cast("sa.ColumnElement[bool]", _match_any(uow, field, values))
    value = _value(uow, field, condition, condition.value)
    if field.kind is Kind.REFERENCE:
        rows = _match_any(uow, field, [value])
        return rows if condition.operator == "eq" else sa.or_(column.is_(None), sa.not_(rows))
    if condition.operator == "ne":
        return sa.or_(column.is_(None), column != value)
    return cast("sa.ColumnElement[bool]", _OPERATIONS[condition.operator](column, value))


def _match_any(uow: UnitOfWork, field: FieldPlan, values: list[Any]) -> Any:
    column: Any = field.column
    if field.kind is not Kind.REFERENCE:
        return column.in_(values)
    target = target_of(field)
    # A hidden target matches nothing: an answer would confirm what the list itself does not show.
    seen = sa.select(target.model.id).where(target.model.uid.in_(values), visible(uow.actor, target))
    return column.in_(seen)


_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": lambda column, value: column == value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "contains": lambda column, value: sa.func.lower(column).contains(str(value).lower(), autoescape=True),
    "startswith": lambda column, value: sa.func.lower(column).startswith(str(value).lower(), autoescape=True),
}


def _value(uow: UnitOfWork, field: FieldPlan, condition: Condition, text: str) -> Any:
    if field.kind is Kind.REFERENCE and text == "me" and uow.actor.user_uid is not None:
        return uow.actor.user_uid
    try:
        value = text if condition.operator in ("contains", "startswith") else field.field.deserialize(text)
        if field.kind is not Kind.REFERENCE:
            refuse_unstorable(field.column, value)
        return value
    except ValidationError as error:
        raise InvalidInput({condition.parameter: flatten(error.messages)[""]}) from error
    except (ValueError, ArithmeticError) as error:
        message = _("%(found)s cannot be compared with this field.", found=text[:60].replace("\x00", "\\0"))
        raise InvalidInput({condition.parameter: [message]}) from error


def _truth(condition: Condition) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if condition.value.lower() not in known:
        raise InvalidInput(
            {condition.parameter: [_("Expected true or false, found %(found)s.", found=condition.value)]}
        )
    return known[condition.value.lower()]
