"""Adding and changing a custom field: the form, what it would do, then the doing; ordering; what roles see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel.access.models import FieldRule, Role
from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import free_field, restrict_field
from crm_kernel.access.services.roles import ADMINISTRATOR
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.custom_fields import commands, services
from crm_kernel.records.custom_fields.indexing import index_states
from crm_kernel.records.custom_fields.kinds import FieldKind
from crm_kernel.records.custom_fields.planning import said_in
from crm_kernel.records.custom_fields.previews import consequences
from crm_kernel.records.custom_fields.record import KINDS
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.unit_of_work import current_uow, rehearse
from crm_kernel.web.admin.fields import forms
from crm_kernel.web.admin.fields.listing import index_fact
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.records.custom_fields.models import CustomField
    from crm_kernel.unit_of_work import UnitOfWork

#: What a role leaves of a field → what the page says.
ACCESS = {"": _l("Sees and writes it"), "read": _l("Reads it only"), "hidden": _l("Does not see it")}


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages that add and change fields."""
    both, post = ["GET", "POST"], ["POST"]
    blueprint.add_url_rule("/fields/<host>/new", view_func=new_field, methods=both)
    blueprint.add_url_rule("/fields/<host>/<name>", view_func=edit_field, methods=both)
    move = "/fields/<host>/<name>/move/<any(up, down):way>"
    blueprint.add_url_rule(move, view_func=move_field, methods=post)
    blueprint.add_url_rule("/fields/<host>/<name>/roles", view_func=set_visibility, methods=post)


@permission("custom_field.create")
def new_field(host: str) -> Any:
    """Ask for a kind, then for the rest; show what adding the field would do, then add it."""
    uow, kind = current_uow(), request.values.get("kind", "")
    record_type(host)
    if kind not in list(FieldKind):
        return render_template("admin/fields/kinds.html", kind=record_type(host), kinds=KINDS)
    if request.method == "GET":
        return _form(host, FieldKind(kind), {"position": ""})
    return _submitted(uow, host, FieldKind(kind), None)


@permission("custom_field.update")
def edit_field(host: str, name: str) -> Any:
    """Show a field's form with what else can be done to it; show what a change would do, then make it."""
    uow = current_uow()
    field = services.field_named(uow, host, name)
    if request.method == "GET":
        return _form(host, FieldKind(field.kind), forms.texts_of(field), field=field)
    return _submitted(uow, host, FieldKind(field.kind), field)


@permission("custom_field.update")
def move_field(host: str, name: str, way: str) -> Response:
    """Move a field before or behind its neighbour in its section."""
    uow = current_uow()
    services.move_field(uow, services.field_named(uow, host, name), cast(services.Way, way))
    return redirect(f"{url_for('admin.field_list', host=host)}#{name}", 303)


@permission("role.update")
def set_visibility(host: str, name: str) -> Response:
    """Say what each role leaves of a field: everything, reading, nothing."""
    uow = current_uow()
    field = services.field_named(uow, host, name)
    known = _rules(uow, field)
    for role, access in request.form.items():
        if not role.startswith("role-") or access not in ACCESS or access == known.get(role.removeprefix("role-"), ""):
            continue
        found = role_named(uow, role.removeprefix("role-"))
        if access:
            restrict_field(uow, found, host, field.name, access)
        else:
            free_field(uow, found, host, field.name)
    flash(_("Saved."), "success")
    return redirect(url_for("admin.edit_field", host=host, name=field.name), 303)


def _submitted(uow: UnitOfWork, host: str, kind: FieldKind, field: CustomField | None) -> Any:
    """Answer a form: again with what is wrong, with what it would do, or by doing it once that was confirmed."""
    try:
        options = _options(host, kind, field)
        name = request.form.get("name", "").strip() if field is None else field.name
        change = _change(uow, host, kind, field, name, options)
        if request.form.get("step") == "back" or (field is not None and not options):
            return _form(host, kind, request.form, field=field)
        rehearse(uow, change)
    except (InvalidInput, Conflict) as error:
        errors = error.errors if isinstance(error, InvalidInput) else {"": [str(error)]}
        return _form(host, kind, request.form, errors, field=field), error.status
    if request.form.get("step") != "do":
        return _plan(uow, host, kind, field, name, options)
    change()
    flash(_("The field is there now.") if field is None else _("Saved."), "success")
    return redirect(url_for("admin.field_list", host=host), 303)


def _options(host: str, kind: FieldKind, field: CustomField | None) -> dict[str, Any]:
    """Return what the form says, of a field that is there only what is another than before."""
    found = forms.options_of(host, kind, request.form, new=field is None)
    if field is None:
        return found
    # Labels in languages that this instance does not show at the moment stay.
    shown = forms.languages()
    found["labels"] = {**{k: v for k, v in field.labels.items() if k not in shown}, **found["labels"]}
    return {option: value for option, value in found.items() if getattr(field, option) != value}


def _change(
    uow: UnitOfWork, host: str, kind: FieldKind, field: CustomField | None, name: str, options: Mapping[str, Any]
) -> Callable[[], Any]:
    if field is None:
        return lambda: services.add_field(uow, host, name, kind.value, **options)
    return lambda: services.change_field(uow, field, options)


def _plan(
    uow: UnitOfWork, host: str, kind: FieldKind, field: CustomField | None, name: str, options: Mapping[str, Any]
) -> str:
    if field is None:
        command = commands.add_command(host, name, kind.value, options)
        here = url_for("admin.new_field", host=host)
    else:
        command = commands.change_command(host, name, options)
        here = url_for("admin.edit_field", host=host, name=name)
    label = said_in(options.get("labels") or (field.labels if field else {}), name)
    return render_template(
        "admin/fields/plan.html",
        kind=record_type(host),
        field=field,
        label=label,
        said=consequences(uow, field, host, kind, options),
        options=[(option, _shown(value)) for option, value in options.items()],
        sent=[(key, value) for key, value in request.form.items(multi=True) if key not in ("csrf_token", "step")],
        command=command,
        here=here,
    )


def _form(
    host: str,
    kind: FieldKind,
    texts: Mapping[str, str],
    errors: Mapping[str, Sequence[str]] | None = None,
    *,
    field: CustomField | None = None,
) -> str:
    uow = current_uow()
    context: dict[str, Any] = {"field": field, "kind": record_type(host), "kind_label": KINDS[kind], "field_kind": kind}
    # A box that is ticked sends two values; what counts is the last.
    flat = {key: texts.getlist(key)[-1] if hasattr(texts, "getlist") else texts[key] for key in texts}
    context["form"] = forms.form_of(host, kind, flat, errors or {}, new=field is None)
    if field is not None:
        context |= {
            "index": index_fact(index_states(uow, [field]).get(field.name)),
            "roles": _roles(uow, field) if uow.actor.may("role.update") else [],
            "access": ACCESS,
            "may_remove": uow.actor.may("custom_field.delete"),
            "label": said_in(field.labels, field.name),
        }
    return render_template("admin/fields/form.html", **context)


def _roles(uow: UnitOfWork, field: CustomField) -> list[dict[str, Any]]:
    """Return the roles that may be narrowed, with what each leaves of the field; a form's records need some fields."""
    if field.archived_at is not None or field.name not in plan_of(record_type(field.record_type)).fields:
        return []
    rules = _rules(uow, field)
    names = uow.session.scalars(sa.select(Role.name).where(Role.name != ADMINISTRATOR).order_by(Role.name))
    return [
        {
            "name": name,
            "access": rules.get(name, ""),
            "command": commands.rule_command(name, field.record_type, field.name, rules.get(name) or "hidden"),
        }
        for name in names
    ]


def _rules(uow: UnitOfWork, field: CustomField) -> dict[str, str]:
    query = sa.select(Role.name, FieldRule.access).join(FieldRule, FieldRule.role_id == Role.id)
    found = query.where(FieldRule.record_type == field.record_type, FieldRule.field == field.name)
    return dict(uow.session.execute(found).all())


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(_("Yes") if value else _("No"))
    if isinstance(value, Mapping):
        return " · ".join(f"{key}: {text}" for key, text in value.items())
    if isinstance(value, list):
        return ", ".join(str(part["value"]) if isinstance(part, Mapping) else str(part) for part in value)
    return "–" if value is None else str(value)
