"""When schedules fire around clock changes: nothing twice, nothing left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from crm_kernel.jobs.cron import InvalidSchedule, checked_cron, checked_zone, next_fire

PARIS = ZoneInfo("Europe/Paris")


def _fires(cron, zone, start, count):
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        moment = next_fire(cron, zone, moment)
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z"))
    return found


def test_a_time_that_does_not_exist_fires_once_at_the_end_of_the_gap():
    assert _fires("30 2 * * *", "Europe/Paris", "2026-03-28T00:00", 3) == [
        "03-28 02:30+0100",
        "03-29 03:00+0200",
        "03-30 02:30+0200",
    ]


def test_a_time_that_comes_twice_fires_the_first_time_only():
    assert _fires("30 2 * * *", "Europe/Paris", "2026-10-24T12:00", 2) == ["10-25 02:30+0200", "10-26 02:30+0100"]


def test_every_half_hour_goes_by_elapsed_time_through_both_changes():
    for start in ("2026-10-24T22:00", "2026-03-28T22:00"):
        moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
        for _ in range(20):
            following = next_fire("*/30 * * * *", "Europe/Paris", moment)
            assert following - moment == timedelta(minutes=30)
            moment = following


def test_a_day_that_a_place_left_out_fires_once_when_it_is_over():
    # Samoa went from 29 to 31 December 2011.
    assert _fires("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", 3) == [
        "12-29 12:00-1000",
        "12-31 00:00+1400",
        "12-31 12:00+1400",
    ]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"])
def test_ten_years_of_a_nightly_schedule_fire_once_a_day(zone):
    moment, days = datetime(2026, 1, 1, 18, tzinfo=UTC), []
    while moment.year < 2036:
        following = next_fire("15 2 * * *", zone, moment)
        assert following > moment
        moment = following
        days.append(moment.astimezone(ZoneInfo(zone)).date())

    assert [b - a for a, b in pairwise(days)] == [timedelta(days=1)] * (len(days) - 1)


@pytest.mark.parametrize("wrong", ["* * *", "0 0 30 2 *", "61 * * * *", "R * * * *", "* * * * * *", "@daily", ""])
def test_what_never_fires_or_cannot_be_foretold_is_refused_with_an_example(wrong):
    with pytest.raises(InvalidSchedule, match="30 3"):
        checked_cron(wrong)


def test_names_of_days_and_months_are_known_and_spaces_do_not_matter():
    assert checked_cron(" 30  3 * mar mon-fri ") == "30 3 * mar mon-fri"


def test_an_unknown_zone_is_refused_by_name():
    with pytest.raises(InvalidSchedule, match="Europe/Pariss"):
        checked_zone("Europe/Pariss")
