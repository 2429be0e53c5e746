"""Custom fields as a record type: administrators read them on a page and by the API; commands and services change them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask_babel import lazy_gettext as _l
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.contributions import Permission
from crm_kernel.records.custom_fields.kinds import FieldKind
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.fields import Choice
from crm_kernel.records.record_type import FormSection, RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Kind → what people call it.
KINDS: Mapping[str, Any] = {
    FieldKind.TEXT: _l("Text"),
    FieldKind.NUMBER: _l("Number"),
    FieldKind.MONEY: _l("Amount"),
    FieldKind.DATE: _l("Date"),
    FieldKind.CHOICE: _l("Choice"),
    FieldKind.MULTICHOICE: _l("Multiple choice"),
    FieldKind.REFERENCE: _l("Reference"),
    FieldKind.BOOLEAN: _l("Yes or no"),
    FieldKind.EMAIL: _l("E-mail"),
    FieldKind.PHONE: _l("Phone"),
    FieldKind.URL: _l("Web address"),
}


class CustomFieldSchema(Schema):
    """A custom field, as it is read."""

    record_type = ma.String(dump_only=True, metadata={"label": _l("Record type"), "show_as": "record_type"})
    name = ma.String(dump_only=True, metadata={"label": _l("Name")})
    kind = Choice({str(kind): label for kind, label in KINDS.items()}, dump_only=True, metadata={"label": _l("Kind")})
    labels = ma.Dict(dump_only=True, metadata={"label": _l("Labels")})
    help = ma.Dict(dump_only=True, allow_none=True, metadata={"label": _l("Help texts")})
    choices = ma.List(ma.Dict(), dump_only=True, allow_none=True, metadata={"label": _l("Choices")})
    target = ma.String(dump_only=True, metadata={"label": _l("Points to"), "show_as": "record_type"})
    multiline = ma.Boolean(dump_only=True, metadata={"label": _l("Several lines")})
    required = ma.Boolean(dump_only=True, metadata={"label": _l("Required")})
    section = ma.String(dump_only=True, metadata={"label": _l("Section")})
    position = ma.Integer(dump_only=True, metadata={"label": _l("Position")})
    listed = ma.Boolean(dump_only=True, metadata={"label": _l("Column of lists")})
    searchable = ma.Boolean(dump_only=True, metadata={"label": _l("Searched")})
    indexed = ma.Boolean(dump_only=True, metadata={"label": _l("Indexed")})
    archived_at = ma.AwareDateTime(dump_only=True, metadata={"label": _l("Archived")})


def record_types() -> list[RecordType]:
    """Return the record type ``custom_field``."""
    return [
        RecordType(
            name="custom_field",
            model=CustomField,
            schema=CustomFieldSchema,
            label=_l("Custom field"),
            label_plural=_l("Custom fields"),
            slug="custom-fields",
            icon="forms",
            columns=("name", "record_type", "kind", "required", "indexed", "archived_at"),
            filters=("record_type", "name", "kind"),
            sorts=("name", "record_type", "position"),
            default_sort="record_type",
            form=(
                FormSection(title=_l("Custom field"), fields=("record_type", "name", "kind", "labels", "choices")),
                FormSection(title=_l("Behaviour"), fields=("required", "section", "position", "listed", "searchable")),
            ),
            verbs=("read", "export"),
            nav_section=None,  # the pages of administration lead there by record type
            detail_template="records/custom_field.html",
            detail_context=commands,
        )
    ]


def permissions() -> list[Permission]:
    """Return what may be granted over custom fields beside reading and exporting their list."""
    return [
        Permission(name="custom_field.create", label=_l("Custom fields: add")),
        Permission(name="custom_field.update", label=_l("Custom fields: change, archive")),
        Permission(name="custom_field.delete", label=_l("Custom fields: remove with all values")),
    ]


def commands(uow: UnitOfWork, field: Any) -> Mapping[str, Any]:
    """Return the commands that change a custom field, and the address of its form for those who may."""
    name = f"{shlex.quote(field.record_type)} {field.name}"
    verbs = ("restore", "remove") if field.archived_at is not None else ("change", "archive")
    given = {"change": " --label en=…"}
    may = uow.actor.may("custom_field.update") and "admin.edit_field" in current_app.view_functions
    return {
        "command_lines": [f"crm fields {verb} {name}{given.get(verb, '')}" for verb in verbs],
        "form_url": url_for("admin.edit_field", host=field.record_type, name=field.name) if may else None,
    }
