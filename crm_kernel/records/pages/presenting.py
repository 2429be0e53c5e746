"""Turns field values into what people read: cells of tables, facts, cards, in the reader's language and time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

from flask import current_app, url_for
from flask_babel import format_currency, format_date, format_datetime, format_decimal, get_locale
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records import fields
from crm_kernel.records.custom_fields.kinds import MultiChoice
from crm_kernel.records.names import person_name
from crm_kernel.records.numbers import decimal_text
from crm_kernel.records.pages.saying import SAID, outside_reference
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, target_of
from crm_kernel.records.record_type import RecordType

#: Our kinds in the words of the table component.
_CELL_KINDS: Mapping[Kind, str] = {
    Kind.BOOLEAN: "bool",
    Kind.COLLECTION: "text",
    Kind.JSON: "text",
    Kind.URL: "text",
    Kind.CHOICE: "text",
    Kind.MULTICHOICE: "text",
}


def cell_kind(field: FieldPlan) -> str:
    """Return the table component's word for a field."""
    widget = field.field.metadata.get("show_as") or field.field.metadata.get("widget")
    if widget in ("phone", "email"):
        return cast(str, widget)
    return _CELL_KINDS.get(field.kind, field.kind.value)


def text_of(field: FieldPlan, value: Any, item: Mapping[str, Any]) -> str:
    """Return a value as text; empty for a missing one. Money needs its currency from the same item."""
    if value is None or value == "":
        return ""
    if field.kind is Kind.REFERENCE:
        return str(value.get("title") or _("(hidden)"))
    if field.kind is Kind.MONEY:
        return money_text(value, item.get(cast(fields.Money, field.field).currency))
    if field.kind is Kind.CHOICE:
        return str(cast(fields.Choice, field.field).label_of(value))
    if field.kind is Kind.MULTICHOICE:
        return ", ".join(str(cast(MultiChoice, field.field).choices.get(part, part)) for part in value)
    shown_as = field.field.metadata.get("show_as", "")
    if shown_as == "base_money":
        return money_text(value, runtime_of(current_app).config.base_currency)
    if shown_as == "person_name":
        return person_name(str(value), item)
    if shown_as == "outside":
        return outside_reference(str(value), item)
    if shown_as in SAID:
        return SAID[shown_as](value)
    if isinstance(value, bool):
        return str(_("Yes") if value else _("No"))
    return plain_text(value)


def plain_text(value: Any) -> str:
    """Return a value without a field as text."""
    if isinstance(value, dt.datetime):
        return moment_text(value)
    if isinstance(value, dt.date):
        return cast(str, format_date(value, "medium"))
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return decimal_text(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {plain_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part.get("value", part)) if isinstance(part, Mapping) else str(part) for part in value)
    return str(value)


def moment_text(moment: dt.datetime, form: str = "short", say: Callable[..., Any] = format_datetime) -> str:
    """Return a time as the reader's language and time zone write it; one that has no date there in UTC, as ISO 8601."""
    try:
        return str(say(moment, form))
    except (OverflowError, ValueError):  # stored by an older version or a module; lists must show it all the same
        return moment.isoformat()


def money_text(amount: Decimal | None, currency: str | None) -> str:
    """Return an amount with its currency as the reader's language writes it; whole amounts without decimals."""
    if amount is None:
        return ""
    if not currency:
        return cast(str, format_decimal(amount))
    if amount != amount.to_integral_value():
        return cast(str, format_currency(amount, currency))
    pattern = get_locale().currency_formats["standard"].pattern.replace(".00", "")
    return cast(str, format_currency(amount, currency, pattern, currency_digits=False))


def cell_of(field: FieldPlan, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table cell: value, text, and a link for references."""
    value = item.get(field.name)
    cell: dict[str, Any] = {"value": value, "text": text_of(field, value, item)}
    if field.kind is Kind.REFERENCE and value and value.get("id"):
        cell["url"] = record_url(target_of(field), value["id"])
    elif field.kind is Kind.URL and value:
        cell["url"] = value
    if colors := field.field.metadata.get("colors"):
        cell["color"] = colors.get(value)
    return cell


def record_url(record_type: RecordType, uid: Any) -> str:
    """Return the address of a record's page."""
    return url_for(f"{record_type.endpoint}_detail", uid=uid)


def title_of(plan: TypePlan, item: Mapping[str, Any]) -> str:
    """Return what people call a record."""
    name = plan.record_type.title
    text = text_of(plan.fields[name], item.get(name), item) if name in plan.fields else item.get(name)
    return str(text or _("(without a name)"))


def facts_of(plan: TypePlan, item: Mapping[str, Any], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return facts for the detail page: label, text, link, kind. What is empty is left to the form."""
    fields = (plan.fields[name] for name in names)
    told = (f for f in fields if f.readable and f.kind is not Kind.COLLECTION and not f.field.metadata.get("code"))
    shown = (f for f in told if not _is_currency_of_money(plan, f.name))
    facts = (
        {"name": field.name, "label": field.label, "kind": cell_kind(field), **cell_of(field, item)} for field in shown
    )
    return [fact for fact in facts if fact["text"] != ""]


def extension_facts(plan: TypePlan, item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one group of facts per extension that has values: title and facts."""
    groups = []
    for extension in plan.extensions:
        values = (item.get("extensions") or {}).get(extension.name) or {}
        own = plan.extension_fields[extension.name]
        facts = [
            {
                "name": f"{extension.name}.{name}",
                "label": own[name].label,
                "kind": cell_kind(own[name]),
                **cell_of(own[name], values),
            }
            for name in extension.form
            if own[name].readable
        ]
        if values:
            groups.append({"title": extension.label, "facts": facts, "extension": extension.name})
    return groups


def _is_currency_of_money(plan: TypePlan, name: str) -> bool:
    return any(p.kind is Kind.MONEY and cast(fields.Money, p.field).currency == name for p in plan.fields.values())
