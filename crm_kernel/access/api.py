"""``/api/tokens``: one's own API tokens, for scripts of our pages that act with the session of a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.access.models import ApiToken
from crm_kernel.access.own import own_token, own_tokens, own_user, refuse_tokens
from crm_kernel.access.services import create_token, revoke_token
from crm_kernel.access.signin.password import is_fresh
from crm_kernel.errors import Forbidden
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.calendar import within_calendar
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.addresses import public_address
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])


class TokenSchema(Schema):
    """An API token as it is read; its secret is not among the fields, because nobody has it."""

    id = fields.UUID(attribute="uid", required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True)
    scopes = fields.List(fields.String(), allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(allow_none=True)
    revoked_at = fields.AwareDateTime(allow_none=True)
    last_used_at = fields.AwareDateTime(allow_none=True)


class NewTokenSchema(Schema):
    """What a new API token needs."""

    name = fields.String(required=True, validate=validate.Length(max=120))
    scopes = fields.List(fields.String(), load_default=None, allow_none=True)
    expires_at = fields.AwareDateTime(load_default=None, allow_none=True, validate=within_calendar)


class CreatedTokenSchema(TokenSchema):
    """A token just made, with the whole bearer token, this once."""

    token = fields.String(required=True)


class TokenPageSchema(Schema):
    """All tokens of the user, newest first."""

    items = fields.List(fields.Nested(TokenSchema), required=True)


def token_api() -> Blueprint:
    """Return the blueprint of ``/api/tokens``; register it on the API so that it is documented."""
    blueprint = Blueprint("api_token", __name__, url_prefix="/api/tokens", description="Your API tokens")
    blueprint.add_url_rule("", "list", _listing(blueprint))
    blueprint.add_url_rule("/<uuid:uid>", "one", _single(blueprint))
    return blueprint


def _listing(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Tokens(MethodView):
        @_documented(
            blueprint,
            summary="List your API tokens; needs the session of a person",
            responses=reading_answers(TokenPageSchema),
        )
        def get(self) -> Response:
            uow = current_uow()
            refuse_tokens(uow.actor)
            return json_response({"items": [_shown(token) for token in own_tokens(uow)]})

        @_documented(
            blueprint,
            summary="Create an API token; needs the session of a person who has proved lately who he is",
            requestBody={"required": True, "content": {"application/json": {"schema": NewTokenSchema}}},
            responses=changing_answers(201, CreatedTokenSchema, 404, 409, 413, 422),
        )
        def post(self) -> Response:
            uow = current_uow()
            refuse_tokens(uow.actor)
            if not is_fresh():
                message = _("Prove who you are again before you create an API token: %(url)s")
                raise Forbidden(message % {"url": public_address("security.verify")})
            made = create_token(uow, own_user(uow), **load_with(NewTokenSchema, body_of_request()))
            headers = {"Location": url_for("api_token.one", uid=made.token.uid), "Cache-Control": "no-store"}
            return json_response({**_shown(made.token), "token": made.secret}, 201, headers)

    return Tokens


def _single(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class OneToken(MethodView):
        @_documented(
            blueprint,
            summary="Read one of your API tokens; needs the session of a person",
            responses=reading_answers(TokenSchema, 404),
        )
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            refuse_tokens(uow.actor)
            return json_response(_shown(own_token(uow, uid)))

        @_documented(
            blueprint,
            summary="Revoke one of your API tokens; needs the session of a person",
            responses=changing_answers(204, None, 404, 409),
        )
        def delete(self, uid: UUID) -> Response:
            uow = current_uow()
            refuse_tokens(uow.actor)
            revoke_token(uow, own_token(uow, uid))
            return Response(status=204)

    return OneToken


def _documented(blueprint: Blueprint, **operation: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**operation))


def _shown(token: ApiToken) -> dict[str, Any]:
    names = ("name", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    return {"id": token.uid, **{name: getattr(token, name) for name in names}}
