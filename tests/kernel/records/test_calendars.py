"""Calendars: which days a page has, on which a record stands for its reader, and what a page costs."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape

import pytest
import sqlalchemy as sa

from crm_kernel.errors import InvalidInput

THINGS = "/toyrecords/things"
DAY = dt.date(2026, 11, 18)


@pytest.fixture
def admin(login):
    return login("administrator")


@pytest.fixture
def put(crm_app, types):
    """Create one thing: ``put("lamp", made_on="2026-11-18")``."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.services import create_record
    from crm_kernel.unit_of_work import writing

    def run(name, **values):
        with crm_app.app_context(), writing(SYSTEM) as uow:
            create_record(uow, types.thing, {"name": name, "amount": 5, **values})

    return run


@pytest.fixture
def admin_with(login, unit):
    """A browser of somebody with a language or a time zone of his own: ``admin_with(timezone="Europe/Paris")``."""
    from crm_kernel.access.models import AppUser

    def run(**values):
        admin = login("administrator")
        with unit() as uow:
            uow.session.execute(sa.update(AppUser).values(**values))
        return admin

    return run


def days_of(page) -> dict[str, list[str]]:
    """Return the days of a page that hold something → what their links say."""
    found = {}
    for part in page.text.split('<li class="crm-day')[1:]:
        day = re.search(r'datetime="([^"]+)"', part)[1]
        texts = re.findall(r'<a class="crm-day-(?:entry|more)"[^>]*>(.*?)</a>', part)
        if texts:
            found[day] = [unescape(re.sub("<[^>]+>", "", text)) for text in texts]
    return found


def test_a_record_stands_on_its_day_and_leads_to_its_page(admin, put):
    put("lamp", made_on="2026-11-18")
    put("torch", made_on="2026-12-24")

    page = admin.get(f"{THINGS}?view=calendar&day=2026-11-02")

    assert days_of(page) == {"2026-11-18": ["lamp"]}
    assert "November 2026" in page.text
    link = re.search(r'<a class="crm-day-entry" href="([^"]+)"', page.text)[1]
    assert "lamp" in admin.get(link).text


def test_earlier_later_and_another_span_keep_the_conditions(admin, put):
    put("lamp", made_on="2026-12-03", state="used")
    put("torch", made_on="2026-12-03", state="new")

    page = admin.get(f"{THINGS}?view=calendar&day=2026-11-02&state=used")
    later = admin.get(unescape(re.search(r'href="([^"]+)" rel="next"', page.text)[1]))

    assert days_of(later) == {"2026-12-03": ["lamp"]}
    week = unescape(re.search(r'href="([^"]+span=week[^"]*)"', later.text)[1])
    assert "state=used" in week
    assert admin.get(week).status_code == 200


def test_a_day_that_holds_more_says_how_many_and_shows_all_on_its_own_page(admin, make_things):
    make_things(*((f"thing {number}", number) for number in range(7)), made_on="2026-11-18")

    month = admin.get(f"{THINGS}?view=calendar&day=2026-11-02")
    more = unescape(re.search(r'<a class="crm-day-more" href="([^"]+)"', month.text)[1])

    assert days_of(month)["2026-11-18"] == ["thing 0", "thing 1", "thing 2", "thing 3", "+3 more"]
    assert days_of(admin.get(more))["2026-11-18"] == [f"thing {number}" for number in range(7)]


def test_a_crowded_day_is_counted_to_a_limit(admin, make_things, monkeypatch):
    from crm_kernel.records.calendars import entries
    from crm_kernel.records.pages import calendars

    for module in (entries, calendars):
        monkeypatch.setattr(module, "MOST_COUNTED", 6)
    make_things(*((f"thing {number}", number) for number in range(9)), made_on="2026-11-18")

    assert days_of(admin.get(f"{THINGS}?view=calendar&day=2026-11-02"))["2026-11-18"][-1] == "more than 1 more"
    alone = admin.get(f"{THINGS}?view=calendar&span=day&day=2026-11-18")
    assert "The first 6 are shown" in alone.text


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Europe/Paris", "2026-11-18T23:30:00+00:00", "2026-11-19"),
        ("America/New_York", "2026-11-18T03:00:00+00:00", "2026-11-17"),
        ("UTC", "2026-11-18T23:30:00+00:00", "2026-11-18"),
        # the clocks go back at 01:00 UTC: the day has 25 hours
        ("Europe/Paris", "2026-10-25T22:59:59+00:00", "2026-10-25"),
        ("Europe/Paris", "2026-10-25T23:00:00+00:00", "2026-10-26"),
        ("Europe/Paris", "2026-10-24T22:00:00+00:00", "2026-10-25"),
        # they go forward: 23 hours
        ("Europe/Paris", "2026-03-28T23:00:00+00:00", "2026-03-29"),
        ("Europe/Paris", "2026-03-29T21:59:59+00:00", "2026-03-29"),
        ("Europe/Paris", "2026-03-29T22:00:00+00:00", "2026-03-30"),
        # midnight does not exist on this day
        ("America/Santiago", "2026-09-06T04:00:00+00:00", "2026-09-06"),
        ("America/Santiago", "2026-09-06T03:59:59+00:00", "2026-09-05"),
    ],
)
def test_a_time_stands_on_the_day_that_it_is_in_the_readers_zone(admin_with, put, zone, moment, day):
    put("lamp", shown_from=moment)
    admin = admin_with(timezone=zone)

    month = admin.get(f"{THINGS}?view=calendar&calendar=shown_from&day={day}")
    alone = admin.get(f"{THINGS}?view=calendar&calendar=shown_from&span=day&day={day}")

    assert list(days_of(month)) == list(days_of(alone)) == [day]


def test_a_record_with_an_end_stands_on_every_day_until_then(admin, put):
    put("fair", shown_from="2026-11-18T10:00:00Z", shown_until="2026-11-20T00:00:00Z")

    found = days_of(admin.get(f"{THINGS}?view=calendar&calendar=shown_from&day=2026-11-02"))

    assert list(found) == ["2026-11-18", "2026-11-19"]
    assert "10:00" in found["2026-11-18"][0]
    assert found["2026-11-19"] == ["← fair"]


def test_a_record_is_shown_for_the_longest_time_its_type_declares(admin, put):
    put("fair", shown_from="2026-11-02T10:00:00Z", shown_until="2026-11-29T00:00:00Z")

    found = days_of(admin.get(f"{THINGS}?view=calendar&calendar=shown_from&day=2026-11-02"))

    assert list(found) == [f"2026-11-{day:02}" for day in range(2, 12)]


def test_only_what_one_may_see_is_shown_and_counted(login, put):
    put("lamp", made_on="2026-11-18")

    page = login("representative").get(f"{THINGS}?view=calendar&day=2026-11-02")

    assert page.status_code == 200
    assert days_of(page) == {}
    assert "No record has its date in these days." in page.text


def test_a_date_that_a_role_hides_gives_no_calendar(admin, login, unit, put):
    from crm_kernel.access.services import field_rules
    from crm_kernel.access.services.roles import role_named

    put("lamp", made_on="2026-11-18")
    with unit() as uow:
        field_rules.restrict_field(uow, role_named(uow, "reader"), "toyrecords.thing", "made_on", "hidden")
    reader = login("reader")

    usual = reader.get(f"{THINGS}?view=calendar&day=2026-11-02")
    asked = reader.get(f"{THINGS}?view=calendar&day=2026-11-02&calendar=made_on")

    assert days_of(usual) == {}
    assert asked.status_code == 422


@pytest.mark.parametrize(
    "wrong", ["day=2026-02-30", "day=9999-01-01", "day=x", "span=year", "calendar=name", "calendar=shown_until"]
)
def test_an_address_that_makes_no_sense_is_refused(admin, wrong):
    assert admin.get(f"{THINGS}?view=calendar&{wrong}").status_code == 422


def test_a_type_without_a_date_of_its_own_is_shown_as_a_list(admin):
    page = admin.get("/toyrecords/makers?view=calendar")

    assert page.status_code == 200
    assert "crm-calendar" not in page.text


def test_a_date_that_no_index_begins_with_is_not_offered(crm_app, types):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.calendars.choosing import calendar_named, calendars_of
    from crm_kernel.records.plan import plan_of
    from crm_kernel.unit_of_work import reading

    with crm_app.test_request_context(), reading(SYSTEM):
        plan = plan_of(types.thing)
        assert "shown_until" not in calendars_of(plan, SYSTEM)
        with pytest.raises(InvalidInput):
            calendar_named(plan, SYSTEM, "shown_until")


@pytest.mark.parametrize("rows", [2, 60])
def test_a_calendar_costs_the_same_queries_whatever_it_holds(admin, make_things, count_queries, rows):
    make_things(*((f"thing {number}", number) for number in range(rows)), made_on="2026-11-18")
    admin.get(f"{THINGS}?view=calendar&day=2026-11-02")

    with count_queries() as queries:
        admin.get(f"{THINGS}?view=calendar&day=2026-11-02")

    assert len([text for text in queries.statements if "toyrecords_thing" in text]) == 2
    queries.at_most(4)


def test_long_conditions_are_asked_day_by_day_and_find_the_same(admin, put):
    put("lamp", made_on="2026-11-18")
    amounts = ",".join(str(number) for number in range(1, 1000))

    page = admin.get(f"{THINGS}?view=calendar&day=2026-11-02&amount__in={amounts}")

    assert days_of(page) == {"2026-11-18": ["lamp"]}


@pytest.mark.parametrize("dates", ["made_on", "shown_from"])
def test_each_day_walks_a_range_of_the_index(crm_app, types, put, dates):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.database import db
    from crm_kernel.records.calendars import entries
    from crm_kernel.records.calendars.choosing import calendar_named
    from crm_kernel.records.plan import plan_of
    from crm_kernel.records.reading import parse_query
    from crm_kernel.unit_of_work import reading

    put("lamp", made_on="2026-11-18")
    with crm_app.test_request_context(), reading(SYSTEM) as uow:
        plan, query = plan_of(types.thing), parse_query(types.thing, [])
        arms = entries._arms(uow, plan, calendar_named(plan, SYSTEM, dates), query, [DAY, DAY + dt.timedelta(days=1)])
        statement = next(entries._statements(arms, query))
        sql = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
        connection = uow.session.connection()
        if connection.dialect.name == "sqlite":
            plan_text = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
            assert plan_text.count(f"ix_toyrecords_thing_{dates}_id ({dates}>? AND {dates}<?)") == 2
            assert "SCAN toyrecords_thing" not in plan_text
        else:
            for setting in ("enable_seqscan", "enable_bitmapscan"):
                connection.exec_driver_sql(f"SET LOCAL {setting} = off")
            plan_text = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN {sql}"))
            assert plan_text.count(f"ix_toyrecords_thing_{dates}_id") == 2
            assert "Seq Scan" not in plan_text


def test_a_view_keeps_date_and_span_and_opens_today(admin, put):
    put("lamp", shown_from="2026-11-18T10:00:00Z")
    sent = {"record_type": "toyrecords.thing", "name": "Shows", "kind": "calendar", "calendar": "shown_from"}
    view = admin.post("/views/save", data={**sent, "span": "week", "sharing": "private"}).location.partition("view=")[2]

    page = admin.get(f"{THINGS}?view={view}&day=2026-11-18")

    assert days_of(page) == {"2026-11-18": ["10:00\u202fAM lamp"]}
    assert len(page.text.split('<li class="crm-day')) == 8
    assert "Save the changes" not in page.text
    assert "Save the changes" in admin.get(f"{THINGS}?view={view}&edited=1&span=month").text
    assert "<thead" in admin.get(f"{THINGS}?view={view}&as=list").text


def test_the_api_refuses_a_calendar_that_there_is_none_of(api):
    client = api("administrator")
    given = {"name": "New", "kind": "calendar"}

    none = client.post("/api/views", {**given, "record_type": "toyrecords.maker"})
    unknown = client.post("/api/views", {**given, "record_type": "toyrecords.thing", "calendar": "name"})
    kept = client.post("/api/views", {**given, "record_type": "toyrecords.thing", "span": "agenda"})

    assert (none.status_code, "kind" in none.json["errors"]) == (422, True)
    assert (unknown.status_code, "calendar" in unknown.json["errors"]) == (422, True)
    assert (kept.status_code, kept.json["span"]) == (201, "agenda")


def test_a_free_day_leads_to_the_form_of_a_new_record_on_it(admin, login):
    page = admin.get(f"{THINGS}?view=calendar&day=2026-11-02").text
    form = admin.get(unescape(re.search(r'href="([^"]+made_on=2026-11-18)"', page)[1])).text

    assert 'value="2026-11-18"' in form
    assert "/new?" not in login("reader").get(f"{THINGS}?view=calendar&day=2026-11-02").text


def test_months_are_named_in_the_readers_language(admin_with):
    page = admin_with(language="fr").get(f"{THINGS}?view=calendar&day=2026-11-02").text

    assert ">Novembre 2026</h2>" in page
    assert re.search(r'datetime="([^"]+)"', page)[1] == "2026-10-26"
