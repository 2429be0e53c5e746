"""The list page of a record type: the address is its state; six queries at most, one more per extension."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from crm_kernel.access.policy import sees_all, visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.catalogue import OPERATORS
from crm_kernel.records.columns import column_plan
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.filter_tree import Comparison, Relative
from crm_kernel.records.filters import filterable
from crm_kernel.records.numbers import Misread, number_text, typed_number
from crm_kernel.records.pages.filter_words import comparison_text, operator_label, tree_text
from crm_kernel.records.pages.one_field import editable_fields
from crm_kernel.records.pages.presenting import cell_kind, cell_of, plain_text, record_url, title_of
from crm_kernel.records.pages.saying import choices_with, values_of
from crm_kernel.records.pages.sorting import sort_with, sorting
from crm_kernel.records.paging import sortable
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, target_of
from crm_kernel.records.reading import Count, ListQuery, count_of, page_of
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

Arguments = Sequence[tuple[str, str]]

#: Arguments that stay when conditions are cleared.
KEPT = ("sort", "view", "as", "columns", "edited")
#: Kinds that are filtered with another kind's control.
_FILTER_KINDS: Mapping[Kind, str] = {
    Kind.EMAIL: "text",
    Kind.URL: "text",
    Kind.MONEY: "decimal",
    Kind.NUMBER: "decimal",
}


def list_context(
    uow: UnitOfWork, record_type: RecordType, query: ListQuery, arguments: Arguments, columns: Sequence[str]
) -> dict[str, Any]:
    """Return the template's context for one page of a list."""
    plan = plan_of(record_type)
    page, count = page_of(uow, record_type, query), count_of(uow, record_type, query)
    return frame_context(uow, record_type, query, arguments, columns) | {
        "rows": _editable(uow, plan, [_row(plan, item, columns) for item in page.items]),
        "next_url": address(record_type, replaced(arguments, cursor=page.next_cursor)) if page.next_cursor else None,
        "first_url": address(record_type, replaced(arguments, cursor=None)) if query.cursor else None,
        "count_text": count_text(count),
        "count": count,
    }


def frame_context(
    uow: UnitOfWork, record_type: RecordType, query: ListQuery, arguments: Arguments, columns: Sequence[str]
) -> dict[str, Any]:
    """Return the context of a list around its rows: columns, order, filters; reads none of them."""
    plan = plan_of(record_type)
    return {
        "columns": [_column(plan, name, query, arguments) for name in columns],
        "sorting": sorting(uow, plan, query, arguments),
        "rows": [],
        "filters": filter_fields(uow, plan, query),
        "chips": chips(uow, plan, query, arguments),
        "clear_url": address(record_type, [pair for pair in arguments if pair[0] in KEPT]),
        "keep": {key: value for key, value in arguments if key in {*KEPT, "filter", *carried(plan, query)}},
        "text": query.text,
        "missing": None
        if record_type.listed_for(uow.actor)
        else record_type.permission(record_type.seen_with or "read"),
        "filtered": bool(query.conditions or query.text or query.tree),
    }


def address(record_type: RecordType, arguments: Arguments) -> str:
    """Return the list's address with these arguments, in order."""
    base = url_for(f"{record_type.endpoint}_list")
    return f"{base}?{urlencode(list(arguments))}" if arguments else base


def replaced(arguments: Arguments, **changes: str | None) -> list[tuple[str, str]]:
    """Return the arguments with some replaced, or removed by None; any change but of the cursor starts at page one."""
    kept = [pair for pair in arguments if pair[0] not in changes and pair[0] != "cursor"]
    return kept + [(name, value) for name, value in changes.items() if value is not None]


def count_text(count: Count) -> str:
    """Return how many records a list has, as people read it."""
    if count.exact:
        return cast(str, ngettext("%(num)s record", "%(num)s records", count.number))
    return str(_("More than %(number)s records", number=plain_text(count.number)))


def folded_operators(arguments: Arguments, numbers: Container[str] = ()) -> list[tuple[str, str]] | None:
    """Return the canonical arguments of a submitted filter form (``amount.op=gte&amount=5`` → ``amount__gte=5``).

    None if they are canonical already. Several values of a choice become one ``in``. The form's ``numbers`` are typed as the
    reader's language writes them, the address holds them plain.

    Raises:
        InvalidInput: some are no numbers; names each field.
    """
    operators = {key.removesuffix(".op"): value for key, value in arguments if key.endswith(".op")}
    values: dict[str, list[str]] = {}
    for key, value in arguments:
        if not key.endswith(".op") and value != "":
            values.setdefault(key, []).append(value)
    if not operators and all(len(found) == 1 for found in values.values()) and len(values) == len(arguments):
        return None
    folded = []
    typed = {
        name: [typed_number(text) for text in values[name]]
        for name in values
        if name in {*operators} and name in numbers
    }
    errors = {name: [text.expected for text in found if isinstance(text, Misread)] for name, found in typed.items()}
    if any(errors.values()):
        raise InvalidInput({name: said for name, said in errors.items() if said})
    for name, found in {**values, **typed}.items():
        operator = "in" if len(found) > 1 and name != "columns" else operators.get(name, "eq")
        folded.append((name if operator == "eq" else f"{name}__{operator}", ",".join(found)))
    return folded


def number_fields(plan: TypePlan) -> set[str]:
    """Return the names of the filters that compare numbers."""
    return {name for name, field in filterable(plan).items() if field.kind in (Kind.NUMBER, Kind.MONEY)}


def filter_fields(uow: UnitOfWork, plan: TypePlan, query: ListQuery) -> list[dict[str, Any]]:
    """Return the filter bar's description of every filterable field, with what is set now."""
    beside = carried(plan, query)
    active = {condition.field: condition for condition in query.conditions if condition.parameter not in beside}
    hidden = hidden_from(uow.actor, plan)
    return [
        _filter_field(name, field, active.get(name), pinned=number < 2 and field.kind in (Kind.CHOICE, Kind.REFERENCE))
        for number, (name, field) in enumerate(filterable(plan).items())
        if name not in hidden and field.kind is not Kind.COLLECTION and _offered(uow, field)
    ]


def carried(plan: TypePlan, query: ListQuery) -> set[str]:
    """Return the arguments that no control of the filter bar takes, such as several numbers; the form carries them along."""
    known = filterable(plan)
    return {c.parameter for c in query.conditions if c.operator not in _taken(known[c.field])}


def _taken(field: FieldPlan) -> tuple[str, ...]:
    """Return the operators of a field that its control in the filter bar can send again."""
    if _is_chosen(field):
        return ("eq",) if field.kind in (Kind.BOOLEAN, Kind.REFERENCE) else ("eq", "in")
    return tuple(operator for operator in OPERATORS[field.kind] if operator not in ("in", "empty", "during"))


def _is_chosen(field: FieldPlan) -> bool:
    """Say whether a field's control offers values instead of a comparison."""
    return field.kind in (Kind.BOOLEAN, Kind.REFERENCE) or values_of(field) is not None


def chips(uow: UnitOfWork, plan: TypePlan, query: ListQuery, arguments: Arguments) -> list[dict[str, Any]]:
    """Return the active filters as removable chips; referenced records' titles cost one query per reference."""
    found = [
        {
            "label": filterable(plan)[condition.field].label,
            "text": comparison_text(uow, filterable(plan)[condition.field], condition),
            "remove_url": address(plan.record_type, replaced(arguments, **{condition.parameter: None})),
        }
        for condition in query.conditions
    ]
    if query.tree is not None:
        remove = address(plan.record_type, replaced(arguments, filter=None))
        found.append({"label": _("Conditions:"), "text": tree_text(uow, plan, query.tree), "remove_url": remove})
    return found


def _column(plan: TypePlan, name: str, query: ListQuery, arguments: Arguments) -> dict[str, Any]:
    field = column_plan(plan, name)
    key = name if "." in name else field.field.metadata.get("sort_by", name)
    mine = next((sort for sort in query.order.keys if sort.field.name == key), None)
    direction = ("desc" if mine.descending else "asc") if mine else None
    return {
        "name": name,
        "label": field.label,
        "kind": cell_kind(field),
        "sortable": key in sortable(plan),
        "sort_url": address(plan.record_type, replaced(arguments, sort=f"-{key}" if direction == "asc" else key)),
        "then_url": address(plan.record_type, replaced(arguments, sort=sort_with(query.order, key))),
        "direction": direction,
        "rank": query.order.names.index(key) + 1 if mine and len(query.order.keys) > 1 else None,
        "primary": name == plan.record_type.title,
    }


def _row(plan: TypePlan, item: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {
        "id": item["id"],
        "url": record_url(plan.record_type, item["id"]),
        "label": title_of(plan, item),
        "cells": {name: _cell(plan, name, item) for name in columns},
    }


def _editable(uow: UnitOfWork, plan: TypePlan, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the addresses that edit their fields, where the actor may; one query if he may not all."""
    record_type = plan.record_type
    if not rows or "update" not in record_type.verbs or not uow.actor.may(record_type.permission("update")):
        return rows
    names = editable_fields(plan, uow.actor).keys() - {record_type.title}
    mine = None if sees_all(uow.actor, record_type, "update") else _changeable(uow, record_type, rows)
    for row in rows:
        if mine is None or row["id"] in mine:
            for name in names & row["cells"].keys():
                row["cells"][name]["edit_url"] = url_for(f"{record_type.endpoint}_field", uid=row["id"], name=name)
    return rows


def _changeable(uow: UnitOfWork, record_type: RecordType, rows: Sequence[Mapping[str, Any]]) -> set[Any]:
    uid = record_type.model.uid
    shown = uid.in_([row["id"] for row in rows])
    return set(uow.session.scalars(sa.select(uid).where(shown, visible(uow.actor, record_type, "update"))))


def _cell(plan: TypePlan, name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    extension, dot, _own = name.partition(".")
    values = (item.get("extensions") or {}).get(extension) or {} if dot else item
    return cell_of(column_plan(plan, name), values)


def _offered(uow: UnitOfWork, field: FieldPlan) -> bool:
    """Say whether a filter can be used: one on records the actor may not read could only be guessed at."""
    return field.kind is not Kind.REFERENCE or uow.actor.may(target_of(field).permission("read"))


def _filter_field(name: str, field: FieldPlan, active: Comparison | None, *, pinned: bool) -> dict[str, Any]:
    operators = [op for op in OPERATORS[field.kind] if op != "in" or field.kind is Kind.CHOICE]
    if _is_chosen(field):
        operators = ["eq"]
    found: dict[str, Any] = {
        "name": name,
        "label": field.label,
        "kind": _FILTER_KINDS.get(field.kind, field.kind.value),
        "pinned": pinned,
        "operators": [
            {"value": op, "label": operator_label(op, field.kind)} for op in operators if op not in ("empty", "during")
        ],
        "operator": active.operator if active else None,
        "value": _typed_again(field, active.value) if active else None,
    }
    if (values := values_of(field)) is not None:
        found["kind"] = "choice"
        found["value"] = (list(active.value) if isinstance(active.value, tuple) else [active.value]) if active else None
        found["choices"] = choices_with(values, found["value"] or ())
    if field.kind is Kind.REFERENCE:
        found["autocomplete_url"] = url_for(f"{target_of(field).endpoint}_suggest")
    return found


def _typed_again(field: FieldPlan, value: Any) -> Any:
    """Return a condition's value as its control takes it: numbers in the reader's language, others as the address has them."""
    if field.kind in (Kind.NUMBER, Kind.MONEY) and isinstance(value, str):
        return number_text(value)
    return value.text if isinstance(value, Relative) else value
