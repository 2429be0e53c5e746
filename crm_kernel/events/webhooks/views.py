"""What a webhook's record page does not hold: its signing secret, shown or replaced, and the builder of its condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template
from flask_babel import format_datetime
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import authorize
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.services import rotate_secret
from crm_kernel.records.pages.conditions import add_condition_pages
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("webhooks", __name__)
add_condition_pages(
    blueprint,
    "/webhooks/<uuid:uid>/condition",
    record_type="webhook",
    field="filter",
    about="customer",
    subtitle=_l("Only events about customers that fit are sent. Whoever keeps it becomes the webhook’s user."),
)


@blueprint.post("/webhooks/<uuid:uid>/secret/<any(show, replace):verb>")
@permission("webhook.update")
def secret(uid: UUID, verb: str) -> Response:
    """Show the secret, once it is replaced if that was asked for."""
    return secret_page("webhook", uid, replace=rotate_secret if verb == "replace" else None)


def secret_page(
    type_name: str,
    uid: UUID,
    *,
    replace: Callable[[UnitOfWork, Any], object] | None,
    address: Callable[[Any], str] | None = None,
) -> Response:
    """Return the page with the secret of one record, an answer that is kept nowhere.

    Args:
        replace: gives the record a new secret first; None leaves it.
        address: returns where the other side sends to, shown above the secret.

    Raises:
        NotFound: there is no such record, or the actor does not see it.
        Forbidden: he may not change it.
    """
    uow, type_ = current_uow(), record_type(type_name)
    row: Any = record_of(uow, type_, uid)
    authorize(uow.actor, f"{type_name}.update", row)
    if replace is not None:
        replace(uow, row)
    previous = row.previous_until if row.previous_until and row.previous_until > uow.now else None
    page = render_template(
        "webhooks/secret.html",
        webhook=row,
        url=address(row) if address else None,
        secret=current_secrets(row, uow.now)[0],
        previous_until=format_datetime(previous, "short") if previous else None,
        back_url=record_url(type_, uid),
    )
    answer = make_response(page)
    answer.headers["Cache-Control"] = "no-store"
    return answer
