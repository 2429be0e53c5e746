"""The part of the customer page that loads later: earlier touch points."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, render_template, request
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.touchpoints.presenting import parse_moment, timeline_context
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("customers", __name__)


@blueprint.get("/customers/<uuid:uid>/timeline")
@permission("customer.read")
def timeline(uid: UUID) -> str:
    """Give the touch points before a moment, as the fragment the timeline adds at its end."""
    uow = current_uow()
    moment = parse_moment(request.args.get("before", ""))
    if moment is None:
        raise NotFound(_("The timeline has no such place: open the customer's page again."))
    customer = record_of(uow, record_type("customer"), uid)
    return render_template("customers/timeline.html", **timeline_context(uow, customer, before=moment))
