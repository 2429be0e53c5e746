"""Schedules: one time gives one job, whoever looks, however long nobody looked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.access.models import AppUser, AuditLog, AuditPayload
from crm_kernel.errors import RegistrationError
from crm_kernel.jobs import firing, schedules
from crm_kernel.jobs.cron import InvalidSchedule
from crm_kernel.jobs.models import JobSchedule


@pytest.fixture
def nightly(site, kit):
    """A plugin with a job at three every night; the test's clock stands at noon of 1 March."""

    def load(**options):
        def work(uow, payload):
            kit.leave_effect(uow, payload.get("label", "night"))

        declared = {"schedule": "0 3 * * *", **options}
        return site.load(alpha=kit.Pieces(jobs=[c.Job(name="alpha.night", handler=work, **declared)]))

    return load


def _rows(site):
    with site.reading() as uow:
        rows = list(uow.session.scalars(sa.select(JobSchedule).order_by(JobSchedule.id)))
        uow.session.expunge_all()
        return rows


def _user(site, timezone="Europe/Paris", active=True):
    with site.writing() as uow:
        values = {"email": "ada@example.org", "name": "Ada", "fs_uniquifier": "ada"}
        row = sa.insert(AppUser).values(timezone=timezone, active=active, **values)
        return uow.session.scalar(row.returning(AppUser.id))


def test_a_declared_schedule_enqueues_its_job_once_a_night(site, nightly):
    nightly()
    site.runner().drain()
    assert site.effects() == []

    site.clock.forward(hours=15)
    site.runner("w1").drain()
    site.runner("w2").drain()

    assert site.effects() == ["night"]
    site.clock.forward(hours=24)
    site.runner().drain()
    assert site.effects() == ["night", "night"]


def test_nights_on_which_nobody_worked_give_one_run_together(site, nightly):
    nightly()
    site.runner().drain()

    site.clock.forward(hours=24 * 9)
    runner = site.runner()
    runner.drain()
    site.clock.forward(minutes=1)
    runner.drain()

    assert site.effects() == ["night"]
    assert _rows(site)[0].next_at == datetime(2026, 3, 11, 3, tzinfo=UTC)


def test_one_time_is_one_job_even_if_the_schedule_is_set_back(site, nightly):
    nightly()
    site.runner().drain()
    due = _rows(site)[0].next_at
    site.clock.forward(hours=15)
    site.runner().drain()

    with site.writing() as uow:
        uow.session.execute(sa.update(JobSchedule).values(next_at=due))
    site.runner().drain()

    assert len(site.jobs()) == 1


def test_a_run_that_still_waits_is_not_joined_by_another(site, nightly):
    nightly()
    site.runner().drain()
    for _ in range(3):
        site.clock.forward(hours=24)
        site.call(firing.fire_due)

    assert site.states() == ["READY"]


def test_a_changed_declaration_moves_the_next_time_and_a_removed_one_goes(site, kit, nightly):
    nightly()
    site.runner().drain()
    nightly(schedule="0 5 * * *", timezone="Europe/Paris")
    site.runner().drain()
    assert [(row.cron, row.zone, row.next_at.hour) for row in _rows(site)] == [("0 5 * * *", "Europe/Paris", 4)]

    nightly(schedule=None)
    site.runner().drain()

    assert _rows(site) == []


def test_the_schedule_of_a_module_that_is_off_rests_and_makes_up_for_one_time(site, kit, nightly):
    nightly()
    site.runner().drain()
    site.load(beta=kit.Pieces())
    site.clock.forward(hours=24 * 5)
    site.runner().drain()
    assert site.jobs() == []

    nightly()
    site.runner().drain()

    assert site.effects() == ["night"]


def test_a_users_schedule_follows_the_users_time_zone(site, nightly):
    nightly(schedule=None)
    user = _user(site)
    made = {"payload": {"label": "digest"}, "timezone": "user", "user_id": user}
    site.call(schedules.schedule_job, "alpha.night", "0 7 * * *", **made)
    assert _rows(site)[0].next_at == datetime(2026, 3, 2, 6, tzinfo=UTC)

    with site.writing() as uow:
        uow.session.execute(sa.update(AppUser).values(timezone="Asia/Tokyo"))
    site.call(firing.follow_declarations)

    assert _rows(site)[0].next_at == datetime(2026, 3, 1, 22, tzinfo=UTC)
    site.clock.forward(hours=10)
    site.runner().drain()
    assert site.effects() == ["digest"]


def test_the_schedule_of_a_deactivated_user_rests(site, nightly):
    nightly(schedule=None)
    site.call(schedules.schedule_job, "alpha.night", "0 7 * * *", user_id=_user(site, active=False))

    site.clock.forward(hours=48)
    site.runner().drain()

    assert site.jobs() == []


def test_a_schedule_whose_time_zone_is_unknown_by_now_rests_and_holds_up_no_other(site, nightly):
    nightly()
    with site.writing() as uow:
        made = schedules.schedule_job(uow, "alpha.night", "0 2 * * *", payload={"label": "lost"})
        made.timezone = made.zone = "Mars/Olympus"
        lost = made.uid

    site.runner().drain()
    site.clock.forward(hours=24)
    site.runner().drain()

    assert site.effects() == ["night"]
    assert {row.zone: row.paused for row in _rows(site)} == {"Mars/Olympus": True, "UTC": False}
    with pytest.raises(InvalidSchedule, match="Mars/Olympus"):
        site.call(schedules.resume_schedule, lost)


def test_a_schedule_that_is_paused_for_its_time_zone_says_so_in_the_log_and_in_the_history(site, nightly, caplog):
    nightly(schedule=None)
    with site.writing() as uow:
        made = schedules.schedule_job(uow, "alpha.night", "0 2 * * *")
        made.timezone = made.zone = "Mars/Olympus"
        lost = made.uid

    for _ in range(2):
        site.clock.forward(hours=24)
        site.call(firing.fire_due)

    [warning] = [record.getMessage() for record in caplog.records if record.name == "crm.jobs"]
    assert "Mars/Olympus" in warning
    assert f"crm jobs schedule resume {lost}" in warning
    with site.reading() as uow:
        noted = sa.select(AuditPayload.before, AuditPayload.after).join(
            AuditLog, AuditLog.uid == AuditPayload.audit_uid
        )
        rows = uow.session.execute(noted.where(AuditLog.record_uid == lost)).all()
    assert [(before["paused"], after["paused"]) for before, after in rows if "paused" in after] == [(False, True)]


def test_a_paused_schedule_goes_on_from_the_time_it_is_resumed(site, nightly):
    nightly()
    site.runner().drain()
    uid = _rows(site)[0].uid
    site.call(schedules.pause_schedule, uid)
    site.clock.forward(hours=24 * 3)
    site.runner().drain()
    assert site.jobs() == []

    site.call(schedules.resume_schedule, uid)
    site.runner().drain()
    assert site.jobs() == []
    site.clock.forward(hours=24)
    site.runner().drain()
    assert site.effects() == ["night"]


def test_what_a_module_declares_can_be_paused_and_not_removed(site, nightly):
    nightly()
    site.runner().drain()
    with pytest.raises(InvalidSchedule, match="Pause it"):
        site.call(schedules.unschedule, _rows(site)[0].uid)

    made = site.call(lambda uow: schedules.schedule_job(uow, "alpha.night", "0 7 * * *").uid)
    site.call(schedules.unschedule, made)

    assert len(_rows(site)) == 1


def test_a_declaration_that_never_fires_is_refused_at_registration(site, nightly):
    with pytest.raises(RegistrationError, match=r"alpha\.night"):
        nightly(schedule="0 0 30 2 *")


def test_an_admins_time_counts_until_the_modules_is_restored(site, nightly):
    nightly()
    site.runner().drain()
    uid = _rows(site)[0].uid

    site.call(schedules.reschedule, uid, "30 5 * * *", "Europe/Paris")
    site.call(firing.follow_declarations)
    changed = _rows(site)[0]
    site.call(schedules.restore_schedule, uid)
    site.call(firing.follow_declarations)
    restored = _rows(site)[0]

    assert (changed.own_time, changed.cron, changed.next_at) == (
        True,
        "30 5 * * *",
        datetime(2026, 3, 2, 4, 30, tzinfo=UTC),
    )
    assert (restored.own_time, restored.cron, restored.timezone) == (False, "0 3 * * *", "site")
    with site.reading() as uow:
        kept = uow.session.scalars(sa.select(AuditLog.action).where(AuditLog.record_type == "job_schedule")).all()
    assert kept == ["updated", "updated"]


def test_a_time_that_was_made_at_run_time_has_none_to_restore(site, nightly):
    nightly()
    made = site.call(lambda uow: schedules.schedule_job(uow, "alpha.night", "0 7 * * *").uid)

    site.call(schedules.reschedule, made, "0 8 * * *", "site")

    assert [row.own_time for row in _rows(site) if row.uid == made] == [False]
    with pytest.raises(InvalidSchedule, match="no loaded module declares its times"):
        site.call(schedules.restore_schedule, made)


def test_the_next_runs_keep_to_the_clock_over_its_change(site, nightly):
    nightly()
    site.runner().drain()
    uid = _rows(site)[0].uid

    runs = site.call(lambda uow: schedules.preview(uow, uid, "30 2 28-30 3 *", "Europe/Paris"))

    # On 29 March the clock goes from two to three: what falls into the gap is done at its end.
    assert [run.isoformat() for run in runs] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_schedules_of_the_site_follow_its_time_zone(site, nightly):
    nightly()
    site.runner().drain()
    with site.writing() as uow:
        uow.session.execute(sa.update(JobSchedule).values(zone="Asia/Tokyo"))

    site.call(firing.follow_declarations)

    assert (_rows(site)[0].zone, _rows(site)[0].next_at) == ("UTC", datetime(2026, 3, 2, 3, tzinfo=UTC))
