"""The record type of tags, and the card with the tags of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import lazy_gettext as _l
from marshmallow import Schema

from crm_kernel.access.policy import allowed
from crm_kernel.collaboration.tags.models import Tag
from crm_kernel.collaboration.tags.queries import having_tag, tags_to_choose
from crm_kernel.collaboration.tags.services import create_tag, merge_tags, update_tag
from crm_kernel.contributions import Panel
from crm_kernel.records.fields import Choice
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services
from crm_kernel.records.subjects import subject_of
from crm_kernel.records.texts import Text

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Color of a tag → its name for people; the values are those of the badge component.
COLORS = {
    "azure": _l("Azure"),
    "blue": _l("Blue"),
    "indigo": _l("Indigo"),
    "purple": _l("Purple"),
    "pink": _l("Pink"),
    "red": _l("Red"),
    "orange": _l("Orange"),
    "yellow": _l("Yellow"),
    "lime": _l("Lime"),
    "green": _l("Green"),
    "teal": _l("Teal"),
    "gray": _l("Gray"),
}


class TagSchema(Schema):
    """A word that records of any type can have."""

    name = Text(60, required=True, metadata={"label": _l("Name")})
    color = Choice(COLORS, metadata={"label": _l("Color"), "colors": {color: color for color in COLORS}})


class MergeTagSchema(Schema):
    """What merging a tag asks for."""

    into = Text(60, required=True, metadata={"label": _l("Name of the tag that stays")})


def record_types() -> list[RecordType]:
    """Return the record type ``tag``."""
    return [
        RecordType(
            name="tag",
            model=Tag,
            schema=TagSchema,
            label=_l("Tag"),
            label_plural=_l("Tags"),
            slug="tags",
            icon="tag",
            columns=("name", "color", "created_at"),
            filters=("name", "color"),
            sorts=("name", "created_at"),
            default_sort="name",
            form=(FormSection(title=_l("Tag"), fields=("name", "color")),),
            services=Services(create=create_tag, update=update_tag),
            actions=(
                Action(
                    name="merge",
                    label=_l("Merge into another tag"),
                    service=_merge,
                    schema=MergeTagSchema,
                    icon="arrow-merge",
                ),
            ),
            external_key=("name",),
            nav_section="administration",
            nav_order=60,
        )
    ]


def panels() -> list[Panel]:
    """Return the card "tags" of every record."""
    return [
        Panel(
            name="kernel.tags",
            label=_l("Tags"),
            template="collaboration/tags.html",
            load=_load_tags,
            permission="tag.read",
            host="*",
            icon="tags",
            order=5,
        )
    ]


def _merge(uow: UnitOfWork, record: Tag, *, into: str) -> None:
    merge_tags(uow, record, into=into)


def _load_tags(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    """Return a record's tags; one query. None when there are none and none may be put on."""
    subject = subject_of(record)
    own = subject.record_type
    may_tag = allowed(uow.actor, own.permission("update"), record)
    found, known = tags_to_choose(uow, own, record.uid)
    if not found and not may_tag:
        return None
    return {
        "tags": [
            {"name": tag.name, "color": tag.color, "url": url_for(f"{own.endpoint}_list", filter=having_tag(tag))}
            for tag in found
        ],
        "subject": subject,
        "change_url": url_for("tags.change") if may_tag else None,
        "known": known if may_tag else [],
    }
