"""When schedules fire around clock changes: nothing twice, nothing left out."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_kernel.jobs.cron import InvalidSchedule, _change_between, checked_cron, checked_zone, next_fire

PARIS = ZoneInfo("Europe/Paris")
MINUTE = timedelta(minutes=1)
#: Changes of the clock: by an hour and by half of one, at midnight, and a day that was left out.
CHANGES = [
    ("Europe/Paris", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Paris", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 5, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 1, 1, tzinfo=UTC)),
]


@pytest.fixture
def ends():
    """Fail a test that goes on for ever instead of waiting for it."""

    def give_up(_signal, _frame):
        pytest.fail("it goes on for ever")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 * * * *"])
@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)])
def test_a_moment_between_two_seconds_finds_the_other_side_of_a_change(cron, month, day):
    before = datetime(2026, month, day, 0, 55, 3, 200_000, tzinfo=UTC)

    assert next_fire(cron, "Europe/Paris", before) == datetime(2026, month, day, 1, tzinfo=UTC)


@pytest.mark.usefixtures("ends")
def test_a_change_is_found_between_moments_that_are_no_whole_seconds():
    change = datetime(2026, 3, 29, 1, tzinfo=UTC)

    found = _change_between(change - timedelta(seconds=0.7), change + timedelta(seconds=0.8), PARIS)

    assert abs(found - change) < timedelta(seconds=1)


@given(
    change=st.sampled_from(CHANGES),
    offset=st.timedeltas(timedelta(hours=-30), timedelta(hours=30)),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.none() | st.sets(st.integers(0, 23), min_size=1, max_size=3),
)
@example(CHANGES[0], timedelta(minutes=-4, microseconds=1), {0}, None)
@example(CHANGES[8], timedelta(minutes=-1), {15}, {12})
def test_any_schedule_fires_when_a_look_at_every_minute_says_so(change, offset, minutes, hours):
    zone, moment = change[0], change[1] + offset
    told = [",".join(map(str, sorted(part))) if part is not None else "*" for part in (minutes, hours)]

    assert next_fire(f"{told[0]} {told[1]} * * *", zone, moment) == _by_minutes(minutes, hours, ZoneInfo(zone), moment)


def _by_minutes(minutes, hours, zone, after):
    """Return the first minute after a moment whose local time fits; with given hours once, also one that is left out."""
    fires = after.replace(second=0, microsecond=0)
    while True:
        fires += MINUTE
        before, local = (moment.astimezone(zone) for moment in (fires - MINUTE, fires))
        naive = local.replace(tzinfo=None)
        times = [] if local.fold and hours is not None else [naive]
        if hours is not None:  # those a gap left out come at its end
            left_out = naive - before.replace(tzinfo=None) - MINUTE
            times += [naive - MINUTE * n for n in range(1, left_out // MINUTE + 1)]
        if any(time.minute in minutes and (hours is None or time.hour in hours) for time in times):
            return fires
