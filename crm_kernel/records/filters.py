"""The conditions that a list's address spells: leaves of the same tree that ``filter=`` holds whole.

``amount__gte=100`` · ``name__contains=acme`` · ``stage=<id>`` · ``owner=me`` · ``close_date__empty=true`` ·
``created_at__during=this_month`` · ``bank.risk__lt=5`` for an extension's field. An unknown field, operator or value is
an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask_babel import gettext as _

from crm_kernel.database import utcnow
from crm_kernel.errors import InvalidInput
from crm_kernel.records.catalogue import OPERATORS, Entry, catalogue_of
from crm_kernel.records.filter_tree.checking import checked
from crm_kernel.records.filter_tree.nodes import Comparison
from crm_kernel.records.filter_tree.periods import Clock

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.plan import FieldPlan, TypePlan


def parse_conditions(plan: TypePlan, arguments: Iterable[tuple[str, str]], actor: Actor | None) -> list[Comparison]:
    """Return the conditions that URL arguments spell; empty values are dropped, as an untouched form field sends them.

    Days and times without a zone are the actor's.

    Raises:
        InvalidInput: an argument names no filterable field, an operator its kind does not have, or a value that does not
            fit; every such argument is named.
    """
    clock = Clock.of(utcnow(), actor.timezone if actor else "UTC")
    known, conditions, errors = filterable(plan), [], {}
    for parameter, value in arguments:
        field, _separator, operator = parameter.partition("__")
        if field not in known:
            errors[parameter] = [_("Unknown filter; expected one of: %(known)s.", known=", ".join(sorted(known)))]
        elif (operator or "eq") not in OPERATORS[known[field].kind]:
            expected = ", ".join(OPERATORS[known[field].kind])
            errors[parameter] = [_("Unknown operator; expected one of: %(known)s.", known=expected)]
        elif value != "":
            try:
                conditions.append(_condition(_entry(plan, field), operator or "eq", value, clock, parameter))
            except InvalidInput as error:
                errors |= error.errors
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


def _condition(entry: Entry, operator: str, text: str, clock: Clock, parameter: str) -> Comparison:
    value = text.split(",") if operator == "in" else text
    return checked(entry, operator, value, clock, parameter)


def _entry(plan: TypePlan, name: str) -> Entry:
    found = catalogue_of(plan, None).field(name)
    if found is None:  # the registry refuses record types that filter by what is not stored
        raise InvalidInput({name: [_("This field is not stored: nobody can filter by it.")]})
    return found
