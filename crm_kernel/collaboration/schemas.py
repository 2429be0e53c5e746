"""What can be read and written of notes."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields

from crm_kernel.records.texts import Text


class AboutSchema(Schema):
    """What every row about another record shows of it, and of who wrote it."""

    subject_type = Text(80, required=True, metadata={"label": _l("About"), "show_as": "record_type"})
    subject_id = fields.UUID(
        attribute="subject_uid", required=True, metadata={"label": _l("Id of what it is about"), "widget": "hidden"}
    )
    author_name = Text(120, dump_only=True, metadata={"label": _l("By"), "computed": True})


class NoteSchema(AboutSchema):
    """Something written beside a record."""

    title = Text(120, dump_only=True, metadata={"label": _l("First line"), "computed": True, "made_of": ("body",)})
    body = Text(
        required=True,
        metadata={"label": _l("Note"), "help": _l("Plain text or Markdown; @ and a name mentions a colleague.")},
    )
    edited_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Edited"), "computed": True})
