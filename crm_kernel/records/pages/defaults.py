"""What a field of a new record holds when nobody says anything: forms show it, so that what is seen is what is stored."""

from __future__ import annotations

from typing import Any

from marshmallow import missing

from crm_kernel.records.plan import FieldPlan, Kind, TypePlan

#: Kinds whose column's own default is shown; an empty text or number is what it looks like.
_SHOWN = (Kind.BOOLEAN, Kind.CHOICE)


def default_of(field: FieldPlan) -> Any:
    """Return a field's default: the schema's, else the column's of a box or a choice, else None."""
    declared = field.field.load_default
    if declared is not missing:
        return declared() if callable(declared) else declared
    return _column_default(field) if field.kind in _SHOWN else None


def without_blank_extensions(plan: TypePlan, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload for a new record without the extensions nobody filled in: no side row without a value."""
    given = payload.get("extensions") or {}
    own = plan.extension_fields
    filled = {
        extension: values
        for extension, values in given.items()
        if not all(_is_blank(own[extension][name], value) for name, value in values.items())
    }
    rest = {name: value for name, value in payload.items() if name != "extensions"}
    return rest | ({"extensions": filled} if filled else {})


def _is_blank(field: FieldPlan, value: Any) -> bool:
    return value in (None, "") or value == (default_of(field) or False)


def _column_default(field: FieldPlan) -> Any:
    columns = getattr(getattr(field.column, "property", None), "columns", None)
    if not columns:  # nothing stored, or a custom field
        return None
    default = columns[0].default
    return default.arg if default is not None and default.is_scalar else None
