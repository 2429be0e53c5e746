"""The pages of background work: what waits and failed, why, and what an admin does about it."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from crm_kernel.jobs import schedules, services
from crm_kernel.jobs.models import JobQueue, JobRow, JobSchedule, JobState
from crm_kernel.testing.people import browser


@pytest.fixture
def stored(commit):
    """Three jobs of the kernel: one waits, one is dead, one is done → their numbers by state."""

    def store(uow):
        found = {}
        for state, error in (("READY", None), ("DEAD", "RuntimeError: <b>no</b>\n  there.py:1 there"), ("DONE", None)):
            number = services.enqueue(uow, "kernel.housekeeping", {"of": state})
            values = {"state": int(JobState[state]), "error": error}
            uow.session.execute(sa.update(JobRow).where(JobRow.id == number).values(values))
            found[state] = number
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

    def run(path, **fields):
        answer = admin.post(path, data={"csrf_token": token, **fields})
        assert answer.status_code == 303, answer.text

    return run


def _text(answer):
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_list_counts_queues_filters_and_names_its_command(admin, stored):
    page = _text(admin.get("/jobs?state=dead&queue=housekeeping"))

    assert f"kernel.housekeeping #{stored['DEAD']}" in page
    assert f"kernel.housekeeping #{stored['READY']}" not in page
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
    assert admin.get("/jobs/99999").status_code == 404


def test_a_dead_job_is_retried_and_a_waiting_one_cancelled(send, stored, commit):
    send(f"/jobs/{stored['DEAD']}/retry")
    send(f"/jobs/{stored['READY']}/cancel")

    states = commit(lambda uow: dict(uow.session.execute(sa.select(JobRow.id, JobRow.state)).all()))
    assert states[stored["DEAD"]] == JobState.READY
    assert states[stored["READY"]] == JobState.CANCELLED


def test_all_dead_jobs_are_retried_together_and_done_ones_left_alone(send, stored, commit):
    send("/jobs/retry", all="1")
    send("/jobs/retry", id=str(stored["DONE"]))

    states = commit(lambda uow: dict(uow.session.execute(sa.select(JobRow.id, JobRow.state)).all()))
    assert states[stored["DEAD"]] == JobState.READY
    assert states[stored["DONE"]] == JobState.DONE


def test_a_queue_is_paused_and_resumed(send, stored, commit):
    send("/jobs/queues/housekeeping/pause")
    assert commit(lambda uow: uow.session.get(JobQueue, "housekeeping").paused)

    send("/jobs/queues/housekeeping/resume")

    assert not commit(lambda uow: uow.session.get(JobQueue, "housekeeping").paused)


def test_schedules_are_shown_with_their_next_run_and_paused(admin, send, commit):
    commit(schedules.follow_declarations)
    page = _text(admin.get("/jobs/schedules"))
    assert "40 3 * * *" in page
    change = re.search(r'action="(/jobs/schedules/[^"]+/pause)"', page).group(1)

    send(change)

    assert True in commit(lambda uow: uow.session.scalars(sa.select(JobSchedule.paused)).all())


def test_who_may_not_see_jobs_sees_none_and_changes_none(crm_app, stored, commit):
    stranger = browser(crm_app)

    assert stranger.get("/jobs").status_code in (302, 401, 403)
    assert stranger.post(f"/jobs/{stored['DEAD']}/retry").status_code in (302, 401, 403)

    assert commit(lambda uow: uow.session.get(JobRow, stored["DEAD"]).state) == JobState.DEAD
