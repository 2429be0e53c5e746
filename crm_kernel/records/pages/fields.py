"""Editing one field in place, from a list or a page, and taking the change back: dialogs, or pages without scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, flash, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup

from crm_kernel.access.field_access import writable_plan
from crm_kernel.access.policy import authorize
from crm_kernel.errors import Conflict, InvalidInput, NotFound, StaleVersion
from crm_kernel.records.columns import column_plan
from crm_kernel.records.pages import details, forms
from crm_kernel.records.pages.going import go
from crm_kernel.records.pages.one_field import editable_fields, one_field_plan, without_titles
from crm_kernel.records.pages.presenting import cell_of
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.reading import read_one, record_of
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.services import update_record
from crm_kernel.records.undo import undo_change
from crm_kernel.unit_of_work import attempt, current_uow


def field_page(record_type: RecordType, uid: UUID, name: str) -> Any:
    """Show the form of one field, or change it to what was sent; a change made meanwhile is shown and not overwritten."""
    uow, plan = current_uow(), plan_of(record_type)
    if name not in editable_fields(plan, uow.actor):
        raise NotFound(_("There is no field %(name)s that you may change.", name=name))
    narrow = one_field_plan(writable_plan(uow.actor, plan), name)
    if request.method == "GET":
        authorize(uow.actor, record_type.permission("update"), record_of(uow, record_type, uid))
        return _shown(record_type, uid, name, read_one(uow, record_type, uid), None)
    payload = forms.payload_of(narrow, request.form)
    try:
        with attempt(uow):
            update_record(uow, record_type, uid, payload, version=request.form.get("version", type=int))
    except StaleVersion:
        return _collided(record_type, uid, name, payload)
    except (InvalidInput, Conflict) as error:
        item = details.resubmitted(uow, plan, payload)
        return _shown(record_type, uid, name, item | {"id": uid, "version": request.form.get("version")}, error)
    _say_saved(record_type, uid, plan, name)
    return _done(record_type, uid)


def undo_page(record_type: RecordType, uid: UUID, change: str) -> Any:
    """Ask whether a change is to be taken back, or take it back."""
    uow = current_uow()
    if request.method == "GET":
        authorize(uow.actor, record_type.permission("update"), record_of(uow, record_type, uid))
        return render_template(
            "records/undo.html", action=request.path, **details.form_context(record_type, {"id": uid})
        )
    try:
        with attempt(uow):
            undo_change(uow, record_type, uid, change)
    except (Conflict, InvalidInput) as error:
        flash(str(error), "error")
        return _done(record_type, uid)
    flash(_("The former values are back."), "success")
    return _done(record_type, uid)


def _shown(record_type: RecordType, uid: UUID, name: str, item: dict[str, Any], error: Exception | None) -> Any:
    narrow = one_field_plan(writable_plan(current_uow().actor, plan_of(record_type)), name)
    form = without_titles(
        forms.form_of(narrow, item, error.errors if isinstance(error, InvalidInput) else None, partial=True)
    )
    if error is not None and not isinstance(error, InvalidInput):
        form["message"] = str(error)
    label = column_plan(plan_of(record_type), name).label
    context = details.form_context(record_type, {"id": uid})
    page = render_template("records/field.html", form=form, label=label, action=request.path, **context)
    return page, 200 if error is None else 422


def _collided(record_type: RecordType, uid: UUID, name: str, payload: dict[str, Any]) -> Any:
    """Show what somebody else made of the field, beside what was typed; saving again replaces it knowingly."""
    uow, plan = current_uow(), plan_of(record_type)
    uow.session.expire_all()
    now = read_one(uow, record_type, uid)
    text = _text(plan, name, now) or "–"
    message = _(
        "Somebody else changed this record meanwhile; here it says “%(now)s”. Save again to replace that.", now=text
    )
    item = details.resubmitted(uow, plan, payload) | {"id": uid, "version": now["version"]}
    return _shown(record_type, uid, name, item, Conflict(message))


def _text(plan: TypePlan, name: str, item: dict[str, Any]) -> str:
    extension, dot, _own = name.partition(".")
    values = (item.get("extensions") or {}).get(extension) or {} if dot else item
    return str(cell_of(column_plan(plan, name), values)["text"])


def _say_saved(record_type: RecordType, uid: UUID, plan: TypePlan, name: str) -> None:
    undo = url_for(f"{record_type.endpoint}_undo", uid=uid, change=current_uow().request_id)
    label = column_plan(plan, name).label
    flash(Markup(render_template("records/saved_toast.html", label=label, undo_url=undo)), "success")


def _done(record_type: RecordType, uid: UUID) -> Any:
    """Lead back to where the dialog was opened, or to the record."""
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Refresh": "true"})
    return go(details.after(record_type, uid))


def undo_url(record_type_name: str, uid: UUID | None, change: str) -> str | None:
    """Return the address that takes a change of the log back; None where the actor changes no such records."""
    found = record_types().get(record_type_name)
    if found is None or uid is None or "update" not in found.verbs:
        return None
    if not current_uow().actor.may(found.permission("update")):
        return None
    return url_for(f"{found.endpoint}_undo", uid=uid, change=change)
