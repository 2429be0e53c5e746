"""Uploading and downloading files, by page and by API.

A file is read to its end before a transaction is opened: a slow sender would otherwise hold the database's write lock.
Downloads are never shown in the browser: attachment, no sniffing, a sandbox without any right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, request, send_file, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint as ApiBlueprint

from crm_kernel.collaboration.api import documented
from crm_kernel.collaboration.attachments.models import Attachment, StoredFile
from crm_kernel.collaboration.attachments.record import AttachmentSchema
from crm_kernel.collaboration.attachments.services import attach, most_bytes
from crm_kernel.collaboration.attachments.sniffing import served_type
from crm_kernel.collaboration.attachments.storage import storage
from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import etag_of, json_response
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.openapi_schemas import read_schema
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import read_one, record_of
from crm_kernel.records.services import delete_record
from crm_kernel.records.subjects import annotated_subject
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import open_unit, own_unit, permission
from crm_kernel.web.idempotency.once import once, wants_once

blueprint = Blueprint("attachments", __name__, url_prefix="/attachments")

Result = TypeVar("Result")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept by the reader's own browser and asked again each time: the right to see it may be gone.
    "Cache-Control": "private, no-cache",
}


@blueprint.post("/add")
@own_unit
@permission("attachment.create")
def attach_file() -> Any:
    """Attach a file to a record and lead back to the record's page."""
    try:
        address, name = _taken(lambda uow, made: (_record_page(made.subject_type, made.subject_uid), made.name))
    except InvalidInput as error:
        with open_unit() as uow:
            subject = annotated_subject(uow, *_subject())
            flash(" ".join(text for texts in error.errors.values() for text in texts), "error")
            return redirect(_record_page(subject.record_type.name, subject.record.uid), 303)
    flash(_("%(name)s is attached.", name=name), "success")
    return redirect(address, 303)


@blueprint.get("/<uuid:uid>/file")
@permission("attachment.read")
def download(uid: UUID) -> Response:
    """Send the content as a download; answers ``If-None-Match`` and ``Range``."""
    uow = current_uow()
    found: Attachment = record_of(uow, record_type("attachment"), uid)
    file = uow.session.get_one(StoredFile, found.file_id)
    answer = send_file(
        storage().path_of(file.digest),
        mimetype=served_type(found.media_type),
        as_attachment=True,
        download_name=found.name,
        conditional=True,
        etag=file.digest,
    )
    answer.headers.update(_HEADERS)
    return answer


@blueprint.post("/<uuid:uid>/remove")
@permission("attachment.delete")
def remove_file(uid: UUID) -> Any:
    """Take a file off its record and lead back to it."""
    uow = current_uow()
    found: Attachment = record_of(uow, record_type("attachment"), uid)
    address, name = _record_page(found.subject_type, found.subject_uid), found.name
    delete_record(uow, record_type("attachment"), uid, version=request.form.get("version", type=int))
    flash(_("%(name)s is deleted.", name=name), "success")
    return redirect(address, 303)


def attachment_api() -> ApiBlueprint:
    """Return the blueprint of uploading and downloading; listing, renaming and deleting are the record type's."""
    blueprint = ApiBlueprint("api_files", __name__, url_prefix="/api", description="Files on records")
    blueprint.add_url_rule("/attachments", "attach", own_unit(_uploads(blueprint)), tags=["attachments"])
    blueprint.add_url_rule("/attachments/<uuid:uid>/file", "file", _downloads(blueprint), tags=["attachments"])
    return blueprint


def _uploads(blueprint: ApiBlueprint) -> Any:
    parts = {
        "type": "object",
        "required": ["file", "subject_type", "subject_id"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "subject_type": {"type": "string"},
            "subject_id": {"type": "string", "format": "uuid"},
            "name": {"type": "string", "description": "instead of the file's own name"},
        },
    }

    @permission("attachment.create")
    class Uploads(MethodView):
        @documented(
            blueprint,
            summary="Attach a file to a record; what it is, is found in its content",
            requestBody={"required": True, "content": {"multipart/form-data": {"schema": parts}}},
            responses=changing_answers(201, read_schema(record_type("attachment")), 404, 413, 422),
        )
        def post(self) -> Response:
            return _taken(_answer)

    return Uploads


def _downloads(blueprint: ApiBlueprint) -> type[MethodView]:
    @permission("attachment.read")
    class Downloads(MethodView):
        @documented(
            blueprint,
            summary="Download the content of an attachment",
            responses={
                **reading_answers(AttachmentSchema, 404),
                "200": {
                    "description": "The content; 206 for a range of it, 304 when it is known",
                    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
                },
            },
        )
        def get(self, uid: UUID) -> Response:
            return download(uid)

    return Downloads


def _answer(uow: UnitOfWork, made: Attachment) -> Response:
    headers = {"ETag": etag_of(made.version), "Location": url_for("api_attachment.one", uid=made.uid)}
    return json_response(read_one(uow, record_type("attachment"), made.uid), 201, headers)


def _taken(then: Callable[[UnitOfWork, Attachment], Result]) -> Result:
    """Receive the request's file, attach it in a unit of work of its own, and return what ``then`` makes of it."""
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise InvalidInput({"file": [_("Choose a file.")]})
    subject_type, subject_uid = _subject()
    received = storage().receive(sent.stream, most=most_bytes())  # type: ignore[arg-type]
    try:
        with open_unit() as uow:
            name = request.form.get("name", "").strip() or sent.filename

            def work() -> Result:
                made = attach(uow, received, name=name, subject_type=subject_type, subject_uid=subject_uid)
                return then(uow, made)

            said = f"{received.digest} {subject_type} {subject_uid} {name}"
            return cast("Result", once(uow, work, content=said)) if wants_once() else work()
    finally:
        received.discard()


def _subject() -> tuple[str, UUID]:
    given = {name: request.form.get(name, "") for name in ("subject_type", "subject_id")}
    about = load_with(AttachmentSchema, {**given, "name": "-"})
    return about["subject_type"], about["subject_uid"]


def _record_page(type_name: str, uid: UUID) -> str:
    return url_for(f"{record_type(type_name).endpoint}_detail", uid=uid, _anchor="panel-kernel-files")
