"""``/api/imports``: give a file, learn what becomes of it, take it back.

``POST /api/imports`` with the parts ``file``, ``record_type`` and, if the columns are not named as fields, ``mapping`` (one
source of a mapping file, as TOML); ``dry_run=true`` tells the verdicts and changes nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import Response, request, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import json_response
from crm_kernel.records.importing import preparing, runs, undoing
from crm_kernel.records.importing.error_files import problem_text
from crm_kernel.records.importing.forms import mapping_of
from crm_kernel.records.importing.jobs import start_import, start_undo
from crm_kernel.records.importing.mapping import Mapping, plain_mapping
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

#: Problems that one answer lists.
_PROBLEMS = 100


class ImportProblemSchema(Schema):
    """Why one row was refused."""

    row = fields.Integer(required=True)
    source = fields.Integer(required=True)
    text = fields.String(required=True)


class ImportSchema(Schema):
    """One import: how far it is and what it did."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
    finished_at = fields.AwareDateTime(required=True, allow_none=True)
    total = fields.Integer(required=True)
    done = fields.Integer(required=True)
    created = fields.Integer(required=True)
    updated = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    failure = fields.String(required=True, allow_none=True)
    undo = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True, allow_none=True)
    problems = fields.List(fields.Nested(ImportProblemSchema), required=True)


class ImportListSchema(Schema):
    """The newest imports, without their problems."""

    items = fields.List(fields.Nested(ImportSchema), required=True)


def import_api() -> Blueprint:
    """Return the blueprint of ``/api/imports``; register it on the API so that it is documented."""
    blueprint = Blueprint("api_imports", __name__, url_prefix="/api/imports", description="Imports of files")
    blueprint.add_url_rule("", "all", _listing(blueprint))
    blueprint.add_url_rule("/<uuid:uid>", "one", _single(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/undo", "undo", _undoing(blueprint))
    return blueprint


def _listing(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Imports(MethodView):
        def get(self) -> Response:
            found = runs.recent_runs(current_uow())
            return json_response({"items": [{**_numbers(run), "problems": []} for run in found]})

        def post(self) -> Response:
            uow = current_uow()
            run = _begun(uow)
            headers = {"Location": url_for("api_imports.one", uid=run.uid)}
            return json_response({**_numbers(run), "problems": []}, 202, headers)

    parts = {
        "type": "object",
        "required": ["file", "record_type"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "record_type": {"type": "string", "description": "customer, sfa.opportunity, …"},
            "mapping": {"type": "string", "description": "One source of a mapping file, as TOML"},
            "dry_run": {"type": "string", "enum": ["true", "false"]},
        },
    }
    body = {"required": True, "content": {"multipart/form-data": {"schema": parts}}}
    reads = {"summary": "List imports, newest first", "responses": reading_answers(ImportListSchema)}
    takes = {
        "summary": "Import a file in the background",
        "requestBody": body,
        "responses": changing_answers(202, ImportSchema, 404, 413, 422),
    }
    Imports.get = cast("Any", blueprint.doc(**reads)(Imports.get))  # type: ignore[method-assign]
    Imports.post = cast("Any", blueprint.doc(**takes)(Imports.post))  # type: ignore[method-assign]
    return Imports


def _single(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Import(MethodView):
        def get(self, uid: UUID) -> Response:
            return json_response(_described(current_uow(), runs.run_of(current_uow(), uid)))

    reads = {"summary": "Read how far an import is", "responses": reading_answers(ImportSchema, 404)}
    Import.get = cast("Any", blueprint.doc(**reads)(Import.get))  # type: ignore[method-assign]
    return Import


def _undoing(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Undo(MethodView):
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            run = undoing.begin_undo(uow, uid)
            start_undo(uow, run)
            return json_response(_described(uow, run), 202)

    takes = {
        "summary": "Take an import back in the background",
        "responses": changing_answers(202, ImportSchema, 404, 409),
    }
    Undo.post = cast("Any", blueprint.doc(**takes)(Undo.post))  # type: ignore[method-assign]
    return Undo


def _begun(uow: UnitOfWork) -> ImportRun:
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise InvalidInput({"file": [_("Choose a file.")]})
    kind = record_type(request.form.get("record_type", ""))
    preparing.refuse_importer(uow.actor, kind)
    path = preparing.keep_upload(sent.stream, sent.filename)
    run = preparing.draft_run(uow, path, kind)
    meaning = _meaning(path, kind.name)
    session = ImportSession(meaning, path.parent)
    preparing.set_mapping(uow, run, meaning, session)
    if request.form.get("dry_run") == "true":
        preparing.rehearse(uow, run, session)
    else:
        run.state, run.started_at = RunState.RUNNING, uow.now
        start_import(uow, run)
    return run


def _meaning(path: Path, kind: str) -> Mapping:
    text = request.form.get("mapping", "").strip()
    if not text:
        return plain_mapping(path, kind)
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput({"mapping": [_("cannot be read: %(reason)s.", reason=error)]}) from error
    return mapping_of(said, path.name, plan_of(record_type(kind)))


def _numbers(run: ImportRun) -> dict[str, Any]:
    names = ("created", "updated", "unchanged", "skipped", "refused")
    numbers = {name: sum(counts.get(name, 0) for counts in run.counts) for name in (*names, "total")}
    return {
        "id": run.uid,
        "name": run.name,
        "state": run.state,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        **numbers,
        "done": sum(numbers[name] for name in names),
        "failure": run.failure,
        "undo": run.undo,
    }


def _described(uow: UnitOfWork, run: ImportRun) -> dict[str, Any]:
    query = sa.select(ImportRow).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(("refused", "review")))
    rows = uow.session.scalars(query.order_by(ImportRow.id).limit(_PROBLEMS))
    told = [
        {"row": row.number, "source": row.source, "text": " · ".join(map(problem_text, row.problems or ()))}
        for row in rows
    ]
    return {**_numbers(run), "problems": told}
