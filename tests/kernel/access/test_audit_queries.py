"""The audit log read by what it tells, page by page, on both databases."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_queries import AuditFilter, audit_rows


@pytest.fixture
def written(unit):
    """Leave three rows: two about notes through the web, one about a team through the API; return their records."""
    records = [uuid.uuid4() for _ in range(3)]
    for record, (kind, channel) in zip(records, (("note", "web"), ("note", "web"), ("team", "api")), strict=True):
        with unit(channel=channel) as uow:
            record_audit_many(uow, kind, "updated", [AuditRow(record, {"n": 1}, {"n": 2})])
    return records


@pytest.fixture
def read(unit):
    """Read the log: ``read(limit=…, channel=…)`` → rows."""

    def rows(*, limit=10, before=None, **wanted):
        with unit() as uow:
            return audit_rows(uow, AuditFilter(**wanted), limit=limit, before=before)

    return rows


def test_rows_come_newest_first_page_by_page_with_their_values(written, read):
    first = read(limit=2)
    rest = read(limit=2, before=first[-1].uid)

    assert [row.record_uid for row in (*first, *rest)] == written[::-1]
    assert (first[0].before, first[0].after) == ({"n": 1}, {"n": 2})


def test_every_filter_keeps_what_fits(written, read):
    row = read(record_uid=written[0])[0]

    assert [found.record_uid for found in read(record_type="note", channel="web")] == [written[1], written[0]]
    assert read(request_id=row.request_id, action="updated", actor="system") == [row]
    assert read(since=row.at, until=row.at + dt.timedelta(microseconds=1)) == [row]
    assert read(actor_uid=uuid.uuid4()) == read(channel="job") == []
