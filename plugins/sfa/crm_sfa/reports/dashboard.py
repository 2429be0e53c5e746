"""What the pipeline dashboard shows: tiles and charts over one scope; eight queries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import format_decimal, format_percent, pgettext
from flask_babel import gettext as _

from crm_kernel.errors import Forbidden
from crm_kernel.records.pages.presenting import money_text, plain_text
from crm_sfa.links import opportunity_list
from crm_sfa.opportunities.hiding import AMOUNTS, hidden_of
from crm_sfa.opportunities.ledger import base_currency
from crm_sfa.opportunities.panels import value_text
from crm_sfa.opportunities.rules import today_of
from crm_sfa.pipelines.models import Pipeline
from crm_sfa.reports import charts, queries
from crm_sfa.reports.scope import ReportScope

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def dashboard_context(
    uow: UnitOfWork, scope: ReportScope, teams: Sequence[Any], arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Return the template's context; ``arguments`` are the URL's, as the scope was read from them.

    Raises:
        Forbidden: the figures are made of fields that the actor may not see.
    """
    _refuse_hidden(uow)
    currency = base_currency()
    months = queries.won_by_month(uow, scope)
    region = charts.region_chart(queries.won_by_region(uow, scope), scope, currency)
    return {
        "fields": _filter_fields(uow, teams, arguments),
        "presets": _presets(today_of(uow), arguments),
        "tiles": _tiles(queries.totals_of(uow, scope), queries.days_to_win(uow, scope), scope, currency),
        "charts": [
            charts.funnel_chart(queries.funnel_of(uow, scope), scope, currency),
            charts.month_chart(months, scope, currency),
            *([] if hidden_of(uow, "region") else [region]),
            *([] if hidden_of(uow, "owner") else [charts.rep_chart(queries.won_by_rep(uow, scope), scope, currency)]),
        ],
        "board_url": opportunity_list(view="board", pipeline=arguments.get("pipeline") or None),
        "list_url": opportunity_list(**scope.links()),
    }


def _refuse_hidden(uow: UnitOfWork) -> None:
    hidden = hidden_of(uow, *AMOUNTS, "status", "opened_on", "close_date")
    if hidden:
        text = _("The figures are made of %(fields)s, which your roles do not show.", fields=", ".join(hidden))
        raise Forbidden(text)


def _tiles(totals: queries.Totals, days: queries.DaysToWin, scope: ReportScope, currency: str) -> list[dict[str, Any]]:
    won = opportunity_list(status="won", **scope.closed_links())
    closed = opportunity_list(status__in="won,lost", **scope.closed_links())
    tiles = [
        {
            "label": pgettext("opportunities", "Open"),
            "value": plain_text(totals.open),
            "hint": value_text(totals.open_value, totals),
            "url": opportunity_list(status="open", **scope.links()),
            "icon": "target-arrow",
        },
        {"label": pgettext("opportunities", "Won"), "value": plain_text(totals.won), "url": won, "icon": "trophy"},
        {
            "label": _("Won value"),
            "value": money_text(totals.won_value, currency),
            "hint": _("%(value)s on average", value=_rounded(totals, currency)) if totals.mean_won_value else None,
            "url": won,
            "icon": "cash",
        },
        {
            "label": _("Win rate"),
            "value": "–" if totals.win_rate is None else format_percent(totals.win_rate, "0.0 %"),
            "hint": _("%(count)s lost", count=plain_text(totals.lost)),
            "url": closed,
            "icon": "percentage",
        },
        {
            "label": _("Median days to win"),
            "value": "–" if days.median is None else format_decimal(days.median),
            "hint": None if days.mean is None else _("%(days)s on average", days=format_decimal(days.mean, "#,##0.0")),
            "url": won,
            "icon": "stopwatch",
        },
    ]
    return tiles + ([_without_value(totals, scope)] if totals.won_without_value else [])


def _rounded(totals: queries.Totals, currency: str) -> str:
    mean = totals.mean_won_value
    return money_text(mean and mean.quantize(Decimal(1)), currency)


def _without_value(totals: queries.Totals, scope: ReportScope) -> dict[str, Any]:
    return {
        "label": _("Won without amount"),
        "value": plain_text(totals.won_without_value),
        "hint": _("Counted as won, not in the value"),
        "url": opportunity_list(status="won", amount__empty="true", **scope.closed_links()),
        "icon": "alert-triangle",
    }


def _filter_fields(uow: UnitOfWork, teams: Sequence[Any], arguments: Mapping[str, str]) -> list[dict[str, Any]]:
    pipelines = uow.session.execute(
        sa.select(Pipeline.uid, Pipeline.name).order_by(Pipeline.position, Pipeline.id)
    ).all()
    fields = [
        {"name": "from", "label": _("Closed from"), "kind": "date", "value": arguments.get("from")},
        {"name": "to", "label": _("Closed until"), "kind": "date", "value": arguments.get("to")},
    ]
    for name, label, every, found in (
        ("team", _("Team"), _("All teams"), teams),
        ("pipeline", _("Pipeline"), _("All pipelines"), pipelines),
    ):
        if len(found) > 1:
            choices = [{"value": "", "label": every}, *({"value": str(row.uid), "label": row.name} for row in found)]
            fields.insert(
                0, {"name": name, "label": label, "kind": "choice", "choices": choices, "value": arguments.get(name)}
            )
    return fields


def _presets(today: dt.date, arguments: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return links to usual periods, with the other filters kept."""
    kept = {name: arguments[name] for name in ("pipeline", "team") if arguments.get(name)}
    current = (arguments.get("from", ""), arguments.get("to", ""))
    year = today.replace(month=1, day=1)
    quarter = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    before = (quarter - dt.timedelta(days=1)).replace(day=1)
    last_quarter = before.replace(month=(before.month - 1) // 3 * 3 + 1)
    periods = [
        (_("All time"), "", ""),
        (_("This quarter"), quarter.isoformat(), ""),
        (_("Last quarter"), last_quarter.isoformat(), (quarter - dt.timedelta(days=1)).isoformat()),
        (_("This year"), year.isoformat(), ""),
        (_("Last year"), year.replace(year=year.year - 1).isoformat(), (year - dt.timedelta(days=1)).isoformat()),
    ]
    return [
        {
            "label": label,
            "url": _address({**kept, "from": start, "to": end}),
            "active": current == (start, end),
        }
        for label, start, end in periods
    ]


def _address(arguments: Mapping[str, str]) -> str:
    filters: dict[str, Any] = {name: value for name, value in arguments.items() if value}
    return url_for("sfa.dashboard", **filters)
