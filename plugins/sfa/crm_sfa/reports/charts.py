"""Turns figures into what the shell's chart component takes: an ECharts option and the table with the same numbers.

Every number carries the address of the list of what it counts. Floats appear only as lengths of bars.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from flask_babel import format_date
from flask_babel import gettext as _

from crm_kernel.records.pages.presenting import money_text, plain_text
from crm_sfa.links import opportunity_list
from crm_sfa.reports.queries import Slice, StageLoad
from crm_sfa.reports.scope import ReportScope

#: Owners drawn in the chart; its table has all.
DRAWN = 12
_AXIS = {"type": "value", "splitNumber": 4, "axisLabel": {"hideOverlap": True}}
#: Room at the right for the last number of the axis.
_GRID = {"left": 8, "right": 28, "top": 12, "bottom": 8, "containLabel": True}


def funnel_chart(stages: Sequence[StageLoad], scope: ReportScope, currency: str) -> dict[str, Any]:
    """Return the chart of what stands in the open stages."""
    names = _stage_names(stages)
    urls = [opportunity_list(status="open", stage=str(stage.uid), **scope.links()) for stage in stages]
    points = [
        _point(name, stage.deals, _deals(stage.deals, money_text(stage.value, currency)), url)
        for name, stage, url in zip(names, stages, urls, strict=True)
    ]
    rows = [
        [
            {"text": name},
            {"text": plain_text(stage.deals), "url": url},
            {"text": money_text(stage.value, currency), "url": url},
            {"text": money_text(stage.weighted, currency)},
        ]
        for name, stage, url in zip(names, stages, urls, strict=True)
    ]
    return {
        "id": "sfa-funnel",
        "title": _("Open opportunities by stage"),
        "option": _bars(names, points, sideways=True),
        "table": _table([_("Stage"), _("Opportunities"), _("Value"), _("Weighted value")], rows),
        "size": "md",
    }


def month_chart(months: Sequence[Slice], scope: ReportScope, currency: str) -> dict[str, Any]:
    """Return the chart of what was won by month; months without a win between the first and the last are drawn too."""
    filled = _without_gaps(months)
    names = [_month_name(part.key) for part in filled]
    urls = [_month_url(part.key, scope) for part in filled]
    return {
        "id": "sfa-months",
        "title": _in(_("Won by month"), currency),
        "option": _bars(names, _values(names, filled, urls, currency)),
        "table": _slice_table(_("Month"), names, filled, urls, currency),
        "size": "md",
    }


def region_chart(regions: Sequence[Slice], scope: ReportScope, currency: str) -> dict[str, Any]:
    """Return the chart of what was won by region."""
    names = [part.key or _("No region") for part in regions]
    urls = [
        opportunity_list(
            status="won", **({"region": part.key} if part.key else {"region__empty": "true"}), **scope.closed_links()
        )
        for part in regions
    ]
    return {
        "id": "sfa-regions",
        "title": _in(_("Won by region"), currency),
        "option": _bars(names, _values(names, regions, urls, currency), sideways=True),
        "table": _slice_table(_("Region"), names, regions, urls, currency),
        "size": "md",
    }


def rep_chart(reps: Sequence[Slice], scope: ReportScope, currency: str) -> dict[str, Any]:
    """Return the chart of what was won by owner: the best are drawn, the table has all."""
    names = [part.key or _("No owner") for part in reps]
    urls = [_rep_url(part, scope) for part in reps]
    points = _values(names, reps, urls, currency)[:DRAWN]
    title = _in(_("Won by representative"), currency)
    return {
        "id": "sfa-reps",
        "title": title,
        "option": _bars(names[:DRAWN], points, sideways=True),
        "table": _slice_table(_("Representative"), names, reps, urls, currency),
        "size": "lg",
        "description": _("The best %(count)s are drawn.", count=DRAWN) if len(reps) > DRAWN else title,
    }


def _stage_names(stages: Sequence[StageLoad]) -> list[str]:
    several = len({stage.pipeline for stage in stages}) > 1
    return [f"{stage.pipeline} · {stage.name}" if several else stage.name for stage in stages]


def _bars(names: Sequence[str], points: Sequence[Mapping[str, Any]], *, sideways: bool = False) -> dict[str, Any]:
    category: dict[str, Any] = {"type": "category", "data": list(names), "axisLabel": {"hideOverlap": True}}
    axes = {"xAxis": _AXIS, "yAxis": {**category, "inverse": True}} if sideways else {"xAxis": category, "yAxis": _AXIS}
    series = [{"type": "bar", "data": list(points)}]
    return {**axes, "grid": _GRID, "tooltip": {"trigger": "item"}, "series": series}


def _values(
    names: Sequence[str], slices: Sequence[Slice], urls: Sequence[str | None], currency: str
) -> list[dict[str, Any]]:
    return [
        _point(name, part.value, _deals(part.deals, money_text(part.value, currency)), url)
        for name, part, url in zip(names, slices, urls, strict=True)
    ]


def _point(name: str, length: Decimal | int, text: str, url: str | None) -> dict[str, Any]:
    # ECharts reads braces in a formatter as placeholders.
    label = f"{name}: {text}".replace("{", "(").replace("}", ")")
    return {"name": name, "value": float(length), "tooltip": {"formatter": label}, **({"url": url} if url else {})}


def _in(title: str, currency: str) -> str:
    return f"{title} ({currency})"


def _deals(count: int, money: str) -> str:
    return f"{money} ({plain_text(count)})"


def _slice_table(
    head: str, names: Sequence[str], slices: Sequence[Slice], urls: Sequence[str | None], currency: str
) -> dict[str, Any]:
    rows = [
        [
            {"text": name},
            {"text": plain_text(part.deals), "url": url},
            {"text": money_text(part.value, currency), "url": url},
        ]
        for name, part, url in zip(names, slices, urls, strict=True)
    ]
    return _table([head, _("Won opportunities"), _("Value")], rows)


def _table(heads: Sequence[str], rows: Sequence[Any]) -> dict[str, Any]:
    columns = [{"label": head, "kind": "number" if place else "text"} for place, head in enumerate(heads)]
    return {"columns": columns, "rows": rows}


def _without_gaps(months: Sequence[Slice]) -> list[Slice]:
    known = {part.key: part for part in months if part.key}
    if not known:
        return list(months)
    first, last = min(known), max(known)
    year, month = int(first[:4]), int(first[5:])
    found = []
    while (key := f"{year}-{month:02}") <= last:
        found.append(known.get(key, Slice(key, 0, Decimal(0))))
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found + [part for part in months if part.key is None]


def _month_name(key: str | None) -> str:
    if key is None:
        return str(_("No close date"))
    return str(format_date(dt.date(int(key[:4]), int(key[5:]), 1), "MMM yyyy"))


def _month_url(key: str | None, scope: ReportScope) -> str:
    if key is None:
        return opportunity_list(status="won", close_date__empty="true", **scope.links())
    first = dt.date(int(key[:4]), int(key[5:]), 1)
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    first, last = max(first, scope.closed_from or first), min(last, scope.closed_to or last)
    period = {"close_date__gte": first.isoformat(), "close_date__lte": last.isoformat()}
    return opportunity_list(status="won", **scope.links(), **period)


def _rep_url(part: Slice, scope: ReportScope) -> str | None:
    if part.key is None:
        return opportunity_list(status="won", owner__empty="true", **scope.closed_links())
    return opportunity_list(status="won", owner=str(part.uid), **scope.closed_links()) if part.uid else None
