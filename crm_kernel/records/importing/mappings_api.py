"""``/api/imports/mappings``: the mappings that users keep, for themselves or for all: list those of a record type, delete one."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import Response
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.records.api import json_response
from crm_kernel.records.importing import preparing
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.plan import record_type
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission


class ImportMappingSchema(Schema):
    """A mapping that somebody keeps: one source as a mapping file says it, without the file's name."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    by = fields.String(required=True)
    shared = fields.Boolean(required=True)
    source = fields.Dict(keys=fields.String(), required=True)


class ImportMappingListSchema(Schema):
    """The mappings of a record type that the reader keeps or others share."""

    items = fields.List(fields.Nested(ImportMappingSchema), required=True)


def add_mappings(blueprint: Blueprint) -> None:
    """Add the addresses of kept mappings to those of imports."""
    blueprint.add_url_rule("/mappings/<kind>", "mappings", _mappings(blueprint))
    blueprint.add_url_rule("/mappings/<kind>/<uuid:uid>", "mapping", _mapping(blueprint))


def _mappings(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Mappings(MethodView):
        def get(self, kind: str) -> Response:
            uow = current_uow()
            preparing.refuse_importer(uow.actor, record_type(kind))
            found = preparing.saved_mappings(uow, kind)
            names = preparing.keepers(uow, found)
            told = [
                {"id": one.uid, "name": one.name, "by": names[one.user_id], "shared": one.shared, "source": one.source}
                for one in found
            ]
            return json_response({"items": told})

    reads = {
        "summary": "List the mappings of a record type that are kept or shared, by name",
        "responses": reading_answers(ImportMappingListSchema, 404),
    }
    Mappings.get = cast("Any", blueprint.doc(**reads)(Mappings.get))  # type: ignore[method-assign]
    return Mappings


def _mapping(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Mapping(MethodView):
        def delete(self, kind: str, uid: UUID) -> Response:
            preparing.refuse_importer(current_uow().actor, record_type(kind))
            preparing.delete_mapping(current_uow(), uid, kind)
            return Response(status=204)

    drops = {"summary": "Delete a mapping that you keep", "responses": changing_answers(204, None, 404)}
    Mapping.delete = cast("Any", blueprint.doc(**drops)(Mapping.delete))  # type: ignore[method-assign]
    return Mapping
