"""Forms from schemas: fields with their widgets and values, the submitted text back to a payload, errors to fields."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from flask import current_app, url_for
from flask_babel import get_timezone
from flask_babel import gettext as _
from marshmallow import Schema, missing

from crm_kernel.records import fields
from crm_kernel.records.custom_fields.kinds import MultiChoice
from crm_kernel.records.numbers import Misread, number_text
from crm_kernel.records.pages.defaults import default_of
from crm_kernel.records.pages.submitted import TRUTHS, submitted
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, field_plans, target_of

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

#: Currencies offered first; any other that a record has is added to the list.
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "CAD", "JPY", "AUD", "SEK", "NOK", "DKK", "PLN", "CZK")

_WIDGETS: Mapping[Kind, str] = {Kind.COLLECTION: "subform", Kind.JSON: "hidden", Kind.NUMBER: "decimal"}
_PART = re.compile(r"(?P<name>[a-z_]+)-(?P<index>\d+)-(?P<field>[a-z_]+)\Z")


def form_of(
    plan: TypePlan, item: Mapping[str, Any], errors: Mapping[str, list[str]] | None = None, *, partial: bool = False
) -> dict[str, Any]:
    """Return the form component's description of a record type's form.

    Args:
        item: values as ``read_one`` gives them, or as ``payload_of`` read them from a refused submission.
        errors: path → messages; those that fit no shown field stand above the form.
        partial: the record exists: its version is sent along.
    """
    left = {path: " ".join(messages) for path, messages in (errors or {}).items()}
    sections: list[dict[str, Any]] = [
        {
            "title": section.title,
            "fields": [],
            "subforms": [],
            "columns": 2,
            "names": section.fields,
            "when": section.when,
            "description": section.words(item) if section.words and "id" in item else None,
        }
        for section in plan.record_type.form
    ]
    for section in sections:
        _fill(section, plan.fields, item, left, "")
    for extension in plan.extensions:
        if extension.form:
            values = (item.get("extensions") or {}).get(extension.name) or {}
            section = {"title": extension.label, "fields": [], "subforms": [], "columns": 2, "names": extension.form}
            _fill(section, plan.extension_fields[extension.name], values, left, f"extensions.{extension.name}.")
            sections.append(section)
    split = [part for section in sections for part in _split(section)]
    return {
        "sections": split,
        "version": item.get("version") if partial else None,
        "message": " ".join(left.values()) or None,
    }


def schema_form(
    schema: type[Schema], values: Mapping[str, Any], errors: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """Return the description of a small form over a schema alone: an action's dialog."""
    left = {path: " ".join(messages) for path, messages in (errors or {}).items()}
    plans = field_plans(schema, object)
    section: dict[str, Any] = {"title": None, "fields": [], "subforms": [], "columns": 1, "names": tuple(plans)}
    _fill(section, plans, values, left, "")
    return {"sections": [section], "message": " ".join(left.values()) or None}


def payload_of(plan: TypePlan, form: MultiDict[str, str]) -> dict[str, Any]:
    """Return the submitted form as a payload for the record's services; what was not sent stays as it is."""
    names = [name for section in plan.record_type.form for name in section.fields]
    payload = _payload(plan.fields, names, form, "")
    extensions = {}
    for extension in plan.extensions:
        values = _payload(plan.extension_fields[extension.name], extension.form, form, f"extensions.{extension.name}.")
        if values:
            extensions[extension.name] = values
    return payload | ({"extensions": extensions} if extensions else {})


def schema_payload(schema: type[Schema], form: MultiDict[str, str]) -> dict[str, Any]:
    """Return the submitted form of an action as the payload of its schema; empty optional fields are left out."""
    plans = field_plans(schema, object)
    found = _payload(plans, tuple(plans), form, "")
    return {name: value for name, value in found.items() if value is not None or plans[name].field.required}


def _fill(
    section: dict[str, Any],
    plans: Mapping[str, FieldPlan],
    item: Mapping[str, Any],
    errors: dict[str, str],
    prefix: str,
) -> None:
    currencies = _money_currencies(plans)
    for name in section.pop("names"):
        field = plans[name]
        if not field.writable or name in currencies or not is_asked(field):
            continue
        if field.kind is Kind.COLLECTION:
            section["subforms"].append(_subform(field, item.get(name) or [], errors, prefix))
        else:
            section["fields"].append(_control(field, item, errors, prefix, prefix + name))


def is_asked(field: FieldPlan) -> bool:
    """Say whether forms ask the actor for a field: its metadata may name a function that knows (``asked``)."""
    asked = field.field.metadata.get("asked")
    return asked is None or bool(asked())


def _split(section: dict[str, Any]) -> Iterable[dict[str, Any]]:
    subforms = section.pop("subforms")
    if section["fields"]:
        yield section
    for subform in subforms:
        yield {"title": subform.pop("title"), "fields": [], "subform": subform, "when": section.get("when")}


def _control(
    field: FieldPlan, item: Mapping[str, Any], errors: dict[str, str], prefix: str, name: str
) -> dict[str, Any]:
    value = item.get(field.name)
    if value is None and not field.field.required and "id" not in item:
        value = default_of(field)
    control: dict[str, Any] = {
        "name": name,
        "label": field.label,
        "kind": field.field.metadata.get("widget") or _WIDGETS.get(field.kind, field.kind.value),
        "value": _control_value(field, value),
        "required": field.field.required,
        "help": field.field.metadata.get("help"),
        "error": errors.pop(name, None),
        "wide": field.field.metadata.get("widget") == "textarea",
        "autocomplete": field.field.metadata.get("autocomplete"),
        "readonly": "id" in item and field.field.metadata.get("fixed"),
    }
    if isinstance(value, Mapping) and value.get("id") is None:
        # What the user may not see cannot be sent back: another name keeps the form from clearing it.
        control |= {"kind": "text", "name": f"{name}.hidden", "value": _("(hidden)"), "readonly": True}
    elif choose_from := field.field.metadata.get("choose_from"):
        chosen = str(control["value"] or "")
        possible = [{"value": "", "label": "–"}, *_options(choose_from(item), chosen, value)]
        control |= {"kind": "choice", "value": chosen, "choices": possible}
    elif field.kind is Kind.REFERENCE:
        control |= _reference(field, value)
    elif field.kind is Kind.CHOICE:
        choices = cast(fields.Choice, field.field).choices
        offered = field.field.metadata.get("offered", lambda _item: choices)(item)
        # What is stored stays possible.
        given = {key: label for key, label in choices.items() if key in offered or key == value}
        control["choices"] = [{"value": key, "label": label} for key, label in given.items()]
        if not field.field.required or (not value and field.field.metadata.get("deliberate")):
            control["choices"].insert(0, {"value": "", "label": "–"})
    elif field.kind is Kind.MULTICHOICE:
        choices = cast(MultiChoice, field.field).choices
        control["choices"] = [{"value": key, "label": label} for key, label in choices.items()]
    elif options := field.field.metadata.get("options"):
        control |= {"choices": _options(options(), value, value), "required": not field.field.allow_none}
    elif field.kind is Kind.MONEY:
        control |= _money(field, item, prefix, errors)
    elif field.kind is Kind.DATETIME:
        control["kind"] = "datetime"
    elif field.kind is Kind.BOOLEAN and field.field.allow_none:
        control |= _truth(value)
    return control


def _truth(value: bool | None) -> dict[str, Any]:
    """Return a yes or no that may be unknown as a choice: a box that is not ticked would answer no for everybody."""
    labels = {None: "–", True: _("Yes"), False: _("No")}
    choices = [{"value": text, "label": labels[truth]} for text, truth in TRUTHS.items()]
    return {"kind": "choice", "choices": choices, "value": next(t for t, v in TRUTHS.items() if v is value)}


def _options(offered: Mapping[str, str], value: Any, shown: Any) -> list[dict[str, Any]]:
    stored: dict[str, Any] = {value: shown.get("title") if isinstance(shown, Mapping) else shown} if value else {}
    found = {**stored, **offered}  # what is stored stays possible
    return [{"value": key, "label": label} for key, label in found.items()]


def _control_value(field: FieldPlan, value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return _here(value).replace(tzinfo=None).isoformat(timespec="minutes")
    if isinstance(value, dt.date):
        return value.isoformat()
    if field.kind in (Kind.NUMBER, Kind.MONEY):
        return _number(field, value)
    if field.kind is Kind.REFERENCE:
        return value.get("id") if isinstance(value, Mapping) else value
    return value


def _number(field: FieldPlan, value: Any) -> Any:
    if isinstance(value, Decimal):
        value = f"{value.normalize():f}" if field.kind is not Kind.MONEY else _amount_text(value)
    # What was sent and could be read is plain again; what could not is shown as it was typed.
    return value if value is None or isinstance(value, Misread) else number_text(str(value))


def _here(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(cast(dt.tzinfo, get_timezone()))
    except OverflowError:  # an odd time that is stored already: the form shows it in UTC
        return moment


def _amount_text(value: Decimal) -> str:
    text = f"{value:.4f}".rstrip("0")
    whole, _dot, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}" if decimals else whole


def _reference(field: FieldPlan, value: Any) -> dict[str, Any]:
    target = target_of(field)
    return {
        "text": value.get("title") if isinstance(value, Mapping) else value,
        "placeholder": _("Type to search"),
        "autocomplete_url": url_for(f"{target.endpoint}_suggest"),
    }


def _money(field: FieldPlan, item: Mapping[str, Any], prefix: str, errors: dict[str, str]) -> dict[str, Any]:
    from crm_kernel._internal.runtime import runtime_of

    name = cast(fields.Money, field.field).currency
    base = runtime_of(current_app).config.base_currency
    current = item.get(name) or base
    found = {"currency": current, "currency_name": prefix + name}
    if prefix + name in errors:
        found["error"] = errors.pop(prefix + name)
    return found | {"currencies": list(dict.fromkeys((base, current, *CURRENCIES)))}


def _money_currencies(plans: Mapping[str, FieldPlan]) -> set[str]:
    return {cast(fields.Money, p.field).currency for p in plans.values() if p.kind is Kind.MONEY and p.writable}


def _subform(field: FieldPlan, parts: list[Any], errors: dict[str, str], prefix: str) -> dict[str, Any]:
    collection = cast(fields.Collection, field.field)
    plans = {n: p for n, p in field_plans(collection.part_schema, collection.model).items() if p.writable}

    def row(part: Mapping[str, Any], index: str) -> list[dict[str, Any]]:
        path = f"{prefix}{field.name}.{index}."
        row_errors = {key.removeprefix(path): errors.pop(key) for key in list(errors) if key.startswith(path)}
        controls = [_control(plan, part, row_errors, "", plan.name) for plan in plans.values()]
        for control in controls:
            control["name"] = f"{prefix}{field.name}-{index}-{control['name']}"
        hidden = {"name": f"{prefix}{field.name}-{index}-id", "kind": "hidden", "value": part.get("id"), "label": ""}
        return [hidden, *controls] if part.get("id") else controls

    return {
        "title": field.label,
        "name": prefix + field.name,
        "rows": [row(part, str(index)) for index, part in enumerate(parts)],
        "blank": row({}, "__index__"),
        "add_label": field.field.metadata.get("add_label") or _("Add"),
        "item_label": field.label,
    }


def _payload(
    plans: Mapping[str, FieldPlan], names: Iterable[str], form: MultiDict[str, str], prefix: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    currencies = _money_currencies(plans)
    for name in names:
        field = plans[name]
        if not field.writable or name in currencies:
            continue
        if field.kind is Kind.COLLECTION:
            if any(key == prefix + name or key.startswith(f"{prefix}{name}-") for key in form):
                found[name] = _parts(field, form, prefix)
            continue
        if prefix + name not in form:
            continue  # a section that does not concern this record is not sent: what it holds stays
        # A check box sends an empty value before its own, so that "off" differs from "not on this form".
        found[name] = submitted(field, form.getlist(prefix + name))
        if field.kind is Kind.MONEY:
            currency = cast(fields.Money, field.field).currency
            found[currency] = form.get(prefix + currency) or missing
    return {name: value for name, value in found.items() if value is not missing}


def _parts(field: FieldPlan, form: MultiDict[str, str], prefix: str) -> list[dict[str, Any]]:
    collection = cast(fields.Collection, field.field)
    plans = {n: p for n, p in field_plans(collection.part_schema, collection.model).items() if p.writable}
    rows: dict[int, dict[str, str]] = {}
    for key, values in form.lists():
        match = _PART.match(key.removeprefix(prefix))
        if match and match["name"] == field.name:
            rows.setdefault(int(match["index"]), {})[match["field"]] = values[-1]
    parts = []
    for _index, row in sorted(rows.items()):
        part = {name: submitted(plan, [row[name]] if name in row else []) for name, plan in plans.items()}
        if row.get("id"):
            part["id"] = row["id"]
        typed = [n for n, p in plans.items() if p.kind not in (Kind.CHOICE, Kind.BOOLEAN) and part[n]]
        if typed or row.get("id"):
            parts.append({name: value for name, value in part.items() if value is not missing})
    return parts
