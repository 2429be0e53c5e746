"""``/api/customers/{id}/consents`` and ``/may-contact``, and the way to suppress a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.access.policy import authorize
from crm_kernel.customers.consent.asking import ask_for_consent, refuse_without_mail
from crm_kernel.customers.consent.gate import ContactVerdict, may_contact
from crm_kernel.customers.consent.ledger import Evidence
from crm_kernel.customers.consent.schemas import ConsentSchema, NewSuppressionSchema
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.calendar import keep_to_calendar, within_calendar
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.openapi_schemas import read_schema
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import page_of, parse_query, read_one, record_of
from crm_kernel.records.services import create_record
from crm_kernel.records.texts import Text
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_View = TypeVar("_View", bound=Callable[..., Any])
_PAGING = ("limit", "cursor", "sort", "channel", "purpose", "status")


class RefusalSchema(Schema):
    """One rule's no."""

    rule = fields.String(required=True)
    reason = fields.String(required=True)
    text = fields.String(required=True)
    next_eligible_at = fields.AwareDateTime(required=True, allow_none=True)


class ProofSchema(Schema):
    """The stored fact that decided."""

    kind = fields.String(required=True)
    id = fields.UUID(required=True)
    says = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    source = fields.String(required=True)


class VerdictSchema(Schema):
    """Whether a customer may be contacted, and why."""

    allowed = fields.Boolean(required=True)
    reason = fields.String(required=True)
    text = fields.String(required=True)
    next_eligible_at = fields.AwareDateTime(required=True, allow_none=True)
    proof = fields.Nested(ProofSchema, required=True, allow_none=True)
    refusals = fields.List(fields.Nested(RefusalSchema), required=True)


class QuestionSchema(Schema):
    """What the gate is asked."""

    channel = fields.String(required=True)
    purpose = fields.String(required=True)
    at = fields.AwareDateTime(load_default=None, validate=within_calendar)


class AskSchema(Schema):
    """What a customer is to be asked by mail."""

    purpose = Text(60, required=True)
    #: Where the customer asked for it.
    form = Text(120, load_default=None)
    form_version = Text(60, load_default=None)
    ip = Text(45, load_default=None)
    user_agent = Text(300, load_default=None)
    note = Text(load_default=None)


class CustomerConsentSchema(ConsentSchema):
    """A fact about the customer that the address names."""

    class Meta:
        """The customer is not said twice."""

        exclude = ("customer",)


def described(verdict: ContactVerdict) -> dict[str, Any]:
    """Return a verdict as JSON-ready values, its texts in the reader's language."""
    shown: dict[str, Any] = VerdictSchema().dump(verdict)
    return shown


def consent_api() -> Blueprint:
    """Return the blueprint of consents; register it on the API so that it is documented."""
    keep_to_calendar(NewSuppressionSchema)
    blueprint = Blueprint("api_contact", __name__, url_prefix="/api", description="May a customer be contacted")
    blueprint.add_url_rule("/customers/<uuid:uid>/consents", "consents", _consents(blueprint))
    blueprint.add_url_rule("/customers/<uuid:uid>/consent-requests", "ask", _asking(blueprint))
    blueprint.add_url_rule("/customers/<uuid:uid>/may-contact", "may_contact", _gate(blueprint))
    blueprint.add_url_rule("/suppressions/values", "suppress", _values(blueprint))
    return blueprint


def _consents(blueprint: Blueprint) -> type[MethodView]:
    shown = read_schema(record_type("consent"))
    page = Schema.from_dict(
        {
            "items": fields.List(fields.Nested(shown), required=True),
            "next_cursor": fields.String(allow_none=True, required=True),
        },
        name="CustomerConsents",
    )

    class Consents(MethodView):
        crm_permission = {"default": "consent.read", "POST": "consent.create"}

        @_documented(
            blueprint,
            summary="List what a customer agreed to and withdrew, the last captured first",
            parameters=[{"in": "query", "name": name, "schema": {"type": "string"}} for name in _PAGING],
            responses=reading_answers(page, 404, 422),
        )
        def get(self, uid: UUID) -> Response:
            uow, type_ = current_uow(), record_type("consent")
            record_of(uow, record_type("customer"), uid)
            given = [(name, request.args[name]) for name in _PAGING if name in request.args]
            page = page_of(uow, type_, parse_query(type_, [*given, ("customer", str(uid))]))
            return json_response({"items": page.items, "next_cursor": page.next_cursor})

        @_documented(
            blueprint,
            summary="Record that a customer agreed, withdrew or said no; facts are added, never changed",
            requestBody={
                "required": True,
                "content": {"application/json": {"schema": CustomerConsentSchema}},
            },
            responses=changing_answers(201, shown, 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow, type_ = current_uow(), record_type("consent")
            customer = record_of(uow, record_type("customer"), uid)
            body = body_of_request()
            if "customer" in body:
                raise InvalidInput({"customer": [_("The customer is named by the address.")]})
            made = create_record(uow, type_, {**body, "customer": str(customer.uid)})
            return json_response(read_one(uow, type_, made.uid), 201)

    return Consents


def _asking(blueprint: Blueprint) -> type[MethodView]:
    @permission("consent.create")
    class Requests(MethodView):
        @_documented(
            blueprint,
            summary="Ask a customer for a consent by e-mail; it waits until the customer confirms it by the mailed link",
            requestBody={"required": True, "content": {"application/json": {"schema": AskSchema}}},
            responses=changing_answers(201, read_schema(record_type("consent")), 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow, type_ = current_uow(), record_type("consent")
            customer = record_of(uow, record_type("customer"), uid)
            authorize(uow.actor, "consent.create", customer)
            data = load_with(AskSchema, body_of_request())
            refuse_without_mail()
            made = ask_for_consent(
                uow, customer, purpose=data.pop("purpose"), source=f"user:{uow.channel}", evidence=Evidence(**data)
            )
            return json_response(read_one(uow, type_, made.uid), 201)

    return Requests


def _gate(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.read")
    class MayContact(MethodView):
        @_documented(
            blueprint,
            summary="Say whether a customer may be contacted, with reason and proof",
            parameters=[
                {"in": "query", "name": "channel", "required": True, "schema": {"type": "string"}},
                {"in": "query", "name": "purpose", "required": True, "schema": {"type": "string"}},
                {"in": "query", "name": "at", "schema": {"type": "string", "format": "date-time"}},
            ],
            responses=reading_answers(VerdictSchema, 404, 422),
        )
        def get(self, uid: UUID) -> Response:
            asked = load_with(QuestionSchema, request.args.to_dict())
            return json_response(described(may_contact(current_uow(), uid, **asked)))

    return MayContact


def _values(blueprint: Blueprint) -> type[MethodView]:
    @permission("suppression.create")
    class Values(MethodView):
        @_documented(
            blueprint,
            summary="Keep an address or a number from being used; only its digest is stored",
            requestBody={"required": True, "content": {"application/json": {"schema": NewSuppressionSchema}}},
            responses=changing_answers(201, read_schema(record_type("suppression")), 413, 422),
        )
        def post(self) -> Response:
            uow = current_uow()
            authorize(uow.actor, "suppression.create")
            data = load_with(NewSuppressionSchema, body_of_request())
            made = suppress(uow, data.pop("value"), source=f"user:{uow.channel}", **data)
            return json_response(read_one(uow, record_type("suppression"), made.uid), 201)

    return Values


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
