"""Says what a saved view shows: by which conditions, in which order and columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import gettext as _

from crm_kernel.access.field_access import seen_record
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records.calendars.spans import SPANS
from crm_kernel.records.columns import offered_columns
from crm_kernel.records.pages.filter_words import comparison_text, tree_text
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.reading import ListQuery, parse_query, restrictions
from crm_kernel.records.saved_views.models import CALENDAR, SavedView
from crm_kernel.records.saved_views.services import pairs_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_TOLD = ("record_type", "kind", "query", "columns", "calendar", "span")


def words_of(uow: UnitOfWork, view: SavedView) -> dict[str, Any]:
    """Return what the page of a view says of it: ``view_words`` of what the actor may see of the record."""
    seen = seen_record(uow.actor, "saved_view", view)
    return view_words(uow, {"id": view.uid, **{name: getattr(seen, name) for name in _TOLD}})


def view_words(uow: UnitOfWork, view: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``shown``, label and text of what a view holds, and ``open_url``; one query per reference in a condition.

    Without its record type's module there is no address, and a condition that cannot be asked any more is not told.
    """
    found = record_types().get(view.get("record_type") or "")
    if found is None:
        return {"shown": [], "open_url": None}
    plan = plan_of(found)
    shown = [*_asked(uow, plan, view.get("query") or ""), *_columns(uow, plan, view)]
    return {"shown": shown, "open_url": url_for(f"{found.endpoint}_list", view=str(view["id"]))}


def _asked(uow: UnitOfWork, plan: TypePlan, text: str) -> list[dict[str, str]]:
    pairs = pairs_of(text)
    try:
        query = parse_query(plan.record_type, pairs, actor=uow.actor)
        restrictions(uow, plan, query)
    except (InvalidInput, Forbidden):
        gone = _("(names what does not exist any more, or what you may not see)")
        return [{"label": _("Conditions"), "text": gone}]
    conditions = "; ".join(_conditions(uow, plan, query)) or _("every record")
    order = ", ".join(_sorted(sort.field.label, descending=sort.descending) for sort in query.order.keys)
    found = {_("Conditions"): conditions, _("Words"): query.text, _("Order"): order if dict(pairs).get("sort") else ""}
    return [{"label": label, "text": said} for label, said in found.items() if said]


def _conditions(uow: UnitOfWork, plan: TypePlan, query: ListQuery) -> list[str]:
    found = []
    for condition in query.conditions:
        if (field := plan.named(condition.field)) is not None:
            found.append(f"{field.label} {comparison_text(uow, field, condition)}")
    return found + ([] if query.tree is None else [tree_text(uow, plan, query.tree)])


def _sorted(label: Any, *, descending: bool) -> str:
    return str(_("%(field)s (descending)", field=label) if descending else label)


def _columns(uow: UnitOfWork, plan: TypePlan, view: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the columns that were chosen, and what a calendar goes by; nothing for what is usual."""
    known = offered_columns(plan, uow.actor)
    columns = ", ".join(str(known[name].label) for name in map(str, view.get("columns") or ()) if name in known)
    day = plan.fields.get(view.get("calendar") or "") if view.get("kind") == CALENDAR else None
    span = SPANS.get(view.get("span") or "", "") if view.get("kind") == CALENDAR else ""
    calendar = ", ".join(str(part) for part in (day.label if day else "", span) if part)
    found = {_("Columns"): columns, _("Calendar"): calendar}
    return [{"label": label, "text": said} for label, said in found.items() if said]
