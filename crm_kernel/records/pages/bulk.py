"""The page of a bulk action, in steps: what to do, with which value, what it would do, start. Works without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import UUID

from flask import render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.access.field_access import writable_plan
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_actions.asking import Change, Chosen, chosen_rows, count_rows, takes_tags
from crm_kernel.records.bulk_actions.models import DELETE, TAGS, UPDATE
from crm_kernel.records.bulk_actions.services import preview, start
from crm_kernel.records.pages import details, forms
from crm_kernel.records.pages.going import go
from crm_kernel.records.pages.listing import count_text
from crm_kernel.records.pages.one_field import editable_fields, one_field_plan, without_titles
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import Count
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType

#: Choices of the first step: ``set:<field>``, ``do:<action>``, ``delete``.
_SET, _DO = "set:", "do:"


_TAGGING = ("add", "remove")


class TagNamesSchema(Schema):
    """The form of tags: names separated by commas."""

    add = ma.String(metadata={"label": _l("Tags to put on"), "help": _l("Names separated by commas.")})
    remove = ma.String(metadata={"label": _l("Tags to take off"), "help": _l("Names separated by commas.")})


def bulk_page(record_type: RecordType) -> Any:
    """Ask what to do with the chosen records, show what it would do, and start it."""
    uow, wanted, step = current_uow(), request.form.get("what", ""), request.form.get("step", "")
    chosen = _chosen()
    context = _context(record_type, wanted, chosen)
    if not wanted or step not in ("preview", "start"):
        return render_template("records/bulk.html", **context, form=_form(record_type, wanted, {}, None))
    change = _change(record_type, wanted)
    try:
        if step == "start":
            run = start(uow, record_type, change, chosen)
            return go(url_for("records.bulk_run_detail", uid=run.uid))
        found = preview(uow, record_type, change, chosen)
    except InvalidInput as error:
        form = _form(record_type, wanted, change.data, error)
        return render_template("records/bulk.html", **context, form=form), 422
    for row in found["sample"]:
        row["url"] = record_url(record_type, row["id"])
    form = _form(record_type, wanted, details.resubmitted(uow, plan_of(record_type), change.data), None)
    return render_template("records/bulk.html", **context, form=form, found=found, danger=change.what == DELETE)


def bulk_offer(record_type: RecordType, asked: str, count: Count) -> dict[str, Any] | None:
    """Return what a list page needs for its bar of bulk actions; None where the reader can do nothing in bulk."""
    from crm_kernel.records.bulk_actions.api import changeable

    if not changeable(record_type) or not _choices(record_type):
        return None
    return {"url": url_for(f"{record_type.endpoint}_bulk"), "query": asked, "count_text": count_text(count)}


def _chosen() -> Chosen:
    if request.form.get("all"):
        return Chosen(arguments=tuple(parse_qsl(request.form.get("query", ""))), everything=True)
    try:
        ids = tuple(dict.fromkeys(UUID(text) for text in request.form.getlist("id")))
    except ValueError as error:
        raise InvalidInput({"ids": [_("Expected a list of record ids.")]}) from error
    if not ids:
        raise InvalidInput({"ids": [_("Select records first.")]})
    return Chosen(ids=ids)


def _context(record_type: RecordType, wanted: str, chosen: Chosen) -> dict[str, Any]:
    uow = current_uow()
    kept = [(name, value) for name, value in request.form.items(multi=True) if name in ("id", "all", "query")]
    count = count_rows(uow, record_type, chosen_rows(uow, record_type, chosen))
    return details.page_context(uow, record_type) | {
        "action": url_for(f"{record_type.endpoint}_bulk"),
        "kept": kept,
        "what": wanted,
        "choices": _choices(record_type),
        "chosen_text": count_text(Count(count, True)),
        "number": count,
    }


def _choices(record_type: RecordType) -> list[dict[str, Any]]:
    """Return what the reader may do in bulk: fields first, then actions, then to delete."""
    actor = current_uow().actor
    found: list[dict[str, Any]] = []
    if UPDATE in record_type.verbs and actor.may(record_type.permission(UPDATE)):
        fields = editable_fields(plan_of(record_type), actor)
        found += [{"value": _SET + name, "label": _("Set: %(field)s", field=f.label)} for name, f in fields.items()]
        if takes_tags(record_type) and actor.may("tag.read"):
            found.append({"value": TAGS, "label": _("Put tags on or take them off")})
    for action in record_type.actions:
        if actor.may(record_type.permission(action.name)):
            found.append({"value": _DO + action.name, "label": action.label})
    if DELETE in record_type.verbs and actor.may(record_type.permission(DELETE)):
        found.append({"value": DELETE, "label": _("Delete")})
    return found


def _form(record_type: RecordType, wanted: str, values: Any, error: InvalidInput | None) -> dict[str, Any]:
    errors = {path.removeprefix("set."): m for path, m in error.errors.items()} if error else None
    if wanted.startswith(_SET):
        plan = one_field_plan(writable_plan(current_uow().actor, plan_of(record_type)), wanted.removeprefix(_SET))
        return without_titles(forms.form_of(plan, {"id": None, **values}, errors))
    if wanted == TAGS:
        return forms.schema_form(TagNamesSchema, {name: ", ".join(values.get(name) or ()) for name in _TAGGING}, errors)
    action = record_type.action(wanted.removeprefix(_DO)) if wanted.startswith(_DO) else None
    if action is not None and action.schema:
        return forms.schema_form(action.schema, values, errors)
    return {"sections": [], "message": " ".join(m for found in (errors or {}).values() for m in found) or None}


def _change(record_type: RecordType, wanted: str) -> Change:
    if wanted.startswith(_SET):
        plan = one_field_plan(plan_of(record_type), wanted.removeprefix(_SET))
        return Change(UPDATE, forms.payload_of(plan, request.form))
    if wanted == TAGS:
        return Change(TAGS, {name: _names(request.form.get(name, "")) for name in _TAGGING})
    name = wanted.removeprefix(_DO)
    action = record_type.action(name)
    data = forms.schema_payload(action.schema, request.form) if action is not None and action.schema else {}
    return Change(name, data)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
