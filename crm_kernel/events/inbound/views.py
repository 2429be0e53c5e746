"""The page that shows where a source takes messages and what signs them, or replaces the secret."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, render_template
from flask_babel import format_datetime

from crm_kernel.access.policy import authorize
from crm_kernel.events.inbound.services import address_of, replace_source_secret
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("webhook_sources", __name__)


@blueprint.post("/webhook-sources/<uuid:uid>/secret/<any(show, replace):verb>")
@permission("webhook_source.update")
def secret(uid: UUID, verb: str) -> Response:
    """Show address and secret, once the secret is replaced if that was asked for; the answer is kept nowhere."""
    uow, type_ = current_uow(), record_type("webhook_source")
    source = record_of(uow, type_, uid)
    authorize(uow.actor, "webhook_source.update", source)
    if verb == "replace":
        replace_source_secret(uow, source)
    previous = source.previous_until if source.previous_until and source.previous_until > uow.now else None
    page = render_template(
        "webhooks/secret.html",
        webhook=source,
        url=address_of(source),
        secret=current_secrets(source, uow.now)[0],
        previous_until=format_datetime(previous, "short") if previous else None,
        back_url=record_url(type_, uid),
    )
    answer = make_response(page)
    answer.headers["Cache-Control"] = "no-store"
    return answer
