"""What the customer page shows of the kernel's own: how to reach it, who belongs with it, what is and was going on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import current_app
from flask_babel import lazy_gettext as _l

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.contributions import InProgress, Panel
from crm_kernel.customers.choices import CHANNELS, CONTACT_STATE_COLORS, CONTACT_STATES
from crm_kernel.customers.models import Customer
from crm_kernel.customers.queries import contact_points_of, relationships_of
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_ICONS = {
    "email": "mail",
    "phone": "phone",
    "mobile": "device-mobile",
    "fax": "file-text",
    "web": "world",
    "social": "share",
}
_LINKS = {"email": "mailto:", "phone": "tel:", "mobile": "tel:", "web": ""}


def panels() -> list[Panel]:
    """Return the cards "contact points" and "relationships"."""
    return [
        Panel(
            name="kernel.contact_points",
            label=_l("Contact points"),
            template="customers/contact_points.html",
            load=_load_contact_points,
            permission="customer.read",
            icon="address-book",
            order=10,
        ),
        Panel(
            name="kernel.relationships",
            label=_l("Relationships"),
            template="customers/relationships.html",
            load=_load_relationships,
            permission="customer.read",
            icon="sitemap",
            order=20,
        ),
    ]


def page_context(uow: UnitOfWork, customer: Customer) -> dict[str, Any]:
    """Return what the customer page shows beside the generic parts: the timeline's first page and what is in progress.

    One query, and at most one per plugin that knows of something in progress.
    """
    from crm_kernel.touchpoints.presenting import timeline_context  # it needs this package's models first

    return {"in_progress": in_progress(uow, customer), **timeline_context(uow, customer)}


def in_progress(uow: UnitOfWork, customer: Customer) -> list[InProgress]:
    """Return what the customer is in the middle of right now, as the plugins know it; a failing one is left out."""
    from crm_kernel._internal.runtime import runtime_of

    manager = runtime_of(current_app).manager
    answers = manager.call_isolated("crm_customer_context", partial(attempt, uow), uow=uow, customer=customer)
    return [item for _plugin, found in answers for item in found or ()]


def _load_contact_points(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    hidden = "contact_points" in hidden_fields(uow.actor, "customer")
    points = [] if hidden else contact_points_of(uow, record)
    if not points:
        return None
    return {
        "points": [
            {
                "icon": _ICONS[point.channel],
                "channel": CHANNELS[point.channel],
                "value": point.value,
                "url": _url(point.channel, point.value_normalized),
                "label": point.label,
                "is_primary": point.is_primary,
                "state": CONTACT_STATES[point.state],
                "color": CONTACT_STATE_COLORS[point.state],
                "since": point.state_since,
            }
            for point in points
        ]
    }


def _url(channel: str, value: str) -> str | None:
    scheme = _LINKS.get(channel)
    return None if scheme is None else f"{scheme}{value.partition(';')[0] if scheme == 'tel:' else value}"


def _load_relationships(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    ties, today = relationships_of(uow, record), uow.now.date()
    if not ties:
        return None
    return {
        "current": [tie for tie in ties if tie.current(today)],
        "past": [tie for tie in ties if not tie.current(today)],
    }
