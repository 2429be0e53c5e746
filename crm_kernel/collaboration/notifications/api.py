"""``/api/notifications``: one's own, marking them read, and how one wants to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.collaboration.api import documented
from crm_kernel.collaboration.notifications.kinds import DIGESTS
from crm_kernel.collaboration.notifications.queries import notifications_of, settings_of, unread_count
from crm_kernel.collaboration.notifications.services import mark_read, save_settings
from crm_kernel.errors import StaleVersion
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.conditional import digest_of
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


class ToldSchema(Schema):
    """One notification, its text in the reader's language."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    text = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
    read_at = fields.AwareDateTime(required=True, allow_none=True)
    subject_type = fields.String(required=True, allow_none=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    url = fields.String(required=True, allow_none=True)


class ToldPageSchema(Schema):
    """One page of notifications, newest first."""

    items = fields.List(fields.Nested(ToldSchema), required=True)
    earlier = fields.UUID(required=True, allow_none=True)
    unread = fields.Integer(required=True)


class AskedSchema(Schema):
    """Which page is asked for."""

    before = fields.UUID(load_default=None)


class ReadSchema(Schema):
    """Which notifications are read; all of them without ``ids``."""

    ids = fields.List(fields.UUID(), load_default=None, validate=validate.Length(max=500))


class MarkedSchema(Schema):
    """How many were unread until now."""

    marked = fields.Integer(required=True)


class WaySchema(Schema):
    """How one is told of one kind."""

    kind = fields.String(required=True)
    label = fields.String(dump_only=True, required=True)
    in_app = fields.Boolean(required=True)
    email = fields.String(required=True, validate=validate.OneOf(list(DIGESTS)))


class WaysSchema(Schema):
    """How one is told of each kind."""

    kinds = fields.List(fields.Nested(WaySchema), required=True)


_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The ETag that the settings were read with: refused if they are not the same any more.",
    "schema": {"type": "string"},
}


def notification_api() -> Blueprint:
    """Return the blueprint of notifications; register it on the API so that it is documented."""
    blueprint = Blueprint("api_notifications", __name__, url_prefix="/api", description="What one is told")
    tags: dict[str, Any] = {"tags": ["notifications"]}
    blueprint.add_url_rule("/notifications", "list", _listing(blueprint), **tags)
    blueprint.add_url_rule("/notifications/read", "read", _reading(blueprint), **tags)
    blueprint.add_url_rule("/notifications/settings", "settings", _settings(blueprint), **tags)
    return blueprint


def _listing(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Notifications(MethodView):
        @documented(
            blueprint,
            summary="List one's own notifications about records one may see now, newest first",
            parameters=[{"in": "query", "name": "before", "schema": {"type": "string", "format": "uuid"}}],
            responses=reading_answers(ToldPageSchema, 422),
        )
        def get(self) -> Response:
            uow = current_uow()
            page = notifications_of(uow, before=load_with(AskedSchema, request.args.to_dict())["before"])
            found = {"items": page.items, "earlier": page.earlier, "unread": unread_count(uow)}
            return json_response(ToldPageSchema().dump(found))

    return Notifications


def _reading(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Read(MethodView):
        @documented(
            blueprint,
            summary="Mark some or all of one's own notifications as read",
            requestBody={"required": True, "content": {"application/json": {"schema": ReadSchema}}},
            responses=changing_answers(200, MarkedSchema, 413, 422),
        )
        def post(self) -> Response:
            ids = load_with(ReadSchema, body_of_request())["ids"]
            return json_response({"marked": mark_read(current_uow(), ids)})

    return Read


def _settings(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Settings(MethodView):
        @documented(blueprint, summary="Tell how one is told of each kind", responses=reading_answers(WaysSchema))
        def get(self) -> Response:
            return json_response({"kinds": settings_of(current_uow())})

        @documented(
            blueprint,
            summary="Choose how one is told; kinds that are not named stay as they are",
            parameters=[_IF_MATCH],
            requestBody={"required": True, "content": {"application/json": {"schema": WaysSchema}}},
            responses=changing_answers(200, WaysSchema, 409, 412, 413, 422),
        )
        def put(self) -> Response:
            uow = current_uow()
            wanted = load_with(WaysSchema, body_of_request())["kinds"]
            _refuse_stale(uow)
            save_settings(uow, {way.pop("kind"): way for way in wanted})
            return json_response({"kinds": settings_of(uow)})

    return Settings


def _refuse_stale(uow: UnitOfWork) -> None:
    """Refuse to change settings that are others by now than those that ``If-Match`` names, if it is sent."""
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return
    now = digest_of(json_response({"kinds": settings_of(uow)}).get_data())
    if not request.if_match.contains_weak(now):
        raise StaleVersion(_("The settings have changed since you read them: read them again."))
