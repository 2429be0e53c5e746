"""What a record type holds, section by section as its form has them: custom fields to change, all others to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import Blueprint, current_app, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records.custom_fields.indexing import IndexState, index_states
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.custom_fields.planning import is_custom, said_in
from crm_kernel.records.custom_fields.record import KINDS
from crm_kernel.records.custom_fields.services import fields_of
from crm_kernel.records.plan import FieldPlan, Kind, plan_of, record_type, record_types
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.records.plan import TypePlan

#: Kind of a declared field → what people call it.
_KINDS: Mapping[Kind, Any] = {
    Kind.TEXT: _l("Text"),
    Kind.EMAIL: _l("E-mail"),
    Kind.URL: _l("Web address"),
    Kind.NUMBER: _l("Number"),
    Kind.MONEY: _l("Amount"),
    Kind.DATE: _l("Date"),
    Kind.DATETIME: _l("Date and time"),
    Kind.BOOLEAN: _l("Yes or no"),
    Kind.CHOICE: _l("Choice"),
    Kind.MULTICHOICE: _l("Multiple choice"),
    Kind.REFERENCE: _l("Reference"),
    Kind.COLLECTION: _l("Several parts"),
    Kind.JSON: _l("Structure"),
}
#: State of an index → what the page says and its colour.
INDEX_STATES = {
    "ready": (_l("Indexed"), "green"),
    "building": (_l("Index is being made"), "azure"),
    "failed": (_l("Index failed"), "red"),
    "missing": (_l("Index is missing"), "orange"),
}


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the overview and the list of a record type's fields."""
    blueprint.add_url_rule("/fields", view_func=field_types)
    blueprint.add_url_rule("/fields/<host>", view_func=field_list)


@permission("custom_field.update")
def field_types() -> str:
    """List the record types with how many custom fields each has; one query."""
    found = fields_of(current_uow())
    used = Counter(field.record_type for field in found if field.archived_at is None)
    archived = Counter(field.record_type for field in found if field.archived_at is not None)
    types = sorted(record_types().values(), key=lambda kind: (kind.nav_section != "work", str(kind.label_plural)))
    rows = [
        {
            "name": kind.name,
            "label": kind.label_plural,
            "icon": kind.icon,
            "url": url_for("admin.field_list", host=kind.name),
            "used": used[kind.name],
            "archived": archived[kind.name],
        }
        for kind in types
    ]
    gone = sorted({*used, *archived} - record_types().keys())
    return render_template("admin/fields/types.html", rows=rows, gone=gone)


@permission("custom_field.update")
def field_list(host: str) -> str:
    """Show the sections of a record type's form with their fields, what modules add, and archived fields."""
    uow, kind = current_uow(), record_type(host)
    own = fields_of(uow, host)
    plan, states = plan_of(kind), index_states(uow, own)
    return render_template(
        "admin/fields/list.html",
        kind=kind,
        sections=list(_sections(plan, own, states)),
        extensions=list(_extensions(plan)),
        archived=[_custom(field, states) for field in own if field.archived_at is not None],
        left_out=[
            _custom(field, states) for field in own if field.archived_at is None and field.name not in plan.fields
        ],
        may_add=uow.actor.may("custom_field.create"),
        building=any(state.name == "building" for state in states.values()),
        command=f"crm fields list {host}",
    )


def index_fact(state: IndexState | None) -> dict[str, Any] | None:
    """Return what a page says about an index; None for a field without one."""
    if state is None:
        return None
    label, color = INDEX_STATES[state.name]
    text = f"{label} ({state.done} %)" if state.done is not None else str(label)
    return {
        "name": state.name,
        "text": text,
        "color": color,
        "url": url_for("jobs.detail", uid=state.job) if state.job else None,
    }


def _sections(plan: TypePlan, own: Sequence[CustomField], states: Mapping[str, IndexState]) -> Iterator[dict[str, Any]]:
    by_name = {field.name: field for field in own}
    for section in plan.record_type.form:
        custom = [name for name in section.fields if is_custom(name) and name in by_name]
        rows = [
            {**_custom(by_name[name], states), "first": name == custom[0], "last": name == custom[-1]}
            if name in custom
            else _declared(plan.fields[name], plan.record_type.plugin)
            for name in section.fields
        ]
        yield {"title": section.title, "rows": rows, "ordered": len(custom) > 1}


def _extensions(plan: TypePlan) -> Iterator[dict[str, Any]]:
    registry = runtime_of(current_app).registry
    for extension in plan.extensions:
        fields = plan.extension_fields[extension.name]
        rows = [_declared(field, extension.name, prefix=f"{extension.name}.") for field in fields.values()]
        yield {"title": extension.label, "module": registry.owner("extensions", _key(extension)), "rows": rows}


def _key(extension: Any) -> str:
    return f"{extension.name}@{extension.host}"


def _declared(field: FieldPlan, module: str, *, prefix: str = "") -> dict[str, Any]:
    return {
        "name": prefix + field.name,
        "label": field.label,
        "kind": _KINDS.get(field.kind, field.kind.value),
        "required": bool(field.field.required),
        "module": module,
    }


def _custom(field: CustomField, states: Mapping[str, IndexState]) -> dict[str, Any]:
    about: dict[str, Any] = {"host": field.record_type, "name": field.name}
    return {
        "name": field.name,
        "label": said_in(field.labels, field.name),
        "kind": KINDS[field.kind],
        "required": field.required,
        "custom": True,
        "marks": [text for flag, text in ((field.listed, _("Listed")), (field.searchable, _("Searched"))) if flag],
        "index": index_fact(states.get(field.name)),
        "url": url_for("admin.edit_field", **about),
        "up_url": url_for("admin.move_field", **about, way="up"),
        "down_url": url_for("admin.move_field", **about, way="down"),
        "restore_url": url_for("admin.restore_field", **about),
        "remove_url": url_for("admin.remove_field", **about),
    }
