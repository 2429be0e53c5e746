"""The days that one page of a calendar holds, whatever stands on them."""

from __future__ import annotations

import datetime as dt

import pytest

from crm_kernel.records.calendars.spans import days_around

DAY = dt.date(2026, 11, 18)


@pytest.mark.parametrize(
    ("span", "weekday", "first", "number"),
    [
        ("month", 0, dt.date(2026, 10, 26), 42),
        ("month", 6, dt.date(2026, 11, 1), 35),
        ("week", 0, dt.date(2026, 11, 16), 7),
        ("week", 6, dt.date(2026, 11, 15), 7),
        ("day", 0, DAY, 1),
        ("agenda", 0, DAY, 31),
    ],
)
def test_a_page_holds_whole_weeks_that_begin_where_the_language_begins_them(span, weekday, first, number):
    page = days_around(DAY, span, weekday)

    assert (page.days[0], len(page.days)) == (first, number)
    assert DAY in page.days
    assert page.days == tuple(first + dt.timedelta(days=n) for n in range(number))


@pytest.mark.parametrize("span", ["month", "week", "day", "agenda"])
def test_going_later_and_back_leads_to_the_same_days(span):
    page = days_around(dt.date(2027, 1, 15), span, 0)

    later = days_around(page.later, span, 0)

    assert later.days != page.days
    assert days_around(later.earlier, span, 0).days == page.days


def test_the_first_and_last_years_have_no_pages_beyond(crm_app):
    with crm_app.test_request_context():
        assert days_around(dt.date(1001, 1, 5), "month", 0).earlier is None
        assert days_around(dt.date(2999, 12, 5), "month", 0).later is None


@pytest.mark.parametrize(("locale", "weekday"), [("fr", 0), ("en_GB", 0), ("en_US", 6), ("ar_EG", 5)])
def test_weeks_begin_with_the_day_that_the_language_says(crm_app, locale, weekday):
    from flask_babel import force_locale

    from crm_kernel.records.pages.calendars import _first_weekday

    with crm_app.test_request_context(), force_locale(locale):
        assert _first_weekday() == weekday
