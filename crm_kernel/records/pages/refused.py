"""A list whose filter bar holds what cannot be read: the page with the message at the field, and no rows.

Nothing is left out: a list without the condition would look like the answer to it. The other conditions stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.filters import filterable
from crm_kernel.records.pages import listing
from crm_kernel.records.plan import TypePlan

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

Arguments = Sequence[tuple[str, str]]


def field_of(parameter: str) -> str:
    """Return the field that a parameter of a list's address is about: that of ``amount__gte``, ``amount.op``."""
    return parameter.removesuffix(".op").partition("__")[0]


def is_about_filters(actor: Actor, plan: TypePlan, parameters: Iterable[str]) -> bool:
    """Say whether all parameters are those of fields by which the actor may filter."""
    known = filterable(plan).keys() - hidden_from(actor, plan)
    return all(field_of(parameter) in known for parameter in parameters)


def without(arguments: Arguments, errors: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return the arguments as they are without the refused conditions, and without a place in the list."""
    wrong = {field_of(parameter) for parameter in errors}
    rest = [pair for pair in arguments if pair[0] != "cursor" and field_of(pair[0]) not in wrong]
    # An address without arguments is the view that comes first.
    return rest or [("view", "all")]


def shown_again(
    plan: TypePlan, filters: list[dict[str, Any]], arguments: Arguments, errors: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Give the controls of the refused fields what was typed, with its message; return name, label and message of all."""
    said: dict[str, str] = {}
    for parameter, messages in errors.items():
        name = field_of(parameter)
        said[name] = " ".join(filter(None, (said.get(name), *messages)))
    for control in filters:
        if control["name"] in said:
            control |= _typed(control, arguments) | {"error": said[control["name"]]}
    known, shown = filterable(plan), {control["name"] for control in filters}
    return [
        {"name": name if name in shown else None, "label": known[name].label, "message": text}
        for name, text in said.items()
    ]


def kept(plan: TypePlan, arguments: Arguments, carried: Iterable[str]) -> dict[str, str]:
    """Return what the form carries along: how the page is shown, and the conditions that have no control."""
    from crm_kernel.records.saved_views.services import CALENDAR_ONLY

    names = {*listing.KEPT, "filter", *CALENDAR_ONLY, *carried}
    return {key: value for key, value in arguments if key in names}


def _typed(control: Mapping[str, Any], arguments: Arguments) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parameter, value in arguments:
        if field_of(parameter) != control["name"] or not value:
            continue
        if parameter.endswith(".op"):
            found["operator"] = value
        else:
            found["value"] = [value] if control["kind"] == "choice" else value
            operator = parameter.partition("__")[2]
            found |= {"operator": operator} if operator else {}
    return found
