"""The REST API of every record type: list, create, read, change, delete and named actions, with their OpenAPI.

``GET /api/customers?status=active&sort=-created_at&limit=50&cursor=…&fields=display_name`` ·
``GET /api/customers?filter={"has": "sale.customer"}`` with the names of ``GET /api/customers/catalogue`` ·
``PATCH /api/customers/{id}`` with ``If-Match`` · ``POST /api/sfa/opportunities/{id}/win``.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from flask import Response, request, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Api, Blueprint

from crm_kernel.errors import InvalidInput
from crm_kernel.records import openapi
from crm_kernel.records.bulk_actions.api import bulk_view, changeable
from crm_kernel.records.catalogue import catalogue_of, described
from crm_kernel.records.plan import plan_of
from crm_kernel.records.projection import json_ready
from crm_kernel.records.reading import count_of, page_of, parse_fields, parse_query, read_one, sees
from crm_kernel.records.record_type import Action, RecordType
from crm_kernel.records.saved_views.opening import expanded
from crm_kernel.records.services import create_record, delete_record, run_action, update_record
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.bodies import receive_body


def register_api(api: Api, record_type: RecordType) -> None:
    """Mount a record type's resource on the API."""
    name = record_type.name.replace(".", "_")
    blueprint = Blueprint(
        f"api_{name}", __name__, url_prefix=f"/api/{record_type.path}", description=str(record_type.label_plural)
    )
    listing, single = _listing(blueprint, record_type), _single(blueprint, record_type)
    blueprint.add_url_rule("", "list", listing, tags=[record_type.path])
    blueprint.add_url_rule("/catalogue", "catalogue", _catalogue(blueprint, record_type), tags=[record_type.path])
    if changeable(record_type):
        blueprint.add_url_rule("/bulk", "bulk", bulk_view(blueprint, record_type), tags=[record_type.path])
    blueprint.add_url_rule("/<uuid:uid>", "one", single, tags=[record_type.path])
    for action in record_type.actions:
        blueprint.add_url_rule(
            f"/<uuid:uid>/{action.name}", action.name, _action(blueprint, record_type, action), tags=[record_type.path]
        )
    api.register_blueprint(blueprint)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON: UUIDs, times and dates natively, amounts as text."""
    return Response(orjson.dumps(value, default=json_ready), status, headers, mimetype="application/json")


def etag_of(version: int) -> str:
    """Return the ETag of a record's version."""
    return f'"{version}"'


def version_from_request() -> int | None:
    """Return the version that ``If-Match`` names, or None without one.

    Raises:
        InvalidInput: it is not an ETag of ours.
    """
    text = request.headers.get("If-Match")
    if text is None:
        return None
    found = text.strip().removeprefix("W/").strip('"')
    if not (found.isascii() and found.isdigit() and len(found) < 12):
        raise InvalidInput({"If-Match": [_('Found %(found)s, expected an ETag such as "3".', found=text[:40])]})
    return int(found)


def body_of_request() -> dict[str, Any]:
    """Return the JSON object of the request's body.

    Raises:
        InvalidInput: the body is no JSON object.
        RequestEntityTooLarge: it has more than ``MAX_BODY`` bytes.
    """
    receive_body()  # of a view with units of its own; of others it is there already
    raw = request.get_data()
    try:
        found = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidInput({"body": [_("Not valid JSON: %(error)s.", error=error)]}) from error
    if not isinstance(found, dict):
        raise InvalidInput({"body": [_("Expected a JSON object, found %(found)s.", found=type(found).__name__)]})
    return found


def _representation(record_type: RecordType, record: Any, status: int = 200) -> Response:
    uow = current_uow()
    uow.session.flush()
    headers = {"ETag": etag_of(record.version)}
    if status == 201:
        headers["Location"] = url_for(f"api_{record_type.name.replace('.', '_')}.one", uid=record.uid)
    if not sees(uow, record_type, record.uid):  # handed over to somebody else: done, and no longer his to read
        return Response(status=status if status == 201 else 204, headers=headers)
    return json_response(read_one(uow, record_type, record.uid), status, headers)


def _listing(blueprint: Blueprint, record_type: RecordType) -> type[MethodView]:
    class Listing(MethodView):
        crm_permission = {"default": record_type.permission("read"), "POST": record_type.permission("create")}

        @blueprint.doc(**openapi.list_operation(record_type))
        def get(self) -> Response:
            arguments = [pair for pair in request.args.items(multi=True) if pair[0] != "count"]
            arguments = expanded(current_uow(), record_type, arguments)
            query = parse_query(record_type, arguments, actor=current_uow().actor)
            page = page_of(current_uow(), record_type, query)
            body: dict[str, Any] = {"items": page.items, "next_cursor": page.next_cursor}
            if request.args.get("count") == "true":
                count = count_of(current_uow(), record_type, query)
                body |= {"count": count.number, "count_is_exact": count.exact}
            return json_response(body)

        if "create" in record_type.verbs:

            @blueprint.doc(**openapi.create_operation(record_type))
            def post(self) -> Response:
                return _representation(record_type, create_record(current_uow(), record_type, body_of_request()), 201)

    return Listing


def _catalogue(blueprint: Blueprint, record_type: RecordType) -> type[MethodView]:
    class Fields(MethodView):
        crm_permission = {"default": record_type.permission("read")}

        @blueprint.doc(**openapi.catalogue_operation(record_type))
        def get(self) -> Response:
            return json_response(described(catalogue_of(plan_of(record_type), current_uow().actor)))

    return Fields


def _single(blueprint: Blueprint, record_type: RecordType) -> type[MethodView]:
    class Single(MethodView):
        crm_permission = {
            "default": record_type.permission("read"),
            "PATCH": record_type.permission("update"),
            "DELETE": record_type.permission("delete"),
        }

        @blueprint.doc(**openapi.read_operation(record_type))
        def get(self, uid: UUID) -> Response:
            wanted = request.args.get("fields")
            fields = parse_fields(plan_of(record_type), wanted, ()) if wanted else None
            item = read_one(current_uow(), record_type, uid, fields)
            etag = etag_of(item["version"])
            if request.if_none_match.contains(etag.strip('"')):
                return Response(status=304, headers={"ETag": etag})
            return json_response(item, headers={"ETag": etag})

        if "update" in record_type.verbs:

            @blueprint.doc(**openapi.update_operation(record_type))
            def patch(self, uid: UUID) -> Response:
                version, body = version_from_request(), body_of_request()
                return _representation(
                    record_type, update_record(current_uow(), record_type, uid, body, version=version)
                )

        if "delete" in record_type.verbs:

            @blueprint.doc(**openapi.delete_operation(record_type))
            def delete(self, uid: UUID) -> Response:
                delete_record(current_uow(), record_type, uid, version=version_from_request())
                return Response(status=204)

    return Single


def _action(blueprint: Blueprint, record_type: RecordType, action: Action) -> type[MethodView]:
    class Perform(MethodView):
        crm_permission = {"default": record_type.permission(action.name)}

        @blueprint.doc(**openapi.action_operation(record_type, action))
        def post(self, uid: UUID) -> Response:
            version, body = version_from_request(), body_of_request()
            return _representation(
                record_type, run_action(current_uow(), record_type, uid, action, body, version=version)
            )

    return Perform
