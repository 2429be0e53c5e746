"""Taking a custom field out of use and back, and deleting it: each says first what would be hidden or lost."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from crm_kernel.errors import Conflict
from crm_kernel.records.custom_fields import commands, services
from crm_kernel.records.custom_fields.planning import said_in
from crm_kernel.records.custom_fields.previews import losses
from crm_kernel.records.plan import record_type
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages that archive, restore and remove fields."""
    both = ["GET", "POST"]
    blueprint.add_url_rule("/fields/<host>/<name>/archive", view_func=archive_field, methods=both)
    blueprint.add_url_rule("/fields/<host>/<name>/restore", view_func=restore_field, methods=["POST"])
    blueprint.add_url_rule("/fields/<host>/<name>/remove", view_func=remove_field, methods=both)


@permission("custom_field.update")
def archive_field(host: str, name: str) -> Any:
    """Say what an archived field takes along, then archive it; its values are kept."""
    uow = current_uow()
    field = services.field_named(uow, host, name)
    if request.method == "GET":
        return _preview("archive", host, field)
    services.archive_field(uow, field)
    flash(_("%(name)s is archived; its values are kept.", name=field.name), "success")
    return redirect(url_for("admin.field_list", host=host), 303)


@permission("custom_field.update")
def restore_field(host: str, name: str) -> Response:
    """Take an archived field into use again."""
    uow = current_uow()
    field = services.field_named(uow, host, name)
    services.restore_field(uow, field)
    flash(_("%(name)s is in use again, with the values it had.", name=field.name), "success")
    return redirect(url_for("admin.edit_field", host=host, name=field.name), 303)


@permission("custom_field.delete")
def remove_field(host: str, name: str) -> Any:
    """Say which values an archived field loses for ever; delete it once its name was typed."""
    uow = current_uow()
    field = services.field_named(uow, host, name)
    if field.archived_at is None:
        command = commands.verb_command("archive", host, field.name)
        raise Conflict(_("%(name)s is in use. Archive it first: %(command)s", name=field.name, command=command))
    if request.method == "GET":
        return _preview("remove", host, field)
    if request.form.get("typed", "").strip() != field.name:
        problem = _("Type %(name)s to delete it with all its values.", name=field.name)
        return _preview("remove", host, field, problem=problem), 422
    number, gone = services.remove_field(uow, field), field.name
    text = ngettext(
        "%(name)s is gone, with %(num)s value.", "%(name)s is gone, with %(num)s values.", number, name=gone
    )
    flash(text, "success")
    return redirect(url_for("admin.field_list", host=host), 303)


def _preview(verb: str, host: str, field: Any, *, problem: str | None = None) -> str:
    return render_template(
        "admin/fields/end.html",
        verb=verb,
        kind=record_type(host),
        field=field,
        label=said_in(field.labels, field.name),
        losses=losses(current_uow(), field),
        problem=problem,
        command=commands.verb_command(verb, host, field.name),
    )
