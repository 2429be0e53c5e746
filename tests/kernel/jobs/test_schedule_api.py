"""``/api/jobs/schedules``: what the page of schedules does, by the same rights and the same words."""

from __future__ import annotations

import datetime as dt
import threading
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.errors import Conflict
from crm_kernel.jobs.firing import follow_declarations
from crm_kernel.jobs.models import JobRow, JobSchedule
from crm_kernel.jobs.running_now import run_now
from crm_kernel.jobs.schedules import schedule_job

JOB = "kernel.housekeeping"
ALL = "/api/jobs/schedules"


@pytest.fixture
def boss(api):
    return api("administrator")


@pytest.fixture
def uid(unit):
    """The public id of a schedule that was made at run time, as text."""
    with unit() as uow:
        follow_declarations(uow)
        return str(schedule_job(uow, JOB, "30 7 * * 1", payload={"days": 3, "api_token": "s3cret"}).uid)


@pytest.fixture
def declared(unit, uid):
    """The public id of one that a module declares."""
    with unit() as uow:
        return str(uow.session.scalars(sa.select(JobSchedule.uid).where(JobSchedule.name == JOB)).one())


def test_all_schedules_are_listed_and_those_of_one_job(boss, uid, declared):
    every = boss.get(ALL).json["items"]
    found = boss.get(ALL, job=JOB).json["items"]

    assert len(every) > len(found)
    assert {item["id"]: item["declared"] for item in found} == {uid: False, declared: True}
    assert boss.get(ALL, of="them").status_code == 422


def test_one_schedule_is_read_without_its_secrets(boss, uid):
    told = boss.get(f"{ALL}/{uid}").json

    assert (told["cron"], told["timezone"], told["zone"]) == ("30 7 * * 1", "site", "UTC")
    assert (told["paused"], told["changed"], told["last_at"]) == (False, False, None)
    assert told["payload"]["days"] == 3
    assert "s3cret" not in str(told)


def test_the_times_are_changed_and_restored(boss, declared, unit):
    before = boss.get(f"{ALL}/{declared}").json

    changed = boss.patch(f"{ALL}/{declared}", {"cron": "15 4 * * *", "timezone": "Europe/Paris"})
    zone = boss.patch(f"{ALL}/{declared}", {"timezone": "UTC"})
    restored = boss.post(f"{ALL}/{declared}/restore")

    assert (changed.json["cron"], changed.json["zone"], changed.json["changed"]) == ("15 4 * * *", "Europe/Paris", True)
    assert (zone.json["cron"], zone.json["zone"]) == ("15 4 * * *", "UTC")
    assert restored.json["cron"] == before["cron"]
    assert restored.json["changed"] is False
    with unit() as uow:
        noted = sa.select(sa.func.count()).where(AuditLog.record_type == "job_schedule")
        assert uow.session.scalar(noted) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cron": "61 4 * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "user"}, "timezone"),
        ({"cron": 5}, "cron"),
        ({"paused": True}, "paused"),
    ],
)
def test_times_that_never_come_are_refused_by_field(boss, uid, body, field):
    answer = boss.patch(f"{ALL}/{uid}", body)

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert boss.get(f"{ALL}/{uid}").json["cron"] == "30 7 * * 1"


def test_a_schedule_rests_and_goes_on(boss, uid):
    paused, again = boss.post(f"{ALL}/{uid}/pause"), boss.post(f"{ALL}/{uid}/pause")
    resumed = boss.post(f"{ALL}/{uid}/resume")

    assert (paused.json["paused"], paused.json["next_at"], again.status_code) == (True, None, 200)
    assert (resumed.json["paused"], dt.datetime.fromisoformat(resumed.json["next_at"]).isoweekday()) == (False, 1)


def test_one_made_at_run_time_has_nothing_to_restore(boss, uid):
    assert boss.post(f"{ALL}/{uid}/restore").status_code == 422


def test_the_next_runs_are_told_before_anything_is_changed(boss, uid):
    own = boss.get(f"{ALL}/{uid}/runs").json["items"]
    other = boss.get(f"{ALL}/{uid}/runs", cron="0 12 * * *", timezone="Asia/Tokyo", number=5).json["items"]

    assert [dt.datetime.fromisoformat(text).hour for text in own] == [7, 7, 7]
    assert [text[11:] for text in other] == ["12:00:00+09:00"] * 5
    assert boss.get(f"{ALL}/{uid}/runs", cron="x").json["errors"].keys() == {"cron"}
    assert boss.get(f"{ALL}/{uid}/runs", number=0).status_code == 422


def test_its_job_is_run_now_and_not_beside_itself(boss, uid, unit):
    before = boss.get(f"{ALL}/{uid}").json["next_at"]

    answer, again = boss.post(f"{ALL}/{uid}/run"), boss.post(f"{ALL}/{uid}/run")

    assert (answer.status_code, again.status_code) == (200, 409)
    assert boss.get(f"{ALL}/{uid}").json["next_at"] == before
    with unit() as uow:
        [job] = uow.session.scalars(sa.select(JobRow).where(JobRow.name == JOB))
        assert (str(job.uid), job.payload["days"], job.user_id) == (answer.json["job_id"], 3, boss.user.id)


def test_the_job_of_a_users_schedule_is_his_whoever_runs_it_now(boss, login, unit):
    his = login("representative", name="Ada").user.id
    with unit() as uow:
        own = schedule_job(uow, JOB, "30 7 * * 1", user_id=his).uid

    boss.post(f"{ALL}/{own}/run")

    with unit() as uow:
        assert uow.session.scalars(sa.select(JobRow.user_id).where(JobRow.name == JOB)).all() == [his]


def test_two_who_run_it_now_at_the_same_moment_enqueue_one_job(uid, unit):
    refused = []

    def second():
        try:
            with unit() as uow:
                run_now(uow, UUID(uid))
        except Conflict as error:
            refused.append(str(error))

    thread = threading.Thread(target=second)
    with unit() as uow:
        run_now(uow, UUID(uid))
        thread.start()
        thread.join(0.3)
    thread.join()

    assert refused == ["The job of this schedule waits or runs already."]
    with unit() as uow:
        assert len(uow.session.scalars(sa.select(JobRow).where(JobRow.name == JOB)).all()) == 1


def test_what_no_loaded_module_does_is_not_run(boss, uid, unit):
    with unit() as uow:
        uow.session.execute(sa.update(JobSchedule).where(JobSchedule.payload.is_not(None)).values(job="gone.job"))

    assert boss.post(f"{ALL}/{uid}/run").status_code == 409


@pytest.mark.parametrize(("verb", "body"), [("", {"cron": "0 1 * * *"}), ("/pause", None), ("/run", None)])
def test_a_change_of_something_else_than_was_read_is_refused(boss, uid, verb, body):
    read = boss.get(f"{ALL}/{uid}").headers["ETag"]
    boss.patch(f"{ALL}/{uid}", {"cron": "0 2 * * *"})

    def send(etag):
        return boss.open("PATCH" if body else "POST", f"{ALL}/{uid}{verb}", json=body or {}, headers={"If-Match": etag})

    stale, fresh = send(read), send(boss.etag(f"{ALL}/{uid}"))

    assert (stale.status_code, fresh.status_code) == (412, 200)


def test_who_may_look_may_not_change_and_nobody_else_may_look(api, uid):
    looks, other = api(grants={"job.read": "all"}), api(grants={"customer.*": "all"})

    assert looks.get(f"{ALL}/{uid}").status_code == 200
    assert looks.patch(f"{ALL}/{uid}", {"cron": "0 1 * * *"}).status_code == 403
    for verb in ("pause", "resume", "restore", "run"):
        assert looks.post(f"{ALL}/{uid}/{verb}").status_code == 403
    for path in (ALL, f"{ALL}/{uid}", f"{ALL}/{uid}/runs"):
        assert other.get(path).status_code == 403


def test_a_schedule_that_there_is_not_is_not_found(boss):
    gone = "01a2013b-c98f-7107-a8e6-0eeb7fb5013f"

    assert boss.get(f"{ALL}/{gone}").status_code == 404
    assert boss.post(f"{ALL}/{gone}/run").status_code == 404
