"""A form for one field alone: what bulk actions and the edit in place ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crm_kernel.access.field_access import writable_plan
from crm_kernel.errors import NotFound
from crm_kernel.records.pages.forms import is_asked
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan
from crm_kernel.records.record_type import FormSection

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor


def editable_fields(plan: TypePlan, actor: Actor) -> dict[str, FieldPlan]:
    """Return the fields of the form that the actor may write one by one, an extension's as ``bank.risk``; no query.

    Lists of parts are left out: their form is more than one control.
    """
    writable = writable_plan(actor, plan)
    names = [name for section in writable.record_type.form for name in section.fields]
    found = {name: plan.fields[name] for name in dict.fromkeys(names)}
    for extension in writable.extensions:
        own = plan.extension_fields[extension.name]
        found |= {f"{extension.name}.{name}": own[name] for name in extension.form}
    return {name: field for name, field in found.items() if _single(field)}


def one_field_plan(plan: TypePlan, name: str) -> TypePlan:
    """Return a plan whose form holds one field, for ``form_of`` and ``payload_of``.

    Raises:
        NotFound: there is no such field.
    """
    extension, dot, own = name.partition(".")
    if not dot:
        if name not in plan.fields:
            raise NotFound(name)
        form = (FormSection(title="", fields=(name,)),)
        return replace(plan, record_type=replace(plan.record_type, form=form), extensions=())
    kept = tuple(replace(found, form=(own,)) for found in plan.extensions if found.name == extension)
    if not kept or own not in plan.extension_fields[extension]:
        raise NotFound(name)
    return replace(plan, record_type=replace(plan.record_type, form=()), extensions=kept)


def without_titles(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form whose sections have no headings: one field needs none."""
    return {
        **form,
        "sections": [{**section, "title": None, "columns": 1, "when": None} for section in form["sections"]],
    }


def _single(field: FieldPlan) -> bool:
    if not (field.writable and field.readable and is_asked(field)) or field.field.metadata.get("fixed"):
        return False
    return field.kind not in (Kind.COLLECTION, Kind.JSON)
