"""The menu that sorts a list by several fields, and the addresses behind its links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import url_for

from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.paging import MOST_SORTS, Order, SortKey, sortable
from crm_kernel.records.plan import TypePlan
from crm_kernel.records.reading import ListQuery

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

Arguments = Sequence[tuple[str, str]]


def sort_with(order: Order, name: str) -> str:
    """Return an order with a field added at its end, or turned round if it is in it already."""
    parts = [_turned(sort) if sort.field.name == name else sort.parameter for sort in order.keys]
    return ",".join(parts if name in order.names else [*parts[: MOST_SORTS - 1], name])


def sorting(uow: UnitOfWork, plan: TypePlan, query: ListQuery, arguments: Arguments) -> dict[str, Any]:
    """Return the menu: the fields of the order, each to be turned round or left out, and those that can be added."""
    order, hidden = query.order, hidden_from(uow.actor, plan)
    kept = [pair for pair in arguments if pair[0] not in ("sort", "cursor")]

    def url(parts: Sequence[str]) -> str:
        own = [*kept, ("sort", ",".join(parts))] if parts else kept
        base = url_for(f"{plan.record_type.endpoint}_list")
        return f"{base}?{urlencode(own)}" if own else base

    parts = [sort.parameter for sort in order.keys]
    chosen = [
        {
            "label": sort.field.label,
            "direction": "desc" if sort.descending else "asc",
            "turn_url": url([*parts[:place], _turned(sort), *parts[place + 1 :]]),
            "remove_url": url([*parts[:place], *parts[place + 1 :]]) if len(parts) > 1 else None,
        }
        for place, sort in enumerate(order.keys)
    ]
    free = [name for name in sortable(plan) if name not in (*order.names, *hidden)] if len(parts) < MOST_SORTS else []
    others = [{"label": _label(plan, name), "url": url([*parts, name])} for name in free]
    return {"chosen": chosen, "others": others}


def _turned(sort: SortKey) -> str:
    return sort.field.name if sort.descending else f"-{sort.field.name}"


def _label(plan: TypePlan, name: str) -> Any:
    field = plan.named(name)
    return field.label if field else name
