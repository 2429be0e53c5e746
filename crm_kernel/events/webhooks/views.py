"""What a webhook's record page does not hold: its signing secret, shown or replaced, and the builder of its condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask_babel import format_datetime
from flask_babel import gettext as _
from werkzeug.wrappers import Response as Answer

from crm_kernel.access.policy import authorize
from crm_kernel.events.webhooks.models import WebhookEndpoint
from crm_kernel.events.webhooks.secrets import current_secrets
from crm_kernel.events.webhooks.services import rotate_secret
from crm_kernel.records.pages.conditions import condition_page, tree_sent
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import update_record
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/<uuid:uid>/secret/<any(show, replace):verb>")
@permission("webhook.update")
def secret(uid: UUID, verb: str) -> Response:
    """Show the secret, once it is replaced if that was asked for."""
    return secret_page("webhook", uid, replace=rotate_secret if verb == "replace" else None)


@blueprint.get("/webhooks/<uuid:uid>/condition")
@permission("webhook.update")
def condition(uid: UUID) -> str:
    """Show the filter builder over customers; its address is its state, and a button keeps it."""
    webhook = _changeable(uid)
    return condition_page(
        current_uow(),
        record_type("customer"),
        filter_of(webhook),
        here=url_for("webhooks.condition", uid=uid),
        owner={
            "name": webhook.name,
            "url": url_for("records.webhook_detail", uid=uid),
            "version": webhook.version,
        },
        subtitle=_("Only events about customers that fit are sent. Whoever keeps it becomes the webhook’s user."),
    )


@blueprint.post("/webhooks/<uuid:uid>/condition")
@permission("webhook.update")
def save_condition(uid: UUID) -> Answer:
    """Keep the condition that the builder shows."""
    _changeable(uid)
    tree = tree_sent()
    changes = {"filter": None if tree is None else orjson.dumps(tree).decode()}
    update_record(current_uow(), record_type("webhook"), uid, changes, version=request.form.get("version", type=int))
    flash(_("Saved."), "success")
    return redirect(url_for("records.webhook_detail", uid=uid), 303)


def filter_of(webhook: WebhookEndpoint) -> Any:
    """Return a webhook's filter as a tree, None for none; a text that is none is no tree, and the builder says so."""
    if not webhook.filter:
        return None
    try:
        return orjson.loads(webhook.filter)
    except orjson.JSONDecodeError:
        return {"": webhook.filter}


def _changeable(uid: UUID) -> WebhookEndpoint:
    uow = current_uow()
    found: WebhookEndpoint = record_of(uow, record_type("webhook"), uid)
    authorize(uow.actor, "webhook.update", found)
    return found


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
