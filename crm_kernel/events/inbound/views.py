"""The page that shows an inbound webhook's address and secret, or replaces them: what its record page does not hold."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from crm_kernel.events.inbound.services import address_of, replace_source_secret
from crm_kernel.events.webhooks.views import secret_page
from crm_kernel.web.edge import permission

blueprint = Blueprint("webhook_sources", __name__)


@blueprint.post("/webhook-sources/<uuid:uid>/secret/<any(show, replace):verb>")
@permission("webhook_source.update")
def secret(uid: UUID, verb: str) -> Response:
    """Show address and secret, once the secret is replaced if that was asked for."""
    replace = replace_source_secret if verb == "replace" else None
    return secret_page("webhook_source", uid, replace=replace, address=address_of)
