"""The page and the API of one customer's privacy: what is stored, what erasing would do, the export, the erasure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint as ApiBlueprint

from crm_kernel.access.policy import allowed, authorize
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.erasing import erase, erasure_plan
from crm_kernel.customers.privacy.exporting import (
    note_export,
    refuse_half_sighted,
    subject_archive,
    subject_data,
    subject_page,
)
from crm_kernel.customers.privacy.letting_go import holds_against
from crm_kernel.customers.privacy.record import ERASE, EXPORT, in_words
from crm_kernel.customers.privacy.schemas import (
    EraseCustomerSchema,
    ErasurePlanSchema,
    ErasureReceiptSchema,
    SubjectExportSchema,
)
from crm_kernel.records.api import body_of_request, json_response
from crm_kernel.records.names import called
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import UnitOfWork, current_uow, reading
from crm_kernel.web.edge import channel, own_unit, permission, request_id

blueprint = Blueprint("privacy", __name__)
_View = TypeVar("_View", bound=Callable[..., Any])


@blueprint.get("/customers/<uuid:uid>/privacy")
@permission("customer.read")
def page(uid: UUID) -> str:
    """Show what erasing the customer would do, and the ways to export and erase."""
    uow = current_uow()
    customer = _customer(uow, uid)
    may_erase = allowed(uow.actor, ERASE, customer)
    if not may_erase:
        authorize(uow.actor, EXPORT, customer)
    entries = in_words([asdict(entry) for entry in erasure_plan(uow, customer)]) if may_erase else []
    return render_template(
        "customers/privacy.html",
        customer=customer,
        entries=entries,
        holds=holds_against(uow, [customer.id]),
        may_erase=may_erase,
        may_export=allowed(uow.actor, EXPORT, customer),
        may_hold=allowed(uow.actor, "legal_hold.create", customer),
    )


@blueprint.get("/customers/<uuid:uid>/privacy/export")
@own_unit
@permission(EXPORT)
def download(uid: UUID) -> Response:
    """Give the export as a zip."""
    data, text = _exported(uid)
    answer = Response(subject_archive(data, text), mimetype="application/zip")
    answer.headers["Content-Disposition"] = f'attachment; filename="customer-{uid}.zip"'
    return answer


@blueprint.post("/customers/<uuid:uid>/privacy/erase")
@permission(ERASE)
def erase_now(uid: UUID) -> Any:
    """Erase the customer whose name was typed, and show the receipt."""
    uow = current_uow()
    customer = _customer(uow, uid)
    authorize(uow.actor, ERASE, customer)
    if request.form.get("name", "").strip() != called(customer).strip():
        flash(_("Nothing was erased: type the name exactly as it is shown."), "danger")
        return redirect(url_for("privacy.page", uid=uid), 303)
    receipt = erase(uow, customer)
    flash(_("Erased. This is the receipt."), "success")
    if uow.actor.may("erasure.read"):
        return redirect(url_for("records.erasure_detail", uid=receipt.uid), 303)
    return redirect(url_for("records.customer_list"), 303)


def privacy_api() -> ApiBlueprint:
    """Return the blueprint of the API; register it on the API so that it is documented."""
    found = ApiBlueprint("api_privacy", __name__, url_prefix="/api", description="What a person may ask for")
    found.add_url_rule("/customers/<uuid:uid>/subject-export", "subject_export", _export_view(found))
    found.add_url_rule("/customers/<uuid:uid>/erasure", "erasure", _erasure_view(found))
    return found


def _export_view(api: ApiBlueprint) -> type[MethodView]:
    @permission(EXPORT)
    class SubjectExport(MethodView):
        @_documented(
            api,
            summary="Give everything that is stored about a customer, in all modules",
            responses=reading_answers(SubjectExportSchema, 404),
        )
        def get(self, uid: UUID) -> Response:
            return json_response(_exported(uid)[0])

    # The log tells of the export in a unit of work of its own, before anything is handed out.
    SubjectExport.crm_own_unit = True  # type: ignore[attr-defined]
    return SubjectExport


def _erasure_view(api: ApiBlueprint) -> type[MethodView]:
    @permission(ERASE)
    class SubjectErasure(MethodView):
        @_documented(
            api,
            summary="Say what erasing a customer would do, and which legal holds refuse it; changes nothing",
            responses=reading_answers(ErasurePlanSchema, 404, 409),
        )
        def get(self, uid: UUID) -> Response:
            uow = current_uow()
            customer = _customer(uow, uid)
            authorize(uow.actor, ERASE, customer)
            entries = [asdict(entry) for entry in erasure_plan(uow, customer)]
            holds = [
                {"id": hold.uid, "reason": hold.reason, "since": hold.since}
                for hold in holds_against(uow, [customer.id])
            ]
            return json_response({"entries": entries, "holds": holds})

        @_documented(
            api,
            summary="Erase a customer and everything about it for good, in all modules; answers with the receipt",
            requestBody={"content": {"application/json": {"schema": EraseCustomerSchema}}},
            responses=changing_answers(200, ErasureReceiptSchema, 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            customer = _customer(uow, uid)
            authorize(uow.actor, ERASE, customer)
            data = load_with(EraseCustomerSchema, body_of_request())
            receipt = erase(uow, customer, reason=data["reason"])
            return json_response({"id": receipt.uid, "entries": receipt.entries})

    return SubjectErasure


def _documented(api: ApiBlueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", api.doc(**doc))


def _exported(uid: UUID) -> tuple[dict[str, Any], str]:
    with reading(g.crm_actor, channel=channel(), request_id=request_id()) as uow:
        customer = _customer(uow, uid)
        authorize(uow.actor, EXPORT, customer)
        refuse_half_sighted(uow.actor)
        data = subject_data(uow, customer)
        text = subject_page(data, customer)
        found = customer.uid
    note_export(g.crm_actor, found, channel=channel(), request_id=request_id())
    return data, text


def _customer(uow: UnitOfWork, uid: UUID) -> Customer:
    found: Customer = record_of(uow, record_type("customer"), uid)
    return found
