"""What the list page shows of saved views: the tabs, the column chooser, and what can be done with the view at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import url_for
from flask_babel import gettext as _

from crm_kernel.access.policy import allowed
from crm_kernel.records.columns import chooser
from crm_kernel.records.pages.listing import address, replaced
from crm_kernel.records.plan import plan_of, record_types
from crm_kernel.records.saved_views.models import EVERYONE, LIST, PRIVATE, TEAM
from crm_kernel.records.saved_views.record import SHARING, team_choices
from crm_kernel.records.saved_views.services import may_share

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.records.saved_views.models import SavedView
    from crm_kernel.records.saved_views.opening import Opened
    from crm_kernel.unit_of_work import UnitOfWork


def view_context(uow: UnitOfWork, record_type: RecordType, found: Opened) -> dict[str, Any]:
    """Return the part of a list page's context that is about views; one query for whoever is in several teams."""
    return {
        "view_tabs": _tabs(record_type, found),
        "opened": found,
        "column_boxes": _boxes(uow, record_type, found) if found.kind == LIST else [],
        "column_keep": [pair for pair in found.arguments if pair[0] not in ("columns", "cursor")],
        "missing_columns": ", ".join(found.missing),
        "save": _saving(uow, record_type, found),
        "export_query": urlencode(_exported(found)),
        "columns_reset_url": address(record_type, replaced(found.arguments, columns=None)),
    }


def _exported(found: Opened) -> list[tuple[str, str]]:
    """Return the arguments of the export of what is shown: its rows, and its columns if somebody chose them."""
    names = dict.fromkeys("extensions" if "." in name else name for name in found.columns)
    return found.asked_state + ([("fields", ",".join(names))] if _own_columns(found) else [])


def _tabs(record_type: RecordType, found: Opened) -> list[dict[str, Any]]:
    if not found.views:
        return []
    plain = [("view", "all")] if found.first is not None else []
    every = {"label": _("All"), "url": address(record_type, plain), "active": found.view is None}
    return [every, *(_tab(record_type, view, found) for view in found.views)]


def _tab(record_type: RecordType, view: SavedView, found: Opened) -> dict[str, Any]:
    return {
        "label": view.name,
        "url": address(record_type, [("view", str(view.uid))]),
        "active": found.view is not None and found.view.id == view.id,
    }


def _boxes(uow: UnitOfWork, record_type: RecordType, found: Opened) -> list[dict[str, Any]]:
    """Return the column chooser's boxes, each shown one with the address that moves it one place to the front."""
    boxes = chooser(plan_of(record_type), uow.actor, found.columns)
    names = [box["name"] for box in boxes if box["shown"]]
    for place, box in enumerate(boxes):
        if box["shown"] and place:
            moved = [*names[: place - 1], names[place], names[place - 1], *names[place + 1 :]]
            box["earlier_url"] = address(record_type, replaced(found.arguments, columns=",".join(moved)))
    return boxes


def _saving(uow: UnitOfWork, record_type: RecordType, found: Opened) -> dict[str, Any] | None:
    """Return what can be saved and done; None for those who may not save views."""
    kept = record_types().get("saved_view")
    if kept is None or not uow.actor.may(kept.permission("create")):
        return None
    view = found.view
    mine = view is not None and allowed(uow.actor, kept.permission("update"), view)
    return {
        "url": url_for("views.save"),
        "fields": {
            "record_type": record_type.name,
            "kind": found.kind,
            "query": urlencode(found.asked_state),
            "calendar": found.calendar[0] or "",
            "span": found.calendar[1] or "",
            "columns": ",".join(found.columns) if _own_columns(found) else "",
        },
        "sharing": [
            {"value": value, "label": SHARING[value]}
            for value in (PRIVATE, TEAM, EVERYONE)
            if may_share(uow.actor, value)
        ],
        "teams": team_choices({}) if len(uow.actor.team_ids) > 1 else {},
        "change_url": url_for("views.save") if mine and found.changed else None,
        "edit_url": url_for(f"{kept.endpoint}_edit", uid=view.uid) if mine and view else None,
        "prefer_url": url_for("views.prefer_view", uid=view.uid) if view and uow.actor.user_id else None,
        "preferred": found.chosen and view is not None and view.id == found.first,
        "forget_url": url_for("views.prefer_none") if found.chosen else None,
    }


def _own_columns(found: Opened) -> bool:
    return "columns" in dict(found.arguments) or bool(found.view and found.view.columns)
