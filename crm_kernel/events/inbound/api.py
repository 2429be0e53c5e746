"""``POST /api/webhook-sources/{id}/secret``: where messages are sent to and what signs them, read or replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.access.policy import authorize
from crm_kernel.events.inbound.services import address_of, replace_source_secret
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])


class SourceAccessSchema(Schema):
    """What a sender needs to know."""

    url = fields.String(required=True)
    secret = fields.String(required=True)


class SourceChangeSchema(Schema):
    """What to do with the secret."""

    #: Replace it; without, it is only shown.
    replace = fields.Boolean(load_default=False)


def source_api() -> Blueprint:
    """Return the blueprint of what senders need; register it on the API so that it is documented."""
    blueprint = Blueprint(
        "api_source_secret", __name__, url_prefix="/api/webhook-sources", description="Addresses that take messages"
    )
    blueprint.add_url_rule("/<uuid:uid>/secret", "secret", _secret(blueprint))
    return blueprint


def _secret(blueprint: Blueprint) -> type[MethodView]:
    @permission("webhook_source.update")
    class SourceSecret(MethodView):
        @_documented(
            blueprint,
            summary="Show a source's address and secret, or replace the secret: the old one is good for 24 hours",
            requestBody={"required": False, "content": {"application/json": {"schema": SourceChangeSchema}}},
            responses=changing_answers(200, SourceAccessSchema, 404, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            source = record_of(uow, record_type("webhook_source"), uid)
            authorize(uow.actor, "webhook_source.update", source)
            if load_with(SourceChangeSchema, body_of_request())["replace"]:
                replace_source_secret(uow, source)
            shown = {"url": address_of(source), "secret": current_secrets(source, uow.now)[0]}
            return json_response(shown, headers={"Cache-Control": "no-store"})

    return SourceSecret


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
