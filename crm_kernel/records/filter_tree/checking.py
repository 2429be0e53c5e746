"""Checks the parts of a filter tree: names against the catalogue, values against their fields, numbers against limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records import fields
from crm_kernel.records.catalogue import Catalogue, Entry, Relation
from crm_kernel.records.filter_tree import periods, values
from crm_kernel.records.filter_tree.nodes import Comparison, Relative, Value, Window
from crm_kernel.records.filter_tree.periods import Clock
from crm_kernel.records.plan import Kind

#: Values in one list, and the most related records or units that a condition may ask for.
MAX_VALUES, MAX_COUNT = 1_000, 1_000_000


def named_entry(catalogue: Catalogue, name: Any, path: str) -> Entry:
    """Return a field of the catalogue.

    Raises:
        InvalidInput: there is none of that name, or none the actor may read.
    """
    found = catalogue.field(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(sorted(entry.name for entry in catalogue.fields()))
        refuse(path, _("Unknown field %(found)s; known: %(known)s.", found=_shown(name), known=known))
    return found


def named_relation(catalogue: Catalogue, name: Any, path: str) -> Relation:
    """Return a relation of the catalogue.

    Raises:
        InvalidInput: there is none of that name, or none the actor may read.
    """
    found = catalogue.relation(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(sorted(relation.name for relation in catalogue.relations())) or "–"
        refuse(path, _("Unknown relation %(found)s; known: %(known)s.", found=_shown(name), known=known))
    return found


def dated(relation: Relation, on: str | None, path: str) -> Entry:
    """Return the date by which rows of a relation lie in a period.

    Raises:
        InvalidInput: it is no date of the relation, or none is named and there is no usual one.
    """
    name, known = on or relation.usual_date(), {entry.name: entry for entry in relation.dates()}
    if name not in known:
        dates = ", ".join(known) or "–"
        refuse(f"{path}.on", _("Expected one of the dates: %(known)s.", known=dates))
    return known[name]


def checked(entry: Entry, operator: str, value: Any, clock: Clock, path: str) -> Comparison:
    """Return the comparison of a field with a JSON value, after trying whether the value fits.

    Raises:
        InvalidInput: it does not.
    """
    if operator == "empty":
        return Comparison(entry.name, operator, values.truth(value, path))
    if operator == "in":
        return Comparison(entry.name, operator, _listed(entry, value, clock, path))
    of_dates = entry.plan.kind in (Kind.DATE, Kind.DATETIME)
    found = _moving(value, operator, path) if of_dates else _scalar(value, path)
    if not (found == "me" and _of_users(entry)):
        values.operand(entry, operator, found, clock, path)
    return Comparison(entry.name, operator, found)


def _listed(entry: Entry, value: Any, clock: Clock, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        refuse(path, _("Expected a list."))
    if len(value) > MAX_VALUES:
        refuse(path, _("Too many values: at most %(limit)s.", limit=MAX_VALUES))
    found = tuple(_scalar(part, f"{path}[{place}]") for place, part in enumerate(value))
    values.operands(entry, [part for part in found if not (part == "me" and _of_users(entry))], clock, path)
    return found


def _moving(value: Any, operator: str, path: str) -> Value:
    """Return a date's value as the tree keeps it: what moves with the clock as such, whatever its spelling."""
    if isinstance(value, str):
        if operator == "during":
            return periods.window_of(value) or value
        return Relative(value) if periods.is_relative(value) else value
    if not isinstance(value, Mapping):
        return cast(Value, _scalar(value, path))
    return _window(value, path) if operator == "during" else _relative(value, path)


def _relative(value: Mapping[str, Any], path: str) -> Relative:
    text = value.get("relative")
    if value.keys() != {"relative"} or not isinstance(text, str) or not periods.is_relative(text):
        known = ", ".join(periods.MOMENTS)
        refuse(path, _("Expected a distance such as -30d (h, d, w, m, y), or one of: %(known)s.", known=known))
    return Relative(text)


def within_of(value: Any, path: str) -> Value:
    """Return the period that ``within`` asks for: ``{"days": 30}``, or what ``during`` takes.

    Raises:
        InvalidInput: it has another form.
    """
    if isinstance(value, Mapping) and len(value) == 1 and (unit := next(iter(value))) in periods.UNITS:
        return Window("last", count_of(value[unit], f"{path}.{unit}", least=1), unit)
    if isinstance(value, Mapping):
        return _window(value, path)
    return (periods.window_of(value) or value) if isinstance(value, str) else _scalar(value, path)


def _window(value: Mapping[str, Any], path: str) -> Window:
    directions = {"last", "next"} & value.keys()
    if len(directions) != 1 or value.keys() - directions != {"unit"} or value["unit"] not in periods.UNITS:
        units = ", ".join(periods.UNITS)
        refuse(path, _('Expected {"last": 30, "unit": "days"} or {"next": …}; units: %(units)s.', units=units))
    direction = directions.pop()
    return Window(direction, count_of(value[direction], f"{path}.{direction}", least=1), value["unit"])


def _of_users(entry: Entry) -> bool:
    field = entry.plan.field
    return isinstance(field, fields.Reference) and field.to == "user"


def count_of(value: Any, path: str, *, least: int = 0) -> int:
    """Return a number of records or units.

    Raises:
        InvalidInput: it is no whole number in the range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
        refuse(path, _("Expected a whole number from %(least)s to %(most)s.", least=least, most=MAX_COUNT))
    return value


def _scalar(value: Any, path: str) -> Any:
    if not isinstance(value, str | int | float | bool):
        refuse(path, _("Expected one value; whether there is one at all is asked by “is empty” (empty)."))
    return value


def _shown(value: Any) -> str:
    return str(value)[:60].replace("\x00", "\\0")


def refuse(path: str, message: str) -> NoReturn:
    """Refuse what stands at a place.

    Raises:
        InvalidInput: always.
    """
    raise InvalidInput({path: [message]})
