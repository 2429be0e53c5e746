"""The record type of notes, and the card with the notes of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import lazy_gettext as _l

from crm_kernel.access.field_access import seen_value
from crm_kernel.access.policy import allowed
from crm_kernel.collaboration.markup import rendered
from crm_kernel.collaboration.models import Note
from crm_kernel.collaboration.notes import update_note
from crm_kernel.collaboration.queries import mentions_of, notes_of, seen_with_subject
from crm_kernel.collaboration.schemas import NoteSchema
from crm_kernel.contributions import Panel
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_types as loaded_types
from crm_kernel.records.record_type import FormSection, RecordType, Services
from crm_kernel.records.subjects import subject_of, titles_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def record_types() -> list[RecordType]:
    """Return the record type ``note``; a note is written beside its record, so there is no page for a new one."""
    return [
        RecordType(
            name="note",
            model=Note,
            schema=NoteSchema,
            label=_l("Note"),
            label_plural=_l("Notes"),
            slug="notes",
            icon="note",
            title="title",
            columns=("title", "subject_type", "author_name", "created_at", "edited_at"),
            filters=("subject_type", "author_name", "created_at"),
            sorts=("created_at",),
            search=("title", "body"),
            form=(FormSection(title=_l("Note"), fields=("body",)),),
            services=Services(update=update_note),
            author="author_id",
            visibility=seen_with_subject(Note),
            about_others=True,
            verbs=("read", "update", "delete", "export"),
            nav_section=None,
        )
    ]


def panels() -> list[Panel]:
    """Return the card "notes" of every record, and on a note the record it is about."""
    return [
        Panel(
            name="kernel.notes",
            label=_l("Notes"),
            template="collaboration/notes.html",
            load=notes_context,
            permission="note.read",
            host="*",
            icon="note",
            order=70,
        ),
        about_panel("note"),
    ]


def about_panel(host: str) -> Panel:
    """Return the card that leads from a row about a record to the record."""
    return Panel(
        name=f"kernel.{host}_about",
        label=_l("About"),
        template="collaboration/about.html",
        load=_load_about,
        permission=f"{host}.read",
        host=host,
        icon="link",
        order=10,
    )


def notes_context(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    """Return the notes of a record for its card; two queries. None when there are none and none may be written."""
    subject = subject_of(record)
    notes, more = notes_of(uow, subject)
    may_write = allowed(uow.actor, "note.create")
    if not notes and not may_write:
        return None
    mentions = mentions_of(uow, notes)
    return {
        "notes": [_shown(uow, note, [row.written for row in mentions[note.id]]) for note in notes],
        "notes_more": more,
        "notes_list_url": url_for("records.note_list", subject_type=subject.record_type.name),
        "subject": subject,
        "add_url": url_for("collaboration.add_note") if may_write else None,
    }


def _shown(uow: UnitOfWork, note: Note, mentioned: list[str]) -> dict[str, Any]:
    return {
        "id": note.uid,
        "version": note.version,
        "author": seen_value(uow.actor, "note", "author_name", note.author_name),
        "at": note.created_at,
        "edited_at": note.edited_at,
        "html": rendered(seen_value(uow.actor, "note", "body", note.body), mentioned),
        "edit_url": url_for("records.note_edit", uid=note.uid) if allowed(uow.actor, "note.update", note) else None,
        "delete_url": url_for("collaboration.remove_note", uid=note.uid)
        if allowed(uow.actor, "note.delete", note)
        else None,
    }


def _load_about(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    place = (record.subject_type, record.subject_uid)
    found, title = loaded_types().get(record.subject_type), titles_of(uow, [place]).get(place)
    if found is None or title is None:
        return None
    return {"title": title, "label": found.label, "icon": found.icon, "url": record_url(found, record.subject_uid)}
