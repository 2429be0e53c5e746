"""``POST /api/webhooks/{id}/secret``: the signing secret of a webhook, read or replaced; the one thing no schema shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.access.policy import authorize
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.services import rotate_secret
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])


class SecretSchema(Schema):
    """The secret that signs what a webhook is sent."""

    secret = fields.String(required=True)


class SecretChangeSchema(Schema):
    """What to do with the secret."""

    #: Replace it; without, it is only shown.
    replace = fields.Boolean(load_default=False)
    #: The new one, if the receiver has one already.
    secret = fields.String(load_default=None, allow_none=True)


def webhook_api() -> Blueprint:
    """Return the blueprint of secrets; register it on the API so that it is documented."""
    blueprint = Blueprint("api_webhook_secret", __name__, url_prefix="/api/webhooks", description="Secrets of webhooks")
    blueprint.add_url_rule("/<uuid:uid>/secret", "secret", _secret(blueprint))
    return blueprint


def _secret(blueprint: Blueprint) -> type[MethodView]:
    @permission("webhook.update")
    class Secret(MethodView):
        @_documented(
            blueprint,
            summary="Show a webhook's signing secret, or replace it: the old one signs beside it for 24 hours",
            requestBody={"required": False, "content": {"application/json": {"schema": SecretChangeSchema}}},
            responses=changing_answers(200, SecretSchema, 404, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            webhook = record_of(uow, record_type("webhook"), uid)
            authorize(uow.actor, "webhook.update", webhook)
            wanted = load_with(SecretChangeSchema, body_of_request())
            if wanted["replace"] or wanted["secret"]:
                rotate_secret(uow, webhook, secret=wanted["secret"])
            # No-store: neither a cache nor an idempotency key keeps it.
            secret = current_secrets(webhook, uow.now)[0]
            return json_response({"secret": secret}, headers={"Cache-Control": "no-store"})

    return Secret


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
