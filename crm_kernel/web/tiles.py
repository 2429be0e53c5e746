"""The kernel's own cards on the start page: what is new, through the same list queries as the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import DashboardTile
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.pages.listing import address
from crm_kernel.records.pages.presenting import plain_text, record_url, title_of
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.reading import page_of, parse_query

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Records on a card.
SHOWN = 6


def tiles() -> list[DashboardTile]:
    """Return the cards "new customers" and "latest interactions"; one query each."""
    return [
        DashboardTile(
            name="kernel.new_customers",
            label=_l("New customers"),
            template="kernel/newest.html",
            load=lambda uow: _newest(uow, "customer", "created_at"),
            permission="customer.read",
            order=80,
        ),
        DashboardTile(
            name="kernel.latest_interactions",
            label=_l("Latest interactions"),
            template="kernel/newest.html",
            load=lambda uow: _newest(uow, "interaction", "occurred_at"),
            permission="interaction.read",
            order=81,
        ),
    ]


def _newest(uow: UnitOfWork, name: str, when: str) -> Mapping[str, Any] | None:
    wanted = record_type(name)
    plan = plan_of(wanted)
    if when in hidden_from(uow.actor, plan):  # the order would tell
        return None
    arguments = [("sort", f"-{when}")]
    query = parse_query(wanted, [*arguments, ("limit", str(SHOWN)), ("fields", f"{wanted.title},{when}")])
    items = [
        {"title": title_of(plan, item), "url": record_url(wanted, item["id"]), "when": plain_text(item[when])}
        for item in page_of(uow, wanted, query).items
    ]
    return {"items": items, "all_url": address(wanted, arguments)} if items else None
