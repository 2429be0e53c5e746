"""``POST /api/customers/duplicates``: who may already exist, asked before a customer is created. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response, g
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.customers.duplicates.queries import similar_customers
from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.openapi_answers import changing_answers
from crm_kernel.unit_of_work import reading
from crm_kernel.web.edge import own_unit, permission, request_id

_View = TypeVar("_View", bound=Callable[..., Any])


class SimilarSchema(Schema):
    """A stored customer that may be the one at hand."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    probability = fields.Float(required=True)
    #: What agrees, as ``comparison:level``.
    reasons = fields.List(fields.String(), required=True)


class SimilarCustomersSchema(Schema):
    """The customers that may be the one at hand, the likeliest first."""

    items = fields.List(fields.Nested(SimilarSchema), required=True)


def duplicates_api() -> Blueprint:
    """Return the blueprint of the question; register it on the API so that it is documented."""
    blueprint = Blueprint("api_duplicate", __name__, url_prefix="/api/customers", description="Find duplicates")
    blueprint.add_url_rule("/duplicates", "check", _check(blueprint))
    return blueprint


def _check(blueprint: Blueprint) -> type[MethodView]:
    @own_unit  # a POST so that what is typed in stays out of addresses and their logs; it only reads
    @permission("customer.read")
    class Check(MethodView):
        @_documented(
            blueprint,
            summary="Find the customers that a payload as for creating one may describe; the customer of its id is left out",
            requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
            responses=changing_answers(200, SimilarCustomersSchema, 413, 422),
        )
        def post(self) -> Response:
            payload = body_of_request()
            with reading(g.crm_actor, channel="api", request_id=request_id()) as uow:
                found = similar_customers(uow, payload, besides=_uid_in(payload))
            return json_response({"items": [asdict(similar) for similar in found]})

    return Check


def _uid_in(payload: dict[str, Any]) -> UUID | None:
    if payload.get("id") is None:
        return None
    try:
        return UUID(str(payload["id"]))
    except ValueError as error:
        raise InvalidInput({"id": [_("Not a valid UUID.")]}) from error


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
