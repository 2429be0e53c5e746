"""Rows and files of old imports go slice by slice; what somebody is at work on stays, and nothing is taken back by halves."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import Conflict
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.records.importing import jobs, undoing
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState


@pytest.fixture
def old(write, run, accounts, unit, monkeypatch):
    """Import two rows 31 days ago and return the id of the run; a slice is one row."""
    monkeypatch.setattr(jobs, "_SLICE", 1)
    write("accounts.csv", "Ref,Name\nA1,Acme\nA2,Bolt\n")
    uid = UUID(run(accounts).run_id)
    with unit(SYSTEM) as uow:
        change = sa.update(ImportRun).values(created_at=uow.now - dt.timedelta(days=31))
        uow.session.execute(change)
    return uid


@pytest.fixture
def expire(unit):
    """Delete the next slice and return how many rows are left, in which state the run is then, and why."""

    def once():
        with unit(SYSTEM) as uow:
            jobs.expire(uow, {})
        with unit() as uow:
            [run] = uow.session.scalars(sa.select(ImportRun))
            return uow.session.scalar(sa.select(sa.func.count(ImportRow.id))), run.state, run.failure

    return once


def test_an_import_whose_rows_are_going_is_not_undone_by_halves(old, expire, unit):
    assert expire() == (1, "done", None)

    with unit(SYSTEM) as uow, pytest.raises(Conflict, match="expired"):
        undoing.begin_undo(uow, old)

    assert expire() == (0, "done", None)


def test_undoing_what_the_night_takes_is_not_begun(old, expire, unit):
    with unit(SYSTEM) as uow, pytest.raises(Conflict, match="too old"):
        undoing.begin_undo(uow, old)

    assert expire() == (1, "done", None)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.REHEARSING, RunState.UNDOING])
def test_rows_stay_while_a_job_is_at_work_on_them(old, expire, unit, state):
    with unit(SYSTEM) as uow:
        job = JobRow(module="kernel", name=jobs.UNDO)
        uow.session.add(job)
        uow.session.flush()
        uow.session.execute(sa.update(ImportRun).values(state=state, job_id=job.id))

    assert expire() == (2, state, None)

    with unit(SYSTEM) as uow:
        uow.session.execute(sa.update(JobRow).values(state=JobState.DEAD))
    assert expire()[0] == 1


def test_what_nobody_goes_on_undoing_is_undone_as_far_as_it_came(old, expire, unit):
    with unit(SYSTEM) as uow:
        uow.session.execute(sa.update(ImportRun).values(created_at=uow.now - dt.timedelta(days=29)))
        undoing.begin_undo(uow, old)
        uow.session.execute(sa.update(ImportRun).values(created_at=uow.now - dt.timedelta(days=31)))

    assert expire() == (1, "undone", "Its rows expired before all of it was taken back.")
