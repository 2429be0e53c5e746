"""The calendar page of a record type: days with their first records, and links to everything else.

Without a script it is whole: pages, spans, dates and days are links, and a day that holds more than is shown has a page.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import format_date, format_time, get_locale
from flask_babel import gettext as _

from crm_kernel.access.field_access import writable_plan
from crm_kernel.records.calendars.choosing import calendar_named, calendars_of
from crm_kernel.records.calendars.dates import CalendarDates
from crm_kernel.records.calendars.entries import MOST_COUNTED, DayEntries, entries_of
from crm_kernel.records.calendars.spans import DAY, MONTH, SPANS, WEEK, Days, day_named, days_around, span_named
from crm_kernel.records.columns import said_with
from crm_kernel.records.filter_tree.periods import Clock
from crm_kernel.records.pages.listing import address, replaced
from crm_kernel.records.pages.presenting import record_url, title_of
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of
from crm_kernel.records.reading import ListQuery
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.saved_views.opening import Opened

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Records shown per day of a month and of the other spans; a day alone shows all that are counted.
SHOWN_IN_MONTH, SHOWN = 4, 20


def calendar_context(uow: UnitOfWork, record_type: RecordType, query: ListQuery, found: Opened) -> dict[str, Any]:
    """Return the template's context: the days with their records, and where the other pages are; two queries.

    Raises:
        InvalidInput: the address names a date, a span or a day that there is none of.
    """
    plan, (name, span_text, day_text) = plan_of(record_type), found.calendar
    dates, span = calendar_named(plan, uow.actor, name), span_named(span_text)
    clock = Clock.of(uow.now, uow.actor.timezone)
    page = days_around(day_named(day_text, clock.today), span, _first_weekday())
    fields = tuple(
        dict.fromkeys((record_type.title, *said_with(plan_of(record_type)), *filter(None, (dates.start, dates.end))))
    )
    most = {MONTH: SHOWN_IN_MONTH, DAY: MOST_COUNTED}.get(span, SHOWN)
    read = entries_of(uow, plan, dates, replace(query, fields=fields), page.days, most=most)
    shower = _Shower(plan, dates, clock, page, found.arguments, _new_url(uow, plan, dates))
    return {
        "days": [shower.day(entries) for entries in read],
        "weekdays": [format_date(day, "EEE") for day in page.days[:7]] if span in (MONTH, WEEK) else [],
        "span": span,
        "heading": heading(page),
        "empty": not any(entries.count for entries in read),
        "earlier_url": shower.page_url(page.earlier),
        "later_url": shower.page_url(page.later),
        "today_url": shower.page_url(clock.today),
        "anchor": page.anchor.isoformat(),
        "spans": [shower.span(name, label) for name, label in SPANS.items()],
        "dates": _choices(uow, plan, dates, found.arguments),
        "day_keep": [pair for pair in found.arguments if pair[0] not in ("day", "cursor")],
    }


def heading(page: Days) -> str:
    """Return what a page of days is called: a month, a day, or from one day to another."""
    if page.span == MONTH:
        text = str(format_date(page.anchor, _("MMMM y")))
        return text[:1].upper() + text[1:]
    if page.span == DAY:
        return str(format_date(page.anchor, "full"))
    return f"{format_date(page.days[0], 'long')} – {format_date(page.days[-1], 'long')}"


class _Shower:
    """Turns days into what the template shows, with the addresses of one page."""

    def __init__(
        self,
        plan: TypePlan,
        dates: CalendarDates,
        clock: Clock,
        page: Days,
        arguments: Sequence[tuple[str, str]],
        new_url: str | None,
    ) -> None:
        self.plan, self.dates, self.clock, self.page = plan, dates, clock, page
        self.arguments, self.new_url = arguments, new_url

    def day(self, entries: DayEntries) -> dict[str, Any]:
        """Return one day with its records and, where there are more, how many and where they are."""
        day, hidden = entries.day, entries.count - len(entries.items)
        return {
            "iso": day.isoformat(),
            "number": day.day,
            "label": format_date(day, "full"),
            "today": day == self.clock.today,
            "outside": self.page.outside(day),
            "entries": [self._entry(day, item) for item in entries.items],
            "count": entries.count,
            "more_text": self._more_text(hidden, entries.count) if hidden else None,
            "url": self._url(span=DAY, day=day.isoformat()),
            "new_url": f"{self.new_url}?{self.dates.start}={day.isoformat()}" if self.new_url else None,
            "full": not hidden and entries.count >= MOST_COUNTED,
        }

    def span(self, name: str, label: object) -> dict[str, Any]:
        """Return the link to the same day in another span."""
        url = self._url(span=name, day=self.page.anchor.isoformat())
        return {"label": label, "icon": _ICONS[name], "url": url, "active": name == self.page.span}

    def page_url(self, day: dt.date | None) -> str | None:
        """Return the address of the page that a day is on; None without a day."""
        return None if day is None else self._url(day=day.isoformat())

    def _entry(self, day: dt.date, item: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "title": title_of(self.plan, item),
            "url": record_url(self.plan.record_type, item["id"]),
            "time": self._time(day, item),
        }

    def _time(self, day: dt.date, item: Mapping[str, Any]) -> str | None:
        """Return the time of day at which a record begins; an arrow for one that began on an earlier day."""
        start = item[self.dates.start]
        if self.plan.fields[self.dates.start].kind is Kind.DATE:
            return "←" if start < day else None
        wall = start.astimezone(self.clock.zone)
        return "←" if wall.date() < day else str(format_time(wall.time(), "short", rebase=False))

    def _more_text(self, hidden: int, count: int) -> str:
        if count >= MOST_COUNTED:
            return str(_("more than %(number)s more", number=hidden - 1))
        return str(_("+%(number)s more", number=hidden))

    def _url(self, **changes: str) -> str:
        return address(self.plan.record_type, replaced(self.arguments, **changes))


_ICONS = {"month": "calendar", "week": "columns", "day": "calendar-event", "agenda": "list-details"}


def _first_weekday() -> int:
    locale = get_locale()
    return int(locale.first_week_day) if locale else 0


def _choices(
    uow: UnitOfWork, plan: TypePlan, dates: CalendarDates, arguments: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return the dates that the calendar can go by, with their addresses."""
    return [
        {
            "label": plan.fields[name].label,
            "url": address(plan.record_type, replaced(arguments, calendar=name)),
            "active": name == dates.start,
        }
        for name in calendars_of(plan, uow.actor)
    ]


def _new_url(uow: UnitOfWork, plan: TypePlan, dates: CalendarDates) -> str | None:
    """Return the address of a new record's form that a day can be given to; None where it cannot be or he may not."""
    record_type = plan.record_type
    if "create" not in record_type.verbs or not uow.actor.may(record_type.permission("create")):
        return None
    field: FieldPlan | None = writable_plan(uow.actor, plan).fields.get(dates.start)
    shown = any(dates.start in section.fields for section in record_type.form)
    if field is None or not field.writable or field.kind is not Kind.DATE or not shown:
        return None
    return url_for(f"{record_type.endpoint}_new")
