"""Rhythms: another way to write five fields, and nothing is lost on the way."""

from __future__ import annotations

import pytest

from crm_kernel.jobs.cron import InvalidSchedule
from crm_kernel.jobs.rhythms import CRON, DAILY, HOURLY, WEEKLY, Rhythm, cron_of, rhythm_of


@pytest.mark.parametrize(
    ("cron", "kind"),
    [
        ("25 * * * *", HOURLY),
        ("40 3 * * *", DAILY),
        ("0 7 * * 1,3,0", WEEKLY),
        ("*/5 * * * *", CRON),
        ("30 3 * * 1-5", CRON),
        ("0 3 1 * *", CRON),
        ("0 3 * 1 *", CRON),
        ("0 7 * * MON", CRON),
    ],
)
def test_every_expression_has_a_rhythm_that_gives_it_back(cron, kind):
    found = rhythm_of(cron)

    assert found.kind == kind
    assert cron_of(found) == cron


def test_days_stand_in_the_order_of_the_week_whatever_was_ticked_first():
    assert cron_of(Rhythm(WEEKLY, time="07:05", days=("0", "5", "1", "9"))) == "5 7 * * 1,5,0"


@pytest.mark.parametrize(
    ("rhythm", "told"),
    [
        (Rhythm(DAILY, time="25:00"), "time '25:00': expected hours and minutes"),
        (Rhythm(DAILY, time=""), "time '': expected"),
        (Rhythm(WEEKLY, days=()), "days: none chosen"),
        (Rhythm(HOURLY, minute="60"), "minute '60': expected 0 to 59"),
        (Rhythm(HOURLY, minute="*"), "minute"),
        (Rhythm(CRON, cron="0 0 30 2 *"), "expected minute, hour"),
        (Rhythm("yearly"), "expected minute, hour"),
    ],
)
def test_what_a_rhythm_lacks_is_named(rhythm, told):
    with pytest.raises(InvalidSchedule, match=told):
        cron_of(rhythm)
