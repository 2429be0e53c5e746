"""The record type of attachments, and the card with the files of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import fields

from crm_kernel.access.field_access import seen_value
from crm_kernel.access.policy import allowed, visible
from crm_kernel.collaboration.attachments.models import Attachment
from crm_kernel.collaboration.attachments.services import most_bytes, rename_attachment
from crm_kernel.collaboration.queries import seen_with_subject
from crm_kernel.collaboration.record import about_panel
from crm_kernel.collaboration.schemas import AboutSchema
from crm_kernel.contributions import Panel
from crm_kernel.records.plan import record_type
from crm_kernel.records.record_type import FormSection, RecordType, Services
from crm_kernel.records.subjects import subject_of
from crm_kernel.records.texts import Text

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Files that a card shows; the list has them all.
_SHOWN = 50


class AttachmentSchema(AboutSchema):
    """A file on a record."""

    name = Text(255, required=True, metadata={"label": _l("File")})
    media_type = Text(120, dump_only=True, metadata={"label": _l("Kind of file"), "computed": True})
    size = fields.Integer(dump_only=True, metadata={"label": _l("Bytes"), "computed": True})


def record_types() -> list[RecordType]:
    """Return the record type ``attachment``; a file is attached on its record, so there is no page for a new one."""
    return [
        RecordType(
            name="attachment",
            model=Attachment,
            schema=AttachmentSchema,
            label=_l("Attachment"),
            label_plural=_l("Attachments"),
            slug="attachments",
            icon="paperclip",
            title="name",
            columns=("name", "subject_type", "media_type", "size", "author_name", "created_at"),
            filters=("name", "subject_type", "media_type", "size", "author_name", "created_at"),
            sorts=("name", "size", "created_at"),
            search=("name",),
            form=(FormSection(title=_l("Attachment"), fields=("name",)),),
            services=Services(update=rename_attachment),
            author="author_id",
            visibility=seen_with_subject(Attachment),
            about_others=True,
            verbs=("read", "update", "delete", "export"),
            nav_section=None,
        )
    ]


def panels() -> list[Panel]:
    """Return the card "files" of every record, and on an attachment its download and the record it is on."""
    return [
        Panel(
            name="kernel.files",
            label=_l("Files"),
            template="collaboration/files.html",
            load=_load_files,
            permission="attachment.read",
            host="*",
            icon="paperclip",
            order=75,
        ),
        Panel(
            name="kernel.download",
            label=_l("Download"),
            template="collaboration/files.html",
            load=lambda uow, record: {"files": [_shown(uow, record)]},
            permission="attachment.read",
            host="attachment",
            icon="download",
            order=5,
        ),
        about_panel("attachment"),
    ]


def size_text(size: int) -> str:
    """Return a size as people read it: ``1.2 MB``."""
    units = (_("%(size)s B"), _("%(size)s kB"), _("%(size)s MB"), _("%(size)s GB"))
    step = next((step for step in range(len(units)) if size < 1000 ** (step + 1)), len(units) - 1)
    value = size / 1000**step
    text: str = units[step] % {"size": format_decimal(round(value, 1 if value < 10 and step else 0))}
    return text


def _load_files(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    """Return the files of a record; one query. None when there are none and none may be attached."""
    subject = subject_of(record)
    may_attach = allowed(uow.actor, "attachment.create")
    about = (Attachment.subject_type == subject.record_type.name, Attachment.subject_uid == subject.record.uid)
    query = sa.select(Attachment).where(*about, visible(uow.actor, record_type("attachment")))
    found = uow.session.scalars(query.order_by(Attachment.id.desc()).limit(_SHOWN)).all()
    if not found and not may_attach:
        return None
    return {
        "files": [_shown(uow, attachment) for attachment in found],
        "subject": subject,
        "attach_url": url_for("attachments.attach_file") if may_attach else None,
        "most": size_text(most_bytes()),
    }


def _shown(uow: UnitOfWork, found: Attachment) -> dict[str, Any]:
    may_delete = allowed(uow.actor, "attachment.delete", found)
    return {
        "name": found.name,
        "url": url_for("attachments.download", uid=found.uid),
        "size": size_text(found.size),
        "author": seen_value(uow.actor, "attachment", "author_name", found.author_name),
        "at": found.created_at,
        "version": found.version,
        "delete_url": url_for("attachments.remove_file", uid=found.uid) if may_delete else None,
    }
