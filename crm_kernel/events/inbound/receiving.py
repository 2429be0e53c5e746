"""The door for messages of other systems: checked, stored once, answered 202 at once; a job does the rest.

The address says which source it is and the signature, which covers the body, who sends. An unknown address, one that is
switched off and a wrong signature change nothing and say little.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa
from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from uuid_utils.compat import uuid7

from crm_kernel.errors import InvalidInput, NotFound, Unauthenticated
from crm_kernel.events.inbound.models import WebhookSource
from crm_kernel.events.inbound.schemes import SCHEMES
from crm_kernel.events.inbound.storing import digest_of, store_message
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.signing import InvalidSignature
from crm_kernel.records.api import json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_View = TypeVar("_View", bound=Callable[..., Any])
log = logging.getLogger("crm.webhooks")


class ReceivedSchema(Schema):
    """A message that was taken."""

    id = fields.UUID(required=True)


def inbound_api() -> Blueprint:
    """Return the blueprint of ``/api/hooks``; register it on the API so that it is documented."""
    blueprint = Blueprint("api_hook", __name__, url_prefix="/api/hooks", description="Messages of other systems")
    blueprint.add_url_rule("/<token>", "receive", _receive(blueprint))
    return blueprint


def _receive(blueprint: Blueprint) -> type[MethodView]:
    @permission("public")
    class Receive(MethodView):
        @_documented(
            blueprint,
            summary="Take a message of another system; the address is the source's, the signature the sender's",
            security=[],
            requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
            responses=changing_answers(202, ReceivedSchema, 404, 413, 422),
        )
        def post(self, token: str) -> Response:
            uow = current_uow()
            source = _source(uow, token)
            body = request.get_data()
            stored = store_message(uow, source, _checked_id(uow, source, body), request.mimetype, body)
            return json_response({"id": stored}, 202)

    return Receive


def _source(uow: UnitOfWork, token: str) -> WebhookSource:
    wanted = sa.select(WebhookSource).where(WebhookSource.token_digest == digest_of(token), WebhookSource.enabled)
    found = uow.session.scalar(wanted)
    if found is None:
        raise NotFound(_("Nothing takes messages at this address."))
    return found


def _checked_id(uow: UnitOfWork, source: WebhookSource, body: bytes) -> str:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        said = SCHEMES[source.scheme](headers, body, current_secrets(source, uow.now), uow.now)
    except InvalidSignature as error:
        log.warning("a message for %s was refused: %s", source.uid, error)
        raise Unauthenticated(_("The message is not signed as this address expects.")) from error
    if said is None:
        return f"own:{uuid7()}"
    if not (said.isprintable() and len(said) <= 200):
        raise InvalidInput({"webhook-id": [_("Expected at most 200 printable characters.")]})
    return said


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
