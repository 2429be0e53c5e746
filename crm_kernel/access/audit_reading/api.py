"""``GET /api/audit``: the audit log for programs, with the visibility and the field rules of whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.access.audit_reading.asking import MOST, PAGE, entries, entry, question_of
from crm_kernel.access.audit_reading.visibility import READ
from crm_kernel.access.audit_reading.wording import Told, told_by
from crm_kernel.records.api import json_response
from crm_kernel.records.openapi_answers import reading_answers
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission


class ChangeSchema(Schema):
    """One value before and after; references as id and title, both null where they are hidden."""

    field = fields.String(required=True)
    label = fields.String(required=True)
    before = fields.Raw(required=True, allow_none=True)
    after = fields.Raw(required=True, allow_none=True)


class EntrySchema(Schema):
    """Who did what to which record."""

    id = fields.UUID(required=True)
    at = fields.AwareDateTime(required=True)
    actor = fields.String(required=True)
    channel = fields.String(required=True)
    request_id = fields.String(required=True)
    action = fields.String(required=True)
    record_type = fields.String(required=True)
    record = fields.UUID(required=True, allow_none=True)
    changes = fields.List(fields.Nested(ChangeSchema), required=True)


class EntriesSchema(Schema):
    """A page of the log, newest first."""

    items = fields.List(fields.Nested(EntrySchema), required=True)
    next_cursor = fields.UUID(required=True, allow_none=True)


def audit_api() -> Blueprint:
    """Return the blueprint of ``/api/audit``; register it on the API so that it is documented."""
    blueprint = Blueprint("api_audit", __name__, url_prefix="/api/audit", description="Who did what")
    blueprint.add_url_rule("", "list", _list(blueprint))
    blueprint.add_url_rule("/<uuid:uid>", "one", _one(blueprint))
    return blueprint


def _list(blueprint: Blueprint) -> type[MethodView]:
    @permission(READ)
    class Entries(MethodView):
        def get(self) -> Response:
            uow = current_uow()
            question = question_of(uow, request.args.to_dict())
            found = entries(uow, question, more=1)
            shown = found[: question.limit]
            items = [_item(row, told) for row, told in zip(shown, told_by(uow, shown), strict=True)]
            return json_response({"items": items, "next_cursor": shown[-1].uid if len(found) > len(shown) else None})

    operation = {
        "summary": "List who did what, newest first; without a person, record or request, what you did yourself",
        "parameters": [
            _argument("who", "A user's name; for those who oversee the log a job's or system as well."),
            _argument("action", "created, updated, deleted, exported, refused, or another action's name."),
            _argument("record_type", "For example customer."),
            _argument("record", "A record's id.", format="uuid"),
            _argument("channel", "web, api, cli, job, import or system."),
            _argument("request", "The id of a request or of an import run."),
            _argument("since", "From this day of your zone, or this time, on."),
            _argument("until", "To the end of this day, or before this time."),
            _argument("before", "Only older ones: next_cursor of the page before.", format="uuid"),
            {
                "in": "query",
                "name": "limit",
                "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": PAGE},
            },
        ],
        "responses": reading_answers(EntriesSchema, 422),
    }
    Entries.get = cast("Any", blueprint.doc(**operation)(Entries.get))  # type: ignore[method-assign]
    return Entries


def _one(blueprint: Blueprint) -> type[MethodView]:
    @permission(READ)
    class Entry(MethodView):
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            row = entry(uow, uid)
            return json_response(_item(row, told_by(uow, [row])[0]))

    operation = {"summary": "Read one entry of the audit log", "responses": reading_answers(EntrySchema, 404)}
    Entry.get = cast("Any", blueprint.doc(**operation)(Entry.get))  # type: ignore[method-assign]
    return Entry


def _argument(name: str, description: str, **schema: str) -> dict[str, Any]:
    return {"in": "query", "name": name, "description": description, "schema": {"type": "string", **schema}}


def _item(row: Any, told: Sequence[Told]) -> dict[str, Any]:
    same = ("at", "actor", "channel", "request_id", "action", "record_type")
    changes = [{"field": t.field, "label": t.label, "before": t.before, "after": t.after} for t in told]
    return {"id": row.uid, **{name: getattr(row, name) for name in same}, "record": row.record_uid, "changes": changes}
