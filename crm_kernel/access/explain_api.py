"""``GET /api/access/explain``: why one may or may not do something; administrators ask it about others too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from crm_kernel.access.explain import explain
from crm_kernel.access.models import ApiToken, AppUser
from crm_kernel.access.policy import authorize
from crm_kernel.errors import NotFound
from crm_kernel.records.api import json_response
from crm_kernel.records.openapi_answers import reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

#: Who may ask about others.
ABOUT_OTHERS = "role.update"


class QuestionSchema(Schema):
    """The arguments of the URL."""

    permission = fields.String(required=True, validate=validate.Length(min=1, max=120))
    user = fields.UUID(load_default=None)
    record = fields.UUID(load_default=None)
    field = fields.String(load_default=None, validate=validate.Length(min=1, max=120))


class StepSchema(Schema):
    """One rule and its answer: true lets through, false refuses, null has no say."""

    rule = fields.String(required=True)
    source = fields.String(required=True)
    answer = fields.Boolean(required=True, allow_none=True)
    text = fields.String(required=True)


class ExplanationSchema(Schema):
    """The policy's verdict and the rules it follows from."""

    user = fields.String(required=True)
    permission = fields.String(required=True)
    record = fields.UUID(required=True, allow_none=True)
    allowed = fields.Boolean(required=True)
    steps = fields.List(fields.Nested(StepSchema), required=True)


def explain_api() -> Blueprint:
    """Return the blueprint of ``/api/access``; register it on the API so that it is documented."""
    blueprint = Blueprint("api_access", __name__, url_prefix="/api/access", description="Why one may or may not")
    blueprint.add_url_rule("/explain", "explain", _view(blueprint))
    return blueprint


def _view(blueprint: Blueprint) -> type[MethodView]:
    @permission("authenticated")
    class Explain(MethodView):
        def get(self) -> Response:
            uow = current_uow()
            question = load_with(QuestionSchema, request.args.to_dict())
            user = asked_about(uow, question["user"])
            token = own_token_prefix(uow) if question["user"] is None else None
            asked = {"token": token, "field": question["field"]}
            found = explain(uow, user, question["permission"], question["record"], **asked)
            return json_response(asdict(found))

    operation = {
        "summary": "Explain whether you, or another user, may use a permission, on one record if given",
        "parameters": [
            _argument("permission", "As in roles: customer.update.", required=True),
            _argument("user", f"Another user's id; needs the permission {ABOUT_OTHERS}.", format="uuid"),
            _argument("field", "A field of the permission's type: may it be seen, or written?"),
            _argument("record", "The id of a record of the permission's type, which you see.", format="uuid"),
        ],
        "responses": reading_answers(ExplanationSchema, 404, 422),
    }
    Explain.get = cast("Any", blueprint.doc(**operation)(Explain.get))  # type: ignore[method-assign]
    return Explain


def _argument(name: str, description: str, *, required: bool = False, **schema: str) -> dict[str, Any]:
    described = {"in": "query", "name": name, "required": required, "description": description}
    return {**described, "schema": {"type": "string", **schema}}


def asked_about(uow: UnitOfWork, wanted: UUID | None) -> AppUser:
    """Return the user the question is about.

    Raises:
        Forbidden: it is another one than who asks, who is no administrator.
        NotFound: there is none.
    """
    if wanted is not None and wanted != uow.actor.user_uid:
        authorize(uow.actor, ABOUT_OTHERS)
    found = uow.session.scalar(sa.select(AppUser).where(AppUser.uid == (wanted or uow.actor.user_uid)))
    if found is None:
        raise NotFound(_("There is no such user."))
    return found


def own_token_prefix(uow: UnitOfWork) -> str | None:
    """Return the prefix of the token that the actor came with, or None."""
    token = None if uow.actor.token_id is None else uow.session.get(ApiToken, uow.actor.token_id)
    return None if token is None else token.prefix
