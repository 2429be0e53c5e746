"""The list of a record type as a page: as a table or a board, through a saved view or as its address asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import redirect, render_template, request
from flask_babel import gettext as _

from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records.calendars.choosing import calendars_of
from crm_kernel.records.columns import fields_for
from crm_kernel.records.pages import boards, calendars, details, filter_builder, listing, refused
from crm_kernel.records.pages.bulk import bulk_offer
from crm_kernel.records.pages.going import go
from crm_kernel.records.pages.view_tabs import view_context
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import ListQuery, parse_query
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.saved_views.models import BOARD, CALENDAR, LIST
from crm_kernel.records.saved_views.opening import Opened, opened
from crm_kernel.records.saved_views.services import CALENDAR_ONLY, problem_text
from crm_kernel.unit_of_work import current_uow


def list_page(record_type: RecordType) -> Any:
    """Show a page of the list or of the board; without arguments the view that comes first for the reader."""
    arguments = list(request.args.items(multi=True))
    plan = plan_of(record_type)
    try:
        canonical = listing.folded_operators(arguments, listing.number_fields(plan))
    except InvalidInput as error:
        if not refused.is_about_filters(current_uow().actor, plan, error.errors):
            raise
        return _refused_page(record_type, arguments, error), error.status
    if canonical is not None:
        return redirect(listing.address(record_type, canonical))
    found = opened(current_uow(), record_type, arguments)
    try:
        query = _query(record_type, found)
        context = _context(record_type, found, query)
    except (InvalidInput, Forbidden) as error:
        if found.view is not None and not request.args.get("edited"):
            return _inert_page(record_type, found, problem_text(error))
        if isinstance(error, InvalidInput) and refused.is_about_filters(current_uow().actor, plan, error.errors):
            return _refused_page(record_type, found.arguments, error), error.status
        raise
    return render_template(f"records/{found.kind}.html", **context)


def filter_page(record_type: RecordType) -> Any:
    """Show the filter builder: as a page, or as the part of one that a script asks for; lead to the list when done."""
    arguments = list(request.args.items(multi=True))
    uow = current_uow()
    context = filter_builder.builder_context(uow, record_type, arguments)
    if context["applied"]:
        return go(context["target_url"])
    template = "records/filter_part.html" if request.headers.get("HX-Request") else "records/filter.html"
    return render_template(template, **details.page_context(uow, record_type), **context)


def column_cards(record_type: RecordType) -> str:
    """Show the next cards of one column of the board: the fragment that "Show more" puts in its place."""
    arguments = list(request.args.items(multi=True))
    own = [pair for pair in arguments if pair[0] not in ("column", "limit")]
    query = parse_query(record_type, own, actor=current_uow().actor)
    context = boards.more_cards(current_uow(), record_type, query, dict(arguments))
    return render_template("records/board_column.html", **context)


def _query(record_type: RecordType, found: Opened) -> ListQuery:
    asked = [pair for pair in found.asked if found.kind == LIST or pair[0] not in ("cursor", "limit")]
    names = fields_for(plan_of(record_type), found.columns)
    return parse_query(record_type, asked, default_fields=names, actor=current_uow().actor)


def _context(record_type: RecordType, found: Opened, query: ListQuery) -> dict[str, Any]:
    uow, plan = current_uow(), plan_of(record_type)
    context = details.page_context(uow, record_type) | {
        "arguments": found.arguments,
        "builder_url": filter_builder.builder_address(record_type, found.arguments),
        "views": _switch(record_type, found),
        **view_context(uow, record_type, found),
    }
    if found.kind == LIST:
        context |= listing.list_context(uow, record_type, query, found.arguments, found.columns)
        return context | {"bulk": bulk_offer(record_type, urlencode(found.asked_state), context["count"])}
    kept = ("view", "as", "edited", "calendar", "span", "day", "filter")
    if found.kind == CALENDAR:
        context |= calendars.calendar_context(uow, record_type, query, found)
    else:
        context |= boards.board_context(uow, record_type, query, dict(found.asked))
    return context | {
        "filters": listing.filter_fields(uow, plan, query),
        "chips": listing.chips(uow, plan, query, found.arguments),
        "keep": {key: value for key, value in found.arguments if key in {*kept, *listing.carried(plan, query)}},
        "clear_url": listing.address(record_type, [pair for pair in found.arguments if pair[0] in kept[:-1]]),
        "text": query.text,
    }


def _refused_page(record_type: RecordType, arguments: listing.Arguments, error: InvalidInput) -> str:
    """Show the list without rows, with what cannot be read in its place in the filter bar."""
    uow, plan = current_uow(), plan_of(record_type)
    rest = refused.without(arguments, error.errors)
    rest = listing.folded_operators(rest, listing.number_fields(plan)) or rest
    found = replace(opened(uow, record_type, rest), kind=LIST)
    query = _query(record_type, found)
    context = details.page_context(uow, record_type) | {
        "arguments": found.arguments,
        "builder_url": filter_builder.builder_address(record_type, found.arguments),
        "views": _switch(record_type, found),
        **view_context(uow, record_type, found),
        **listing.frame_context(uow, record_type, query, found.arguments, found.columns),
        "keep": refused.kept(plan, found.arguments, listing.carried(plan, query)),
        "bulk": None,
    }
    problems = refused.shown_again(plan, context["filters"], arguments, error.errors)
    return render_template("records/list.html", **context, refused=problems)


def _inert_page(record_type: RecordType, found: Opened, problem: str) -> str:
    """Show that a view cannot be shown any more, why, and what can be done; nothing of its rows."""
    context = details.page_context(current_uow(), record_type) | view_context(current_uow(), record_type, found)
    return render_template("records/view_inert.html", **context, problem=problem)


def _switch(record_type: RecordType, found: Opened) -> list[dict[str, Any]]:
    """Return the ways to show the list; a board and a calendar have an order of their own."""
    gone = ("as", "view", "sort", *CALENDAR_ONLY)
    kept = [pair for pair in listing.replaced(found.arguments, cursor=None) if pair[0] not in gone]
    named = [("view", str(found.view.uid))] if found.view else []

    def entry(label: str, icon: str, kind: str) -> dict[str, Any]:
        shown = [*named, *kept, ("as", kind)] if found.view else [*kept, *_plain(found, kind, kept)]
        return {"label": label, "icon": icon, "url": listing.address(record_type, shown), "active": found.kind == kind}

    others = []
    if record_type.board is not None:
        others.append(entry(_("Board"), "layout-kanban", BOARD))
    if calendars_of(plan_of(record_type), current_uow().actor):
        others.append(entry(_("Calendar"), "calendar", CALENDAR))
    return [entry(_("List"), "list", LIST), *others] if others else []


def _plain(found: Opened, kind: str, kept: listing.Arguments) -> list[tuple[str, str]]:
    if kind != LIST:
        return [("view", kind)]
    return [("view", "all")] if found.first is not None and not kept else []
