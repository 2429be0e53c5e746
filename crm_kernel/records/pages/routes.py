"""The routes of the record pages: each view parses, calls one service or query, and renders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.field_access import writable_plan
from crm_kernel.access.policy import authorize
from crm_kernel.errors import Conflict, InvalidInput, StaleVersion
from crm_kernel.records.api import body_of_request, etag_of, json_response, version_from_request
from crm_kernel.records.bulk_actions.api import changeable
from crm_kernel.records.pages import boards, details, forms, lists
from crm_kernel.records.pages.bulk import bulk_page
from crm_kernel.records.pages.defaults import without_blank_extensions
from crm_kernel.records.pages.fields import field_page, undo_page
from crm_kernel.records.pages.going import go
from crm_kernel.records.pages.meanwhile import collision
from crm_kernel.records.palette.finding import remembered
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import read_one, record_of, suggestions
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

    add("", "list", lists.list_page, read)
    add("/suggest", "suggest", suggest, read)
    if changeable(record_type):
        add("/bulk", "bulk", bulk_page, read, "POST")
    add("/filter", "filter", lists.filter_page, read)
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
        add("/<uuid:uid>/field/<name>", "field", field_page, update, "GET", "POST")
        add("/<uuid:uid>/undo/<change>", "undo", undo_page, update, "GET", "POST")
    if record_type.board is not None:
        add("/column", "column", lists.column_cards, read)
        add("/<uuid:uid>/move", "move", move, update, "PATCH")
        add("/<uuid:uid>/drop", "drop", drop, update)
    if "delete" in record_type.verbs:
        add("/<uuid:uid>/delete", "delete", delete, record_type.permission("delete"), "POST")
    for action in record_type.actions:
        bound = permission(record_type.permission(action.name))(partial(action_page, record_type, action))
        blueprint.add_url_rule(
            f"{base}/<uuid:uid>/{action.name}", f"{name}_{action.name}", bound, methods=("GET", "POST")
        )


def detail_page(record_type: RecordType, uid: UUID) -> str:
    """Show one record with its facts, panels and actions."""
    uow = current_uow()
    record = record_of(uow, record_type, uid)
    if uow.actor.kind == "user":
        session["crm_recent"] = remembered(session.get("crm_recent"), record_type.name, uid)
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
    return go(details.after(record_type, record.uid))


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
    except StaleVersion as error:
        found = collision(uow, plan, uid, payload)
        item = _typed(record_type, uid, payload) | {"version": found.version if found else version}
        told = InvalidInput(found.differences) if found else error
        return _form_page(record_type, item, told, error.status, found.message if found else None)
    except (InvalidInput, Conflict) as error:
        item = _typed(record_type, uid, payload) | {"version": version}
        return _form_page(record_type, item, error, error.status)
    flash(_("%(type)s saved.", type=record_type.label), "success")
    return go(details.after(record_type, uid))


def delete(record_type: RecordType, uid: UUID) -> Any:
    """Delete a record and go back to its list."""
    try:
        with attempt(current_uow()):
            delete_record(current_uow(), record_type, uid, version=request.form.get("version", type=int))
    except Conflict as error:
        flash(str(error), "error")
        return go(details.after(record_type, uid))
    flash(_("%(type)s deleted.", type=record_type.label), "success")
    return go(url_for(f"{record_type.endpoint}_list"))


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
    return go(details.after(record_type, uid))


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

    return csv_response(
        record_type, [pair for pair in request.args.items(multi=True) if pair[0] not in ("as", "edited")]
    )


def _typed(record_type: RecordType, uid: UUID, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a record as its refused form shows it: what was typed, and what is stored of fields that were not sent."""
    uow = current_uow()
    return read_one(uow, record_type, uid) | details.resubmitted(uow, plan_of(record_type), payload)


def _form_page(
    record_type: RecordType, item: dict[str, Any], error: Exception | None, status: int, message: str | None = None
) -> tuple[str, int]:
    plan, exists = plan_of(record_type), "id" in item
    errors = error.errors if isinstance(error, InvalidInput) else None
    form = forms.form_of(writable_plan(current_uow().actor, plan), item, errors, partial=exists)
    if message or (error is not None and errors is None):
        form["message"] = message or str(error)
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
