"""The page that builds a filter by choosing from lists: works by plain GET requests, is quicker with a script.

Its address is its state, as a list's is: nothing is kept on the server. It counts what the filter finds so far, says it in
words, and gives the address of the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from flask import url_for
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.catalogue import SUM_OPERATORS, Catalogue, Entry, Relation, catalogue_of
from crm_kernel.records.filter_tree import Node, parse_text, parse_tree
from crm_kernel.records.filter_tree.periods import UNITS
from crm_kernel.records.pages.filter_drafts import ROOT, Draft, changed, draft_from, draft_of
from crm_kernel.records.pages.filter_reading import (
    DATES,
    Reading,
    chosen_entry,
    chosen_operator,
    read_draft,
    typed_again,
)
from crm_kernel.records.pages.filter_words import moment_labels, operator_label, period_labels, tree_text, unit_labels
from crm_kernel.records.pages.listing import address, count_text
from crm_kernel.records.pages.saying import choices_with, values_of
from crm_kernel.records.plan import Kind, plan_of, target_of
from crm_kernel.records.reading import count_of, parse_query
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

Arguments = Sequence[tuple[str, str]]


def builder_context(uow: UnitOfWork, record_type: RecordType, arguments: Arguments) -> dict[str, Any]:
    """Return the context of the builder: its parts, what it counts, and where it leads; one query for the count.

    Raises:
        InvalidInput: other arguments, which belong to the list, do not fit.
    """
    plan = plan_of(record_type)
    catalogue = catalogue_of(plan, uow.actor)
    kept = [
        pair for pair in arguments if pair[0] not in ("do", "filter", "cursor") and not pair[0].startswith(f"{ROOT}.")
    ]
    given = dict(arguments)
    draft = draft_from(arguments) or typed_again(
        draft_of(parse_text(plan, given["filter"], uow.actor) if given.get("filter") else None), catalogue
    )
    draft = changed(draft, given.get("do", ""))
    reading = read_draft(draft, catalogue)
    node, errors = _parsed(uow, record_type, reading)
    shown = ("as", "edited", "columns")
    base = parse_query(record_type, [pair for pair in kept if pair[0] not in shown], actor=uow.actor)
    target = address(record_type, [*kept, *_written(node)])
    return {
        "builder_url": url_for(f"{record_type.endpoint}_filter"),
        "kept": kept,
        "root": _view(draft, catalogue, ROOT, errors),
        "target_url": target if node is not None else None,
        "clear_url": address(record_type, kept),
        "applied": given.get("do") == "apply" and node is not None,
        "count_text": count_text(count_of(uow, record_type, replace(base, tree=node))) if node is not None else None,
        "words": tree_text(uow, plan, node) if node is not None and draft.parts else None,
        "problems": sum(map(len, errors.values())),
    }


def builder_address(record_type: RecordType, arguments: Arguments) -> str:
    """Return the address of the builder that shows a list's present filter."""
    from urllib.parse import urlencode

    base = url_for(f"{record_type.endpoint}_filter")
    kept = [pair for pair in arguments if pair[0] != "cursor"]
    return f"{base}?{urlencode(kept)}" if kept else base


def _parsed(uow: UnitOfWork, record_type: RecordType, reading: Reading) -> tuple[Node | None, dict[str, list[str]]]:
    try:
        return parse_tree(plan_of(record_type), reading.tree, uow.actor), {}
    except InvalidInput as error:
        return None, {reading.place_of(path): messages for path, messages in error.errors.items()}


def _written(node: Node | None) -> list[tuple[str, str]]:
    if node is None or not getattr(node, "parts", True):
        return []
    return [("filter", orjson.dumps(node.to_json()).decode())]


def _view(draft: Draft, catalogue: Catalogue, path: str, errors: Mapping[str, list[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {"path": path, "kind": draft.kind, "errors": errors.get(path, [])}
    if draft.kind == "condition":
        return found | _condition_view(draft, catalogue, path)
    inner = catalogue
    if draft.kind == "related":
        relations = catalogue.relations()
        relation = next(
            (r for r in relations if r.name == draft.first("relation")), relations[0] if relations else None
        )
        found |= _related_view(draft, relations, relation, path)
        inner = relation.rows if relation else catalogue
    found["join"] = _choice(f"{path}.join", _("Join"), draft.first("join", "all"), _join_labels())
    found["parts"] = [_view(part, inner, f"{path}.{n}", errors) for n, part in enumerate(draft.parts)]
    found["relates"] = bool(inner.relations())
    return found


def _condition_view(draft: Draft, catalogue: Catalogue, path: str) -> dict[str, Any]:
    entry = chosen_entry(draft, catalogue)
    offered = {
        e.name: _entry_label(e)
        for e in catalogue.fields()
        if e.kind != "id" or e is entry or draft.first("field") == "id"
    }
    name = entry.name if entry else draft.first("field")
    controls = [_deciding(f"{path}.field", _("Field"), name, offered)]
    if entry is None:
        return {"controls": controls}
    operator = chosen_operator(draft, entry)
    labels = {op: operator_label(op, entry.plan.kind) for op in entry.operators}
    controls.append(_deciding(f"{path}.op", _("Comparison"), operator, labels))
    return {"controls": [*controls, *_value_controls(draft, entry, operator, path)]}


def _value_controls(draft: Draft, entry: Entry, operator: str, path: str) -> list[dict[str, Any]]:
    name, value = f"{path}.value", draft.first("value")
    choices = values_of(entry.plan) if operator in ("eq", "ne", "in") else None
    if operator == "empty" or entry.plan.kind is Kind.BOOLEAN:
        return [_choice(name, _("Value"), value or "true", {"true": _("Yes"), "false": _("No")})]
    if choices is not None and operator == "in":
        picked = draft.texts.get("value", [])
        return [
            {
                "name": name,
                "label": _("Value"),
                "kind": "multichoice",
                "choices": choices_with(choices, picked),
                "value": picked,
            }
        ]
    if choices is not None:
        return [{**_choice(name, _("Value"), value, choices), "required": False}]
    if operator == "in":
        lines = "\n".join(draft.texts.get("value", []))
        return [{"name": name, "label": _("Values, one per line"), "kind": "textarea", "rows": 3, "value": lines}]
    if operator == "during":
        return _period_controls(draft, path, "", _("Period"), timed=entry.plan.kind is Kind.DATETIME)
    if entry.plan.kind in DATES:
        return _date_controls(draft, operator, path)
    return [_plain_control(entry, name, value)]


def _plain_control(entry: Entry, name: str, value: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "label": _("Value"), "kind": "text", "value": value}
    if entry.plan.kind in (Kind.NUMBER, Kind.MONEY):
        found["kind"] = "decimal"
    elif entry.plan.kind is Kind.REFERENCE:
        target = target_of(entry.plan)
        found |= {"kind": "reference", "autocomplete_url": url_for(f"{target.endpoint}_suggest")}
        if target.name == "user":
            found["choices"] = [{"value": "me", "label": _("me")}]
            found["text"] = _("me") if value == "me" else None
    return found


def _date_controls(draft: Draft, operator: str, path: str) -> list[dict[str, Any]]:
    mode = draft.first("mode", "date")
    day = {"name": f"{path}.value", "label": _("Date"), "kind": "date", "value": draft.first("value")[:10]}
    if operator in ("eq", "ne"):
        return [day]
    modes = {"date": _("the day"), "ago": _("ago"), "ahead": _("from now"), **moment_labels()}
    controls = [_deciding(f"{path}.mode", _("Counted from"), mode, modes)]
    if mode == "date":
        return [*controls, day]
    return [*controls, *_span_controls(draft, path, "", timed=True)] if mode in ("ago", "ahead") else controls


def _period_controls(draft: Draft, path: str, prefix: str, label: str, *, timed: bool) -> list[dict[str, Any]]:
    value = draft.first(f"{prefix}value", "" if prefix else "today")
    if value[:1].isdigit():
        value = "day"
    windows = {"last": _("the last …"), "next": _("the next …"), "day": _("the day")}
    options = {**({"": _("at any time")} if prefix else {}), **windows, **period_labels()}
    controls = [_deciding(f"{path}.{prefix}value", label, value, options)]
    if value in ("last", "next"):
        return [*controls, *_span_controls(draft, path, prefix, timed=timed)]
    if value == "day":
        day = {
            "name": f"{path}.{prefix}day",
            "label": _("Date"),
            "kind": "date",
            "value": draft.first(f"{prefix}day")[:10],
        }
        return [*controls, day]
    return controls


def _span_controls(draft: Draft, path: str, prefix: str, *, timed: bool) -> list[dict[str, Any]]:
    units = {unit: label for unit, label in unit_labels().items() if timed or unit != UNITS[0]}
    number = draft.first(f"{prefix}number", "30")
    return [
        {
            "name": f"{path}.{prefix}number",
            "label": _("Number"),
            "kind": "number",
            "min": 1,
            "step": 1,
            "value": number,
        },
        _choice(f"{path}.{prefix}unit", _("Unit"), draft.first(f"{prefix}unit", "days"), units),
    ]


def _related_view(draft: Draft, relations: Sequence[Relation], relation: Relation | None, path: str) -> dict[str, Any]:
    offered = {found.name: found.label for found in relations}
    chosen = relation.name if relation else ""
    controls = [_deciding(f"{path}.relation", _("Related records"), chosen, offered)]
    if relation is None:
        return {"controls": controls}
    sums = [entry for entry in relation.rows.fields() if entry.summable]
    measures = {"count": _("number"), **{f"sum:{e.name}": _("sum of %(field)s", field=e.plan.label) for e in sums}}
    measure = draft.first("measure", "count")
    measure = measure if measure in measures else "count"
    controls.append(_deciding(f"{path}.measure", _("Measure"), measure, measures))
    controls += _sum_controls(draft, relation, measure, path) if measure != "count" else _count_controls(draft, path)
    return {"controls": controls + _when_controls(draft, relation, path)}


def _count_controls(draft: Draft, path: str) -> list[dict[str, Any]]:
    least, most = draft.first("least"), draft.first("most")
    return [
        {
            "name": f"{path}.least",
            "label": _("At least"),
            "kind": "number",
            "min": 0,
            "step": 1,
            "value": least,
            "shown": True,
        },
        {
            "name": f"{path}.most",
            "label": _("At most"),
            "kind": "number",
            "min": 0,
            "step": 1,
            "value": most,
            "shown": True,
        },
    ]


def _sum_controls(draft: Draft, relation: Relation, measure: str, path: str) -> list[dict[str, Any]]:
    entry = relation.rows.field(measure.removeprefix("sum:"))
    labels = {op: operator_label(op) for op in SUM_OPERATORS}
    controls = [
        _choice(f"{path}.op", _("Comparison"), draft.first("op", "gte"), labels),
        {"name": f"{path}.value", "label": _("Value"), "kind": "decimal", "value": draft.first("value")},
    ]
    if entry is not None and entry.currency:
        currency = draft.first("currency")
        controls.append(
            {
                "name": f"{path}.currency",
                "label": _("Currency"),
                "kind": "text",
                "maxlength": 3,
                "value": currency,
                "shown": True,
            }
        )
    return controls


def _when_controls(draft: Draft, relation: Relation, path: str) -> list[dict[str, Any]]:
    dates = {entry.name: entry.plan.label for entry in relation.dates()}
    if not dates:
        return []
    usual = relation.usual_date()
    on = draft.first("on") or usual or next(iter(dates))
    timed = any(entry.name == on and entry.plan.kind is Kind.DATETIME for entry in relation.dates())
    controls = _period_controls(draft, path, "within_", _("When"), timed=timed)
    if draft.first("within_value") and len(dates) > 1:
        controls.append(_choice(f"{path}.on", _("By the date"), on, dates))
    return controls


def _deciding(name: str, label: str, value: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a choice that decides which other controls there are."""
    return _choice(name, label, value, options) | {"decides": True}


def _choice(name: str, label: str, value: str, options: Mapping[str, Any]) -> dict[str, Any]:
    choices = choices_with(options, [value])
    return {"name": name, "label": label, "kind": "choice", "choices": choices, "value": value, "required": True}


def _entry_label(entry: Entry) -> str:
    return f"{entry.group} · {entry.plan.label}" if entry.group else str(entry.plan.label)


def _join_labels() -> Mapping[str, Any]:
    return {"all": _("all of these hold"), "any": _("at least one of these holds"), "none": _("none of these holds")}
