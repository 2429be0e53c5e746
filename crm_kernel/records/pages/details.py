"""The detail page of a record: header with key facts, extensions, actions, and the panels that plugins add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, url_for
from flask_babel import gettext as _

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.field_access import seen_record
from crm_kernel.access.policy import allowed, permitted, visible
from crm_kernel.records.pages.cards import card_of
from crm_kernel.records.pages.masking import masked_context
from crm_kernel.records.pages.one_field import editable_fields
from crm_kernel.records.pages.presenting import cell_kind, cell_of, extension_facts, facts_of, record_url, title_of
from crm_kernel.records.plan import Kind, TypePlan, plan_of, record_types, said_title, target_of
from crm_kernel.records.reading import sees
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.subjects import titles_of
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def page_context(uow: UnitOfWork, record_type: RecordType) -> dict[str, Any]:
    """Return what every page of a type needs: the type, its addresses, and what the actor may do."""
    may = {
        verb: verb in record_type.verbs and uow.actor.may(record_type.permission(verb)) for verb in record_type.verbs
    }
    endpoint = record_type.endpoint
    return {
        "record_type": record_type,
        "may": may,
        "list_url": url_for(f"{endpoint}_list"),
        "new_url": url_for(f"{endpoint}_new") if may.get("create") else None,
        "export_url": url_for(f"{endpoint}_export") if may.get("export") else None,
        "import_url": url_for("imports.listing", type=record_type.name) if _imports(uow, record_type) else None,
    }


def _imports(uow: UnitOfWork, record_type: RecordType) -> bool:
    if "imports.listing" not in current_app.view_functions:  # an application with record types and no imports
        return False
    return record_type.importing is not None and uow.actor.may(record_type.permission(record_type.importing))


def detail_context(uow: UnitOfWork, record_type: RecordType, record: Any, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template's context: facts by section, extensions, collections, actions, rendered panels."""
    from crm_kernel.access.audit_reading.pages import history_url
    from crm_kernel.access.explain_pages import explain_url

    plan, endpoint = plan_of(record_type), record_type.endpoint
    may_update = "update" in record_type.verbs and allowed(uow.actor, record_type.permission("update"), record)
    may_delete = "delete" in record_type.verbs and allowed(uow.actor, record_type.permission("delete"), record)
    sections = plan.record_type.form
    shown = {name for section in sections for name in section.fields}
    rest = [name for name in plan.plain() if name not in shown and name != record_type.title]
    groups = [{"title": section.title, "facts": facts_of(plan, item, section.fields)} for section in sections] + [
        {"title": _("Record"), "facts": facts_of(plan, item, rest)}
    ]
    _name_subject(uow, plan, item, groups)
    groups = [group for group in groups if group["facts"]] + extension_facts(plan, item)
    if may_update:
        _make_editable(uow, plan, item, groups)
    own = record_type.detail_context(uow, record) if record_type.detail_context else {}
    return {
        **page_context(uow, record_type),
        "record": seen_record(uow.actor, record_type.name, record),
        "item": item,
        "title": title_of(plan, item),
        "groups": groups,
        "facts": [
            fact for group in groups if "extension" not in group for fact in group["facts"] if fact["name"] not in rest
        ],
        "collections": [_collection(plan, name, item) for name in _collections(plan)],
        "edit_url": url_for(f"{endpoint}_edit", uid=item["id"]) if may_update else None,
        "delete_url": url_for(f"{endpoint}_delete", uid=item["id"]) if may_delete else None,
        "actions": _actions(uow, record_type, record),
        "explain_url": explain_url(uow.actor, permission=record_type.permission("read"), record=item["id"]),
        "history_url": history_url(uow.actor, record_type.name, item["id"]),
        "panels": panels(uow, record_type, record),
        **masked_context(uow.actor, own),
    }


def _name_subject(
    uow: UnitOfWork, plan: TypePlan, item: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> None:
    """Call what the record is about by its name and link to it, instead of an id; one query if it is about any."""
    for fact in (fact for group in groups for fact in group["facts"]):
        if plan.fields[fact["name"]].field.metadata.get("show_as") != "subject":
            continue
        about = record_types().get(item.get("subject_type") or "")
        place = about and (about.name, UUID(str(fact["value"])))
        if about and place and (title := titles_of(uow, [place]).get(place)):
            fact |= {"label": about.label, "text": title, "url": record_url(about, place[1])}


def _make_editable(
    uow: UnitOfWork, plan: TypePlan, item: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> None:
    """Give the facts that the actor may write the addresses that edit them in place."""
    names = editable_fields(plan, uow.actor)
    for fact in (fact for group in groups for fact in group["facts"] if fact["name"] in names):
        fact["edit_url"] = url_for(f"{plan.record_type.endpoint}_field", uid=item["id"], name=fact["name"])


def panels(uow: UnitOfWork, record_type: RecordType, record: Any) -> list[dict[str, Any]]:
    """Return the rendered panels of a record's page; a panel that fails is logged and shown as unavailable."""
    runtime = runtime_of(current_app)
    hosts = (record_type.name, "*") if record_type.annotated else (record_type.name,)
    wanted = [panel for panel in runtime.registry.all("panels") if panel.host in hosts]
    found = (card_of(uow, panel, record) for panel in permitted(uow.actor, c.active(wanted, runtime.manager.names)))
    return [panel for panel in found if panel is not None]


def form_context(record_type: RecordType, item: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a form's page needs beside the form."""
    back = (
        url_for(f"{record_type.endpoint}_detail", uid=item["id"]) if item else url_for(f"{record_type.endpoint}_list")
    )
    return {"record_type": record_type, "exists": item is not None, "back_url": back}


def after(record_type: RecordType, uid: UUID) -> str:
    """Return where a saved form leads: to the record, or to the list when it was handed over to somebody else."""
    uow = current_uow()
    uow.session.flush()
    seen = sees(uow, record_type, uid)
    return url_for(f"{record_type.endpoint}_detail", uid=uid) if seen else url_for(f"{record_type.endpoint}_list")


def prefilled(uow: UnitOfWork, plan: TypePlan, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that a link to an empty form carries (``/sfa/opportunities/new?customer=<id>``)."""
    given = {name: value for name, value in arguments.items() if name in plan.fields and plan.fields[name].writable}
    if plan.record_type.owned and "owner" in plan.fields and uow.actor.user_uid is not None:
        given.setdefault("owner", str(uow.actor.user_uid))
    return resubmitted(uow, plan, given)


def resubmitted(uow: UnitOfWork, plan: TypePlan, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload as the form shows it: references with the title of what they point to."""
    item = dict(payload)
    for name, value in payload.items():
        field = plan.fields.get(name)
        if field is not None and field.kind is Kind.REFERENCE and value:
            target = target_of(field)
            item[name] = {"id": value, "title": _title(uow, target, str(value))}
    return item


def _title(uow: UnitOfWork, target: RecordType, text: str) -> str:
    try:
        uid = UUID(text)
    except ValueError:
        return text
    statement = sa.select(said_title(target)).where(target.model.uid == uid, visible(uow.actor, target))
    return str(uow.session.execute(statement).scalar_one_or_none() or text)


def _actions(uow: UnitOfWork, record_type: RecordType, record: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": action.name,
            "label": action.label,
            "icon": action.icon,
            "color": action.color,
            "dialog": url_for(f"{record_type.endpoint}_{action.name}", uid=record.uid),
        }
        for action in record_type.actions
        if action.available(record) and allowed(uow.actor, record_type.permission(action.name), record)
    ]


def _collections(plan: TypePlan) -> list[str]:
    return [field.name for field in plan.collections() if field.readable]


def _collection(plan: TypePlan, name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    from crm_kernel.records.plan import field_plans

    collection: Any = plan.fields[name].field
    own = field_plans(collection.part_schema, collection.model)
    shown = {key: field for key, field in own.items() if field.readable and field.column is not None}
    rows = [
        {"id": part["id"], "cells": {key: cell_of(field, part) for key, field in shown.items()}}
        for part in item.get(name) or []
    ]
    columns = [{"name": key, "label": field.label, "kind": cell_kind(field)} for key, field in shown.items()]
    used = [column for column in columns if any(row["cells"][column["name"]]["text"] for row in rows)]
    return {"name": name, "title": plan.fields[name].label, "columns": used, "rows": rows}
