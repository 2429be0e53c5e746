"""Renders the cards that plugins add to pages; one that fails is logged with its name and shown as unavailable."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask import render_template

from crm_kernel.records.pages.masking import masked_context
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.contributions import DashboardTile, Panel
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.cards")


def card_of(uow: UnitOfWork, card: Panel | DashboardTile, *subject: Any) -> dict[str, Any] | None:
    """Return a card as ``{"name", "label", "icon", "body"}``, or None when it has nothing to show.

    ``load`` is called with the unit of work and the subject, if there is one; a failed query of its does not poison
    the transaction of the page.
    """
    body: str | None
    try:
        with attempt(uow):
            context = card.load(uow, *subject)
            body = None if context is None else render_template(card.template, **masked_context(uow.actor, context))
    except Exception:
        log.exception("card %s failed", card.name)
        body = render_template("records/panel_failed.html", panel=card)
    if body is None:
        return None
    return {"name": card.name, "label": card.label, "icon": getattr(card, "icon", None), "body": body}
