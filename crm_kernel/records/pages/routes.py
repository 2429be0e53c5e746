"""The routes of the record pages: each view parses, calls one service or query, and renders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.field_access import writable_plan
from crm_kernel.access.policy import authorize
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.api import body_of_request, etag_of, json_response, version_from_request
from crm_kernel.records.pages import boards, details, filter_builder, forms, listing
from crm_kernel.records.pages.defaults import without_blank_extensions
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import parse_query, read_one, record_of, sees, suggestions
from crm_kernel.records.record_type import Action, RecordType
from crm_kernel.records.services import create_record, delete_record, find_action, run_action, update_record
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import own_unit, permission

View = Callable[..., Any]


def register_pages(app: Flask) -> None:
    """Mount the pages of every record type of the application."""
    blueprint = Blueprint("records", __name__)
    for record_type in runtime_of(app).registry.all("record_types"):
        _mount(blueprint, record_type)
    app.register_blueprint(blueprint)


def _mount(blueprint: Blueprint, record_type: RecordType) -> None:
    base, name = f"/{record_type.path}", record_type.name.replace(".", "_")
    read, update = record_type.permission("read"), record_type.permission("update")

    def add(rule: str, suffix: str, view: View, needed: str, *methods: str) -> None:
        bound = permission(needed)(partial(view, record_type))
        bound.__name__ = suffix  # type: ignore[attr-defined]
        blueprint.add_url_rule(base + rule, f"{name}_{suffix}", bound, methods=methods or ("GET",))

    add("", "list", list_page, read)
    add("/suggest", "suggest", suggest, read)
    add("/filter", "filter", filter_page, read)
    add("/<uuid:uid>", "detail", detail_page, read)
    blueprint.add_url_rule(
        f"{base}/export.csv",
        f"{name}_export",
        own_unit(permission(record_type.permission("export"))(partial(export, record_type))),
    )
    if "create" in record_type.verbs:
        add("/new", "new", new_page, record_type.permission("create"), "GET", "POST")
    if "update" in record_type.verbs:
        add("/<uuid:uid>/edit", "edit", edit_page, update, "GET", "POST")
    if record_type.board is not None:
        add("/column", "column", column_cards, read)
        add("/<uuid:uid>/move", "move", move, update, "PATCH")
        add("/<uuid:uid>/drop", "drop", drop, update)
    if "delete" in record_type.verbs:
        add("/<uuid:uid>/delete", "delete", delete, record_type.permission("delete"), "POST")
    for action in record_type.actions:
        bound = permission(record_type.permission(action.name))(partial(action_page, record_type, action))
        blueprint.add_url_rule(
            f"{base}/<uuid:uid>/{action.name}", f"{name}_{action.name}", bound, methods=("GET", "POST")
        )


def list_page(record_type: RecordType) -> Any:
    """Show a page of the list, or the board with ``view=board``."""
    arguments = list(request.args.items(multi=True))
    canonical = listing.folded_operators(arguments)
    if canonical is not None:
        return redirect(listing.address(record_type, canonical))
    on_board = record_type.board is not None and request.args.get("view") == "board"
    own = [pair for pair in arguments if not on_board or pair[0] not in ("cursor", "limit")]
    query = parse_query(record_type, own, default_fields=_list_fields(record_type), actor=current_uow().actor)
    uow = current_uow()
    context = details.page_context(uow, record_type) | {
        "arguments": arguments,
        "builder_url": filter_builder.builder_address(record_type, arguments),
    }
    if on_board:
        context |= boards.board_context(uow, record_type, query, dict(arguments)) | {
            "filters": listing.filter_fields(uow, plan_of(record_type), query),
            "chips": listing.chips(uow, plan_of(record_type), query, arguments),
            "keep": {key: value for key, value in arguments if key in ("view", "filter")},
            "text": query.text,
        }
        return render_template("records/board.html", **context, views=_views(record_type, arguments, "board"))
    context |= listing.list_context(uow, record_type, query, arguments)
    return render_template("records/list.html", **context, views=_views(record_type, arguments, "list"))


def filter_page(record_type: RecordType) -> Any:
    """Show the filter builder: as a page, or as the part of one that a script asks for; lead to the list when done."""
    arguments = list(request.args.items(multi=True))
    uow = current_uow()
    context = filter_builder.builder_context(uow, record_type, arguments)
    if context["applied"]:
        return _go(context["target_url"])
    template = "records/filter_part.html" if request.headers.get("HX-Request") else "records/filter.html"
    return render_template(template, **details.page_context(uow, record_type), **context)


def column_cards(record_type: RecordType) -> str:
    """Show the next cards of one column of the board: the fragment that "Show more" puts in its place."""
    arguments = list(request.args.items(multi=True))
    own = [pair for pair in arguments if pair[0] not in ("column", "limit")]
    query = parse_query(record_type, own, default_fields=_list_fields(record_type), actor=current_uow().actor)
    context = boards.more_cards(current_uow(), record_type, query, dict(arguments))
    return render_template("records/board_column.html", **context)


def detail_page(record_type: RecordType, uid: UUID) -> str:
    """Show one record with its facts, panels and actions."""
    uow = current_uow()
    record = record_of(uow, record_type, uid)
    context = details.detail_context(uow, record_type, record, read_one(uow, record_type, uid))
    return render_template(record_type.detail_template, **context)


def new_page(record_type: RecordType) -> Any:
    """Show an empty form, or create what it sent."""
    uow, plan = current_uow(), plan_of(record_type)
    if request.method == "GET":
        return _form_page(record_type, details.prefilled(uow, plan, request.args), None, 200)
    payload = without_blank_extensions(plan, forms.payload_of(writable_plan(uow.actor, plan), request.form))
    try:
        with attempt(uow):
            record = create_record(uow, record_type, payload)
    except (InvalidInput, Conflict) as error:
        return _form_page(record_type, details.resubmitted(uow, plan, payload), error, error.status)
    flash(_("%(type)s created.", type=record_type.label), "success")
    return _go(_after(record_type, record.uid))


def edit_page(record_type: RecordType, uid: UUID) -> Any:
    """Show a record's form, or change it to what it sent."""
    uow, plan = current_uow(), plan_of(record_type)
    if request.method == "GET":
        authorize(uow.actor, record_type.permission("update"), record_of(uow, record_type, uid))
        return _form_page(record_type, read_one(uow, record_type, uid), None, 200)
    payload = forms.payload_of(writable_plan(uow.actor, plan), request.form)
    version = request.form.get("version", type=int)
    try:
        with attempt(uow):
            update_record(uow, record_type, uid, payload, version=version)
    except (InvalidInput, Conflict) as error:
        item = details.resubmitted(uow, plan, payload) | {"id": uid, "version": version}
        return _form_page(record_type, item, error, error.status)
    flash(_("%(type)s saved.", type=record_type.label), "success")
    return _go(_after(record_type, uid))


def delete(record_type: RecordType, uid: UUID) -> Any:
    """Delete a record and go back to its list."""
    try:
        with attempt(current_uow()):
            delete_record(current_uow(), record_type, uid, version=request.form.get("version", type=int))
    except Conflict as error:
        flash(str(error), "error")
        return _go(_after(record_type, uid))
    flash(_("%(type)s deleted.", type=record_type.label), "success")
    return _go(url_for(f"{record_type.endpoint}_list"))


def action_page(record_type: RecordType, action: Action, uid: UUID) -> Any:
    """Show an action's dialog, or perform it."""
    uow = current_uow()
    if request.method == "GET":
        record = record_of(uow, record_type, uid)
        return _action_form(record_type, action, uid, record.version, {}, None, 200)
    payload = forms.schema_payload(action.schema, request.form) if action.schema else {}
    version = request.form.get("version", type=int)
    try:
        with attempt(uow):
            record = run_action(uow, record_type, uid, action, payload, version=version)
    except (InvalidInput, Conflict) as error:
        # dialog.js shows a form again on 422 only
        status = 422 if request.headers.get("HX-Request") else error.status
        return _action_form(record_type, action, uid, version, payload, error, status)
    if request.args.get("answer") == "json":
        return json_response({"version": record.version}, headers={"ETag": etag_of(record.version)})
    flash(_("%(action)s: done.", action=action.label), "success")
    return _go(_after(record_type, uid))


def move(record_type: RecordType, uid: UUID) -> Response:
    """Move a card to another column: an ordinary update of the board's field."""
    payload = body_of_request()
    field = record_type.board.field if record_type.board else ""
    record = update_record(current_uow(), record_type, uid, {field: payload.get(field)}, version=version_from_request())
    return json_response({"version": record.version}, headers={"ETag": etag_of(record.version)})


def drop(record_type: RecordType, uid: UUID) -> Any:
    """Lead a refused drop to the dialog that asks what is missing."""
    field = record_type.board.field if record_type.board else ""
    name = boards.drop_dialog(current_uow(), record_type, uid, request.args.get(field, ""))
    find_action(record_type, name)
    return redirect(url_for(f"{record_type.endpoint}_{name}", uid=uid, answer="json"))


def suggest(record_type: RecordType) -> Response:
    """Answer a type-ahead with ids and titles."""
    return json_response(suggestions(current_uow(), record_type, request.args.get("q", "").strip()))


def export(record_type: RecordType) -> Response:
    """Stream the list with its filters as CSV."""
    from crm_kernel.records.exporting import csv_response

    return csv_response(record_type, [pair for pair in request.args.items(multi=True) if pair[0] != "view"])


def _form_page(record_type: RecordType, item: dict[str, Any], error: Exception | None, status: int) -> tuple[str, int]:
    plan, exists = plan_of(record_type), "id" in item
    errors = error.errors if isinstance(error, InvalidInput) else None
    form = forms.form_of(writable_plan(current_uow().actor, plan), item, errors, partial=exists)
    if error is not None and errors is None:
        form["message"] = str(error)
    context = details.form_context(record_type, item if exists else None)
    return render_template("records/form.html", form=form, action=request.full_path.rstrip("?"), **context), status


def _action_form(
    record_type: RecordType,
    action: Action,
    uid: UUID,
    version: int | None,
    values: Any,
    error: Exception | None,
    status: int,
) -> tuple[str, int]:
    errors = error.errors if isinstance(error, InvalidInput) else None
    form = forms.schema_form(action.schema, values, errors) if action.schema else {"sections": []}
    form["version"] = version
    if error is not None and errors is None:
        form["message"] = str(error)
    context = details.form_context(record_type, {"id": uid})
    page = render_template(
        "records/action.html", form=form, named_action=action, action=request.full_path.rstrip("?"), **context
    )
    return page, status


def _after(record_type: RecordType, uid: UUID) -> str:
    """Return where a saved form leads: to the record, or to the list when it was handed over to somebody else."""
    current_uow().session.flush()
    seen = sees(current_uow(), record_type, uid)
    return url_for(f"{record_type.endpoint}_detail", uid=uid) if seen else url_for(f"{record_type.endpoint}_list")


def _go(address: str) -> Any:
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)


def _views(record_type: RecordType, arguments: Any, current: str) -> list[dict[str, Any]]:
    if record_type.board is None:
        return []
    kept = [pair for pair in listing.replaced(arguments, view=None) if pair[0] != "sort"]
    return [
        {"label": _("List"), "icon": "list", "url": listing.address(record_type, kept), "active": current == "list"},
        {
            "label": _("Board"),
            "icon": "layout-kanban",
            "url": listing.address(record_type, [*kept, ("view", "board")]),
            "active": current == "board",
        },
    ]


def _list_fields(record_type: RecordType) -> tuple[str, ...]:
    plan = plan_of(record_type)
    record_type = plan.record_type
    currencies = [getattr(plan.fields[n].field, "currency", None) for n in record_type.columns]
    extra = ("extensions",) if any(extension.columns for extension in plan.extensions) else ()
    return tuple(dict.fromkeys((*record_type.columns, record_type.title, *(c for c in currencies if c), *extra)))
