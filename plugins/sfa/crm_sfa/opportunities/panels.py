"""What the module adds to others' pages: a customer's open opportunities, what is in progress, the own workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flask import url_for
from flask_babel import format_datetime, format_timedelta, pgettext
from flask_babel import gettext as _

from crm_kernel.contributions import InProgress
from crm_kernel.records.pages.presenting import money_text, plain_text
from crm_sfa.links import opportunity_list, opportunity_page
from crm_sfa.opportunities.hiding import amounts_hidden, hidden_of
from crm_sfa.opportunities.ledger import base_currency
from crm_sfa.opportunities.queries import SHOWN, open_opportunities_of, own_workload, steps_of
from crm_sfa.opportunities.rules import today_of

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork
    from crm_sfa.opportunities.models import Opportunity

#: Category of a stage → icon of its step.
_ICONS = {"won": "trophy", "lost": "thumb-down"}


def customer_panel(uow: UnitOfWork, customer: Customer) -> Mapping[str, Any]:
    """Return the context of the customer page's card; one query."""
    today = today_of(uow)
    found = open_opportunities_of(uow, customer.id)
    amounts, days = not amounts_hidden(uow), not hidden_of(uow, "close_date")
    return {
        "opportunities": [
            {
                "url": opportunity_page(row.uid),
                "name": row.name,
                "stage": row.stage,
                "color": row.color,
                "amount": money_text(row.amount, row.currency) if amounts else "",
                "probability": row.probability,
                "close_date": plain_text(row.close_date) if row.close_date and days else None,
                "late": days and row.close_date is not None and row.close_date < today,
            }
            for row in found
        ],
        "list_url": opportunity_list(customer=customer.uid, status="open") if len(found) == SHOWN else None,
        "new_url": _new_url(uow, customer),
    }


def customer_context(uow: UnitOfWork, customer: Customer) -> Sequence[InProgress]:
    """Return the customer's open opportunities as things in progress, newest first; one query."""
    if not uow.actor.may("sfa.opportunity.read"):
        return []
    found = sorted(open_opportunities_of(uow, customer.id), key=lambda row: row.stage_since, reverse=True)
    amounts, since = not amounts_hidden(uow), not hidden_of(uow, "stage_since")
    return [
        InProgress(
            label=_("Opportunity: %(stage)s", stage=row.stage),
            title=" · ".join(filter(None, (row.name, money_text(row.amount, row.currency) if amounts else ""))),
            url=opportunity_page(row.uid),
            since=row.stage_since if since else None,
            icon="target-arrow",
        )
        for row in found
    ]


def workload_tile(uow: UnitOfWork) -> Mapping[str, Any] | None:
    """Return the context of the start page's card, or None for somebody who has nothing in hand; one query."""
    found = own_workload(uow) if uow.actor.user_id is not None else None
    if found is None or found.deals == 0:
        return None
    mine = opportunity_list(owner="me", status="open")
    late = opportunity_list(owner="me", status="open", close_date__lt=today_of(uow).isoformat())
    facts = [
        {"label": pgettext("opportunities", "Open"), "kind": "number", "text": plain_text(found.deals), "url": mine},
    ]
    if not amounts_hidden(uow):
        facts.append({"label": _("Value"), "kind": "money", "text": value_text(found.value, found), "url": mine})
    if not hidden_of(uow, "close_date"):
        overdue = plain_text(found.overdue)
        facts.append({"label": _("Should have closed"), "kind": "number", "text": overdue, "url": late})
    return {"facts": facts}


class Converted(Protocol):
    """What a sum in the base currency is made of."""

    @property
    def unvalued(self) -> int:
        """How many amounts have no known rate."""

    @property
    def rates_since(self) -> dt.date | None:
        """The oldest day of a rate that was used."""


def value_text(value: Decimal, converted: Converted) -> str:
    """Return a sum in the base currency with the oldest day of its rates, and how many amounts are not in it."""
    missing = converted.unvalued
    parts = [
        money_text(value, base_currency()),
        _("at rates since %(day)s", day=plain_text(converted.rates_since)) if converted.rates_since else "",
        _("%(count)s without an exchange rate left out", count=plain_text(missing)) if missing else "",
    ]
    return ", ".join(filter(None, parts))


def _new_url(uow: UnitOfWork, customer: Customer) -> str | None:
    if not uow.actor.may("sfa.opportunity.create"):
        return None
    return url_for("records.sfa_opportunity_new", customer=str(customer.uid))


def history_panel(uow: UnitOfWork, opportunity: Opportunity) -> Mapping[str, Any]:
    """Return the context of an opportunity's card with its way through the stages; one query."""
    return {
        "steps": [
            {
                "at": row.at,
                "at_text": format_datetime(row.at, "short"),
                "icon": _ICONS.get(row.category, "circle-dashed"),
                "color": row.color or "gray",
                "title": row.stage or _("A stage that was deleted"),
                "body": _("after %(time)s", time=format_timedelta(row.seconds)) if row.seconds is not None else None,
                "actor": row.actor_name,
            }
            for row in steps_of(uow, opportunity.id)
        ]
    }
