"""What the calendar of a record type can go by: the dates it declares, and every other one that an index begins with.

A date without an index would make a page read the whole table once per day: it is not offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.calendars.dates import CalendarDates
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.custom_fields.current import held
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan
from crm_kernel.records.projection import core

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Every table has these: they can be chosen, and alone give no type a calendar.
_OF_EVERY_TYPE = ("created_at", "updated_at")


def calendars_of(plan: TypePlan, actor: Actor) -> dict[str, CalendarDates]:
    """Return what the actor can have a calendar by: name of the first field → dates, the usual one first.

    Empty where only the times of the row itself are left.
    """
    hidden = hidden_from(actor, plan)
    declared = {dates.start: dates for dates in plan.record_type.calendar if not {dates.start, dates.end} & hidden}
    others = [name for name, field in plan.fields.items() if name not in {*declared, *hidden} and _fits(plan, field)]
    others.sort(key=lambda name: name in _OF_EVERY_TYPE)
    found = declared | {name: CalendarDates(start=name) for name in others}
    return found if found.keys() - set(_OF_EVERY_TYPE) else {}


def calendar_named(plan: TypePlan, actor: Actor, name: str | None) -> CalendarDates:
    """Return what a calendar goes by, the usual one without a name.

    Raises:
        InvalidInput: the type has no calendar, or none by that field.
    """
    known = calendars_of(plan, actor)
    if not known:
        raise InvalidInput({"kind": [_("%(type)s have no calendar.", type=plan.record_type.label_plural)]})
    if name and name not in known:
        message = _("Found %(found)s, expected one of: %(known)s.", found=name[:80], known=", ".join(known))
        raise InvalidInput({"calendar": [message]})
    return known[name or next(iter(known))]


def _fits(plan: TypePlan, field: FieldPlan) -> bool:
    if field.kind not in (Kind.DATE, Kind.DATETIME) or not field.readable or field.column is None:
        return False
    return field.side is None and (_leads_an_index(plan, field) or _is_indexed(plan, field))


def _leads_an_index(plan: TypePlan, field: FieldPlan) -> bool:
    table = sa.inspect(plan.record_type.model).local_table
    column = core(field.column)
    return any(next(iter(index.expressions), None) is column for index in table.indexes)


def _is_indexed(plan: TypePlan, field: FieldPlan) -> bool:
    """Say whether a custom field has the index that ``crm fields add --indexed`` makes."""
    declared = held().fields.get(plan.record_type.name, ())
    return any(found.indexed for found in declared if found.name == field.name)
