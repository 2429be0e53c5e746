"""Which columns a list can have: every readable field of the type, its custom fields and its extensions' fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records import fields
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: More than anybody reads side by side.
MOST_COLUMNS = 40


def offered_columns(plan: TypePlan, actor: Actor) -> dict[str, FieldPlan]:
    """Return the fields that the actor may have as columns: name → plan, an extension's as ``bank.risk``; no query."""
    hidden = hidden_from(actor, plan)
    own = {name: field for name, field in plan.fields.items() if _fits(field)}
    for extension in plan.extensions:
        known = plan.extension_fields[extension.name]
        own |= {f"{extension.name}.{name}": field for name, field in known.items() if _fits(field)}
    return {name: field for name, field in own.items() if name not in hidden}


def usual_columns(plan: TypePlan, actor: Actor) -> tuple[str, ...]:
    """Return the columns of a list that nobody chose any for: the type's, then its extensions'."""
    hidden = hidden_from(actor, plan)
    names = list(plan.record_type.columns)
    for extension in plan.extensions:
        names += [f"{extension.name}.{name}" for name in extension.columns]
    return tuple(name for name in names if name not in hidden)


def chosen_columns(plan: TypePlan, actor: Actor, text: str) -> tuple[str, ...]:
    """Return the columns that ``columns=name,amount`` names, in order.

    Raises:
        InvalidInput: one is unknown, hidden from the actor, or there are too many.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = offered_columns(plan, actor)
    unknown = [name for name in names if name not in known]
    if unknown:
        expected = ", ".join(sorted(known))
        raise InvalidInput(
            {"columns": [_("Unknown column %(found)s; known: %(known)s.", found=unknown[0][:80], known=expected)]}
        )
    if len(names) > MOST_COLUMNS:
        raise InvalidInput(
            {"columns": [_("Found %(found)s, expected at most %(most)s.", found=len(names), most=MOST_COLUMNS)]}
        )
    return names


def column_plan(plan: TypePlan, name: str) -> FieldPlan:
    """Return the plan of a column."""
    extension, dot, own = name.partition(".")
    return plan.extension_fields[extension][own] if dot else plan.fields[name]


def fields_for(plan: TypePlan, names: Sequence[str]) -> tuple[str, ...]:
    """Return what a page must read to show these columns: their fields, the title, the amounts' currencies, the source of references."""
    own = [name for name in names if "." not in name]
    currencies = [cast(fields.Money, plan.fields[n].field).currency for n in own if plan.fields[n].kind is Kind.MONEY]
    extra = ("extensions",) if len(own) < len(names) else ()
    told = any(plan.fields[name].field.metadata.get("show_as") == "outside" for name in own)
    source = ("source_plugin",) if told and "source_plugin" in plan.fields else ()
    title = (plan.record_type.title, *said_with(plan))
    return tuple(dict.fromkeys((*own, *title, *(c for c in currencies if c), *source, *extra)))


def said_with(plan: TypePlan) -> tuple[str, ...]:
    """Return the fields that the title is said with: those that tell where a person's family name begins."""
    field = plan.fields.get(plan.record_type.title)
    named = field is not None and field.field.metadata.get("show_as") == "person_name"
    return ("kind", "language", "sort_name") if named else ()


def chooser(plan: TypePlan, actor: Actor, shown: Sequence[str]) -> list[dict[str, Any]]:
    """Return the column chooser's boxes: those that are shown first, in their order; each with its group."""
    known = offered_columns(plan, actor)
    names = [*(name for name in shown if name in known), *(name for name in known if name not in shown)]
    labels = {extension.name: extension.label for extension in plan.extensions}
    return [
        {
            "name": name,
            "label": known[name].label,
            "group": labels.get(name.partition(".")[0]) if "." in name else None,
            "shown": name in shown,
        }
        for name in names
    ]


def _fits(field: FieldPlan) -> bool:
    if not field.readable or field.kind is Kind.JSON or field.field.metadata.get("code"):
        return False
    return field.column is not None or field.kind is Kind.COLLECTION
