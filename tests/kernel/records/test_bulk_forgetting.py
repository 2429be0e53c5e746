"""What bulk runs keep of records goes once they cannot be taken back: slice by slice, and the runs stay with their numbers."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.bulk_actions import forgetting
from crm_kernel.records.bulk_actions.models import RUNNING, BulkRow, BulkRun


@pytest.fixture
def forget(unit, monkeypatch):
    """Do the nightly job days later, two rows at a time, and return how many rows are left after each chunk."""
    monkeypatch.setattr(forgetting, "_SLICE", 2)

    def do(days):
        left, here = [], {}
        while here is not None:
            with unit(SYSTEM) as uow:
                uow.now += dt.timedelta(days=days)
                here = forgetting.forget(uow, {"checkpoint": here} if here else {})
                left.append(uow.session.scalar(sa.select(sa.func.count(BulkRow.id))))
        return left

    return do


def test_a_run_that_cannot_be_taken_back_any_more_keeps_its_numbers_alone(bulk_run, three, forget, admin_api, unit):
    done = bulk_run(set={"state": "used"}, all=True)

    assert forget(29) == [3]
    assert forget(31) == [1, 0, 0]

    with unit() as uow:
        [run] = uow.session.scalars(sa.select(BulkRun))
        assert (run.data, run.total, run.changed) == (None, 3, 3)
    assert admin_api.get(f"/api/bulk-runs/{done['id']}").status_code == 200
    assert forget(31) == [0]


def test_a_run_whose_records_still_wait_keeps_them(bulk_run, three, forget, unit):
    bulk_run(set={"state": "used"}, all=True)
    with unit(SYSTEM) as uow:
        uow.session.execute(sa.update(BulkRun).values(state=RUNNING, finished_at=None))

    assert forget(400) == [3]


def test_a_run_without_its_refusals_says_how_long_they_were_kept(bulk_run, three, forget, login, monkeypatch):
    from crm_kernel.records.bulk_actions import record

    bulk_run(set={"state": "broken"}, query="name=lamp")
    done = bulk_run(do="break", data={"reason": "fell"}, all=True)
    forget(31)
    monkeypatch.setattr(record, "UNDO_DAYS", 45)

    page = login("administrator").get(f"/bulk-runs/{done['id']}").text

    assert "is kept for 45 days" in page
