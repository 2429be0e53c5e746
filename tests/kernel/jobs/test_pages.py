"""The pages of background work: what waits and failed, why, and what an admin does about it."""

from __future__ import annotations

import html
import re
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_of
from crm_kernel.jobs import firing, queries, schedules, services
from crm_kernel.jobs.models import JobQueue, JobRow, JobSchedule, JobState
from crm_kernel.testing.people import browser

#: An id that nothing has.
NOTHING = "01990000-0000-7000-8000-0000000000ff"


@pytest.fixture
def stored(commit):
    """Three jobs of the kernel: one waits, one is dead, one is done → their public ids by state."""

    def store(uow):
        found = {}
        for state, error in (("READY", None), ("DEAD", "RuntimeError: <b>no</b>\n  there.py:1 there"), ("DONE", None)):
            number = services.enqueue(uow, "kernel.housekeeping", {"of": state})
            values = {"state": int(JobState[state]), "error": error}
            uow.session.execute(sa.update(JobRow).where(JobRow.id == number).values(values))
            found[state] = queries.job_uid(uow, number)
        return found

    return commit(store)


@pytest.fixture
def commit(unit):
    """Run ``work(uow)`` in a unit of work of its own, as the system, and return its result."""

    def run(work):
        with unit() as uow:
            return work(uow)

    return run


@pytest.fixture
def admin(login):
    """An administrator's browser."""
    return login("administrator")


@pytest.fixture
def send(admin):
    """Submit a form as an administrator's browser does: ``send(path, name="lamp")``."""
    token = re.search(r'name="csrf-token" content="([^"]+)"', admin.get("/jobs").text)[1]

    def run(path, *, status=303, **fields):
        answer = admin.post(path, data={"csrf_token": token, **fields})
        assert answer.status_code == status, answer.text
        return answer

    return run


def _text(answer):
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_list_counts_queues_filters_and_names_its_command(admin, stored):
    page = _text(admin.get("/jobs?state=dead&queue=housekeeping"))

    assert f"kernel.housekeeping #{str(stored['DEAD'])[-8:]}" in page
    assert f"kernel.housekeeping #{str(stored['READY'])[-8:]}" not in page
    assert "RuntimeError: &lt;b&gt;no&lt;/b&gt;" in page
    assert "crm jobs list --state dead --queue housekeeping" in page


def test_a_state_that_does_not_exist_is_refused_with_those_that_do(admin, stored):
    answer = admin.get("/jobs?state=lost")

    assert answer.status_code == 422
    assert "ready, leased, done, dead, cancelled" in answer.text


def test_a_job_is_shown_with_payload_error_and_commands(admin, stored):
    page = _text(admin.get(f"/jobs/{stored['DEAD']}"))

    assert "there.py:1 there" in page
    assert "&#34;of&#34;: &#34;DEAD&#34;" in page
    assert f"crm jobs retry {stored['DEAD']}" in page
    assert admin.get(f"/jobs/{NOTHING}").status_code == 404


def test_a_dead_job_is_retried_and_a_waiting_one_cancelled(send, stored, commit):
    send(f"/jobs/{stored['DEAD']}/retry")
    send(f"/jobs/{stored['READY']}/cancel")

    states = commit(lambda uow: dict(uow.session.execute(sa.select(JobRow.uid, JobRow.state)).all()))
    assert states[stored["DEAD"]] == JobState.READY
    assert states[stored["READY"]] == JobState.CANCELLED


def test_all_dead_jobs_are_retried_together_and_done_ones_left_alone(send, stored, commit):
    send("/jobs/retry", all="1")
    send("/jobs/retry", id=str(stored["DONE"]))

    states = commit(lambda uow: dict(uow.session.execute(sa.select(JobRow.uid, JobRow.state)).all()))
    assert states[stored["DEAD"]] == JobState.READY
    assert states[stored["DONE"]] == JobState.DONE


def test_a_queue_is_paused_and_resumed(send, stored, commit):
    send("/jobs/queues/housekeeping/pause")
    assert commit(lambda uow: uow.session.get(JobQueue, "housekeeping").paused)

    send("/jobs/queues/housekeeping/resume")

    assert not commit(lambda uow: uow.session.get(JobQueue, "housekeeping").paused)


def test_schedules_are_shown_with_their_next_run_and_paused(admin, send, commit):
    commit(firing.follow_declarations)
    page = _text(admin.get("/jobs/schedules"))
    assert "40 3 * * *" in page
    for words in ("every day at 03:40", "every 5 minutes", "every hour, 25 minutes past"):
        assert words in page
    change = re.search(r'action="(/jobs/schedules/[^"]+/pause)"', page).group(1)

    send(change)

    assert True in commit(lambda uow: uow.session.scalars(sa.select(JobSchedule.paused)).all())


def test_the_times_of_a_schedule_are_tried_and_saved_on_its_page(admin, send, commit):
    commit(firing.follow_declarations)
    address = re.search(r'href="(/jobs/schedules/[0-9a-f-]{36})"', admin.get("/jobs/schedules").text)[1]
    uid = UUID(address.rpartition("/")[2])
    weekly = {"rhythm": "weekly", "days": ["", "1", "4"], "week_time": "05:15", "timezone": "America/New_York"}

    tried = send(address, status=200, **weekly, step="preview")
    before = commit(lambda uow: schedules.schedule(uow, uid).own_time)
    saved = send(address, **weekly, step="save")
    row = commit(lambda uow: described_row(schedules.schedule(uow, uid)))

    assert tried.text.count("05:15 <") == 3
    assert "for you" in tried.text
    assert f'crm jobs schedule set {uid} "15 5 * * 1,4" --timezone America/New_York' in html.unescape(tried.text)
    assert not before
    assert saved.location.endswith("/jobs/schedules")
    assert row == ("15 5 * * 1,4", "America/New_York", True)
    send(f"{address}/restore")
    assert not commit(lambda uow: schedules.schedule(uow, uid).own_time)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"rhythm": "weekly", "days": "", "week_time": "05:15"}, "Choose at least one day."),
        ({"rhythm": "daily", "time": "5 o’clock"}, "Expected a time such as 03:30."),
        ({"rhythm": "hourly", "minute": "99"}, "Expected minutes past the hour, 0 to 59."),
        ({"rhythm": "cron", "cron": "0 0 30 2 *"}, "Expected five fields, and that such a day ever comes"),
        ({"rhythm": "daily", "time": "05:15", "timezone": "Mars"}, "There is no such time zone."),
        ({}, "Choose when it is done."),
    ],
)
def test_times_that_never_come_are_refused_at_their_field(admin, send, commit, sent, told):
    commit(firing.follow_declarations)
    address = re.search(r'href="(/jobs/schedules/[0-9a-f-]{36})"', admin.get("/jobs/schedules").text)[1]

    answer = send(address, status=422, **{"timezone": "site", **sent}, step="save")

    assert told in html.unescape(answer.text)


def test_a_schedule_made_at_run_time_has_no_times_to_restore_and_the_page_says_so(send, commit):
    uid = commit(lambda uow: schedules.schedule_job(uow, "kernel.housekeeping", "0 7 * * *").uid)

    answer = send(f"/jobs/schedules/{uid}/restore", status=422)

    assert "no loaded module declares its times" in answer.text
    assert "Internal error" not in answer.text


def test_stored_times_that_never_come_are_shown_to_be_mended(admin, commit):
    commit(firing.follow_declarations)
    address = re.search(r'href="(/jobs/schedules/[0-9a-f-]{36})"', admin.get("/jobs/schedules").text)[1]
    uid = UUID(address.rpartition("/")[2])
    commit(lambda uow: uow.session.execute(sa.update(JobSchedule).where(JobSchedule.uid == uid).values(cron="at noon")))

    page = _text(admin.get(address))

    assert 'value="at noon"' in page
    assert "Expected five fields" in page


def described_row(row):
    return row.cron, row.timezone, row.own_time


def test_who_may_not_see_jobs_sees_none_and_changes_none(crm_app, stored, commit):
    stranger = browser(crm_app)

    assert stranger.get("/jobs").status_code in (302, 401, 403)
    assert stranger.post(f"/jobs/{stored['DEAD']}/retry").status_code in (302, 401, 403)

    assert commit(lambda uow: queries.job(uow, stored["DEAD"]).state) == JobState.DEAD


def test_a_user_finds_his_own_job_with_its_progress_and_not_its_payload(login, commit, stored):
    ada = login(grants={"customer.*": "all"})

    def enqueue(uow):
        uow.actor = actor_of(uow, ada.user.id)
        uid = queries.job_uid(uow, services.enqueue(uow, "kernel.housekeeping", {"of": "ADA"}))
        running = {"state": int(JobState.LEASED), "progress": {"done": 3, "total": 9}}
        uow.session.execute(sa.update(JobRow).where(JobRow.uid == uid).values(running))
        return uid

    uid = commit(enqueue)

    listed, page = _text(ada.get("/jobs")), _text(ada.get(f"/jobs/{uid}"))

    assert str(uid)[-8:] in listed
    assert str(stored["DEAD"])[-8:] not in listed
    assert "3 / 9" in page
    assert 'hx-trigger="every 2s"' in page
    assert "ADA" not in page
    assert ada.get(f"/jobs/{stored['DEAD']}").status_code == 404


def test_dead_jobs_of_one_queue_are_retried_alone(send, stored, commit):
    send("/jobs/retry", all="1", queue="mail")
    assert commit(lambda uow: queries.job(uow, stored["DEAD"]).state) == JobState.DEAD

    send("/jobs/retry", all="1", queue="housekeeping")

    assert commit(lambda uow: queries.job(uow, stored["DEAD"]).state) == JobState.READY
