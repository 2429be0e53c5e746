"""Two who take one bulk run back at the same moment: one run does it, the other one is told."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from crm_kernel.records.bulk_actions import services
from crm_kernel.records.bulk_actions.models import BulkRun


def test_a_run_is_taken_back_by_one_of_two_who_ask_at_once(admin_api, api, bulk_run, three, unit, monkeypatch):
    path = f"/api/bulk-runs/{bulk_run(set={'state': 'used'}, all=True)['id']}"
    users, etag = (admin_api, api("administrator")), admin_api.etag(path)
    looked, begin = threading.Barrier(2), services._new_run

    def both_have_looked(*given):
        with contextlib.suppress(threading.BrokenBarrierError):  # the other one waits for this one's commit
            looked.wait(2)
        return begin(*given)

    monkeypatch.setattr(services, "_new_run", both_have_looked)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda user: user.post(f"{path}/undo", If_Match=etag), users))

    assert sorted(answer.status_code for answer in answers) == [200, 409], [answer.text for answer in answers]
    with unit() as uow:
        back = sa.select(sa.func.count(BulkRun.id)).where(BulkRun.undoes_id.is_not(None))
        assert uow.session.scalar(back) == 1
