"""The pages of notes that no record type gives: writing one beside a record, deleting it there, completing a mention."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from crm_kernel.collaboration.mentions import suggested_users
from crm_kernel.collaboration.notes import add_note as write_note
from crm_kernel.collaboration.record import notes_context
from crm_kernel.collaboration.schemas import NoteSchema
from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import json_response
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import delete_record
from crm_kernel.records.subjects import annotated_subject
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("collaboration", __name__)


@blueprint.post("/notes/add")
@permission("note.create")
def add_note() -> Any:
    """Write a note beside a record: answer with the card, or lead back to the record's page."""
    uow = current_uow()
    about = load_with(NoteSchema, {**_about(), "body": "-"})
    subject = annotated_subject(uow, about["subject_type"], about["subject_uid"])
    error, warnings = "", list[str]()
    try:
        with attempt(uow):
            data = load_with(NoteSchema, {**_about(), "body": request.form.get("body", "")})
            warnings = write_note(uow, **data).warnings()
    except InvalidInput as refused:
        error = " ".join(text for texts in refused.errors.values() for text in texts)
    if request.headers.get("HX-Request"):
        draft = request.form.get("body", "") if error else ""
        context = notes_context(uow, subject.record) or {}
        return render_template("collaboration/notes.html", **context, error=error, warnings=warnings, draft=draft)
    for text in (error, *warnings):
        if text:
            flash(text, "error" if text == error else "warning")
    return redirect(_page(subject.record_type.endpoint, subject.record.uid), 303)


@blueprint.post("/notes/<uuid:uid>/remove")
@permission("note.delete")
def remove_note(uid: UUID) -> Any:
    """Delete a note and lead back to its record."""
    uow, notes = current_uow(), record_type("note")
    note = record_of(uow, notes, uid)
    about = record_type(note.subject_type)
    subject_uid = note.subject_uid
    delete_record(uow, notes, uid, version=request.form.get("version", type=int))
    flash(_("%(type)s deleted.", type=notes.label), "success")
    return redirect(_page(about.endpoint, subject_uid), 303)


@blueprint.get("/mentions")
@permission("note.create")
def mentions() -> Response:
    """Answer what is typed after an ``@`` with the users who may be meant."""
    return json_response(suggested_users(current_uow(), request.args.get("q", "").strip()[:120]))


def _about() -> dict[str, str]:
    return {name: request.form.get(name, "") for name in ("subject_type", "subject_id")}


def _page(endpoint: str, uid: UUID) -> str:
    return url_for(f"{endpoint}_detail", uid=uid, _anchor="panel-kernel-notes")
