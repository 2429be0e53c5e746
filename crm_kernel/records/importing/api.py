"""``/api/imports``: give a file, learn what becomes of it, take it back.

``POST /api/imports`` with the parts ``file``, ``record_type`` and, if the columns are not named as fields, ``mapping`` (one
source of a mapping file, as TOML); ``dry_run=true`` tells the verdicts and changes nothing, ``/start`` then imports. An
import under way is stopped and gone on with, a draft discarded, and the rows it did not take are read as a file. Mappings that are kept are
those of the pages: ``saved`` names one, ``save_as`` keeps the one that is sent.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import Response, g, request, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import json_response
from crm_kernel.records.importing import preparing, runs, undoing
from crm_kernel.records.importing.error_files import error_file, problem_text, streamed
from crm_kernel.records.importing.forms import mapping_of
from crm_kernel.records.importing.jobs import start_import, start_undo
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.importing.mappings_api import add_mappings
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.importing.uploads import kept_upload
from crm_kernel.records.importing.verdict_files import verdict_file
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import own_unit, permission

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
    review = fields.Integer(required=True)
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
    add_mappings(blueprint)
    blueprint.add_url_rule("/<uuid:uid>", "one", _single(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/errors", "errors", _errors(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/verdicts", "verdicts", _verdicts(blueprint))
    blueprint.add_url_rule("/<uuid:uid>/start", "start", _acting(blueprint, "start"))
    blueprint.add_url_rule("/<uuid:uid>/stop", "stop", _acting(blueprint, "stop"))
    blueprint.add_url_rule("/<uuid:uid>/undo", "undo", _acting(blueprint, "undo"))
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
            "saved": {"type": "string", "format": "uuid", "description": "A mapping that is kept, instead of one"},
            "save_as": {"type": "string", "description": "Keep the mapping under this name"},
            "share": {"type": "string", "enum": ["true", "false"], "description": "Offer it to everybody"},
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

        def delete(self, uid: UUID) -> Response:
            preparing.discard(current_uow(), uid)
            return Response(status=204)

    reads = {"summary": "Read how far an import is", "responses": reading_answers(ImportSchema, 404)}
    drops = {
        "summary": "Discard a draft: its rows and its file are deleted",
        "responses": changing_answers(204, None, 404, 409),
    }
    Import.get = cast("Any", blueprint.doc(**reads)(Import.get))  # type: ignore[method-assign]
    Import.delete = cast("Any", blueprint.doc(**drops)(Import.delete))  # type: ignore[method-assign]
    return Import


def _undo(uow: UnitOfWork, uid: UUID) -> ImportRun:
    run = undoing.begin_undo(uow, uid)
    start_undo(uow, run)
    return run


#: Verb → what it does to a run, the status of the answer, and how the document says it.
_VERBS: dict[str, tuple[Callable[[UnitOfWork, UUID], ImportRun], int, str]] = {
    "start": (preparing.start, 202, "Import a checked file, or go on with a stopped import, in the background"),
    "stop": (preparing.stop, 200, "Stop an import after the rows at hand"),
    "undo": (_undo, 202, "Take an import back in the background"),
}


def _acting(blueprint: Blueprint, verb: str) -> type[MethodView]:
    act, status, summary = _VERBS[verb]

    @permission("authenticated")
    class Acting(MethodView):
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            return json_response(_described(uow, act(uow, uid)), status)

    takes = {"summary": summary, "responses": changing_answers(status, ImportSchema, 404, 409)}
    Acting.post = cast("Any", blueprint.doc(**takes)(Acting.post))  # type: ignore[method-assign]
    return Acting


def _errors(blueprint: Blueprint) -> type[MethodView]:
    @own_unit
    @permission("authenticated")
    class Errors(MethodView):
        def get(self, uid: UUID) -> Response:
            return streamed(error_file(g.crm_actor, uid))

    summary = "Read the rows that are not imported as a file, to be corrected and imported again"
    Errors.get = cast("Any", _sends(blueprint, summary, "The rows, each with why.")(Errors.get))  # type: ignore[method-assign]
    return Errors


def _verdicts(blueprint: Blueprint) -> type[MethodView]:
    @own_unit
    @permission("authenticated")
    class Verdicts(MethodView):
        def get(self, uid: UUID) -> Response:
            return streamed(verdict_file(g.crm_actor, uid))

    summary = "Read the rows of a checked file as a file, with what would become of each"
    told = "The rows, each with its verdict and what is wrong with it."
    Verdicts.get = cast("Any", _sends(blueprint, summary, told)(Verdicts.get))  # type: ignore[method-assign]
    return Verdicts


def _sends(blueprint: Blueprint, summary: str, told: str) -> Any:
    """Return what documents an operation that sends a file of rows."""
    file = {"schema": {"type": "string", "format": "binary"}}
    answer = {"description": told, "content": {"text/csv": file, "application/jsonl": file}}
    return blueprint.doc(summary=summary, responses=reading_answers(ImportSchema, 404) | {"200": answer})


def _begun(uow: UnitOfWork) -> ImportRun:
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise InvalidInput({"file": [_("Choose a file.")]})
    kind = record_type(request.form.get("record_type", ""))
    preparing.refuse_importer(uow.actor, kind)
    with kept_upload(sent.stream, sent.filename) as path:
        run = preparing.draft_run(uow, path, kind)
        said = _said(uow, kind.name)
        meaning = plain_mapping(path, kind.name) if said is None else mapping_of(said, path.name, plan_of(kind))
        session = ImportSession(meaning, path.parent)
        preparing.set_mapping(uow, run, meaning, session)
        _keep(uow, kind.name, said)
    if request.form.get("dry_run") == "true":
        preparing.rehearse(uow, run, session)
    else:
        run.state, run.started_at = RunState.RUNNING, uow.now
        start_import(uow, run)
    return run


def _said(uow: UnitOfWork, kind: str) -> dict[str, Any] | None:
    """Return the source of a mapping that the request sends or names, None for neither."""
    text, saved = request.form.get("mapping", "").strip(), request.form.get("saved", "").strip()
    if text and saved:
        raise InvalidInput({"saved": [_("Send a mapping or name one, not both.")]})
    if saved:
        kept = next((one for one in preparing.saved_mappings(uow, kind) if str(one.uid) == saved), None)
        if kept is None:
            raise InvalidInput({"saved": [_("There is no such mapping of these records.")]})
        return dict(kept.source)
    try:
        return tomllib.loads(text) if text else None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput({"mapping": [_("cannot be read: %(reason)s.", reason=error)]}) from error


def _keep(uow: UnitOfWork, kind: str, said: dict[str, Any] | None) -> None:
    name = request.form.get("save_as", "").strip()
    if name and said is None:
        raise InvalidInput({"save_as": [_("Send the mapping that is to be kept.")]})
    if name and said is not None:
        audience = "all" if request.form.get("share") == "true" else "own"
        preparing.save_mapping(uow, name[:120], kind, said, audience=audience)


def _numbers(run: ImportRun) -> dict[str, Any]:
    names = ("created", "updated", "unchanged", "skipped", "review", "refused")
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
    if not runs.may_read_file(uow.actor, run):
        return {**_numbers(run), "problems": []}
    query = sa.select(ImportRow).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(("refused", "review")))
    rows = uow.session.scalars(query.order_by(ImportRow.id).limit(_PROBLEMS))
    told = [
        {"row": row.number, "source": row.source, "text": " · ".join(map(problem_text, row.problems or ()))}
        for row in rows
    ]
    return {**_numbers(run), "problems": told}
