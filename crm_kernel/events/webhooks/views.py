"""The page that shows a webhook's signing secret, or replaces it: the one thing its record page does not hold."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, render_template
from flask_babel import format_datetime

from crm_kernel.access.policy import authorize
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.services import rotate_secret
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/<uuid:uid>/secret/<any(show, replace):verb>")
@permission("webhook.update")
def secret(uid: UUID, verb: str) -> Response:
    """Show the secret, once it is replaced if that was asked for; the answer is kept nowhere."""
    uow, type_ = current_uow(), record_type("webhook")
    webhook = record_of(uow, type_, uid)
    authorize(uow.actor, "webhook.update", webhook)
    if verb == "replace":
        rotate_secret(uow, webhook)
    previous = webhook.previous_until if webhook.previous_until and webhook.previous_until > uow.now else None
    page = render_template(
        "webhooks/secret.html",
        webhook=webhook,
        secret=current_secrets(webhook, uow.now)[0],
        previous_until=format_datetime(previous, "short") if previous else None,
        back_url=record_url(type_, uid),
    )
    answer = make_response(page)
    answer.headers["Cache-Control"] = "no-store"
    return answer
