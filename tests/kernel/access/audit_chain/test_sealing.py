"""Sealing: the chain takes each row once, wherever it stopped, and whatever commits beside it."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from crm_kernel.access import audit_chain
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_chain.heads import head_of
from crm_kernel.access.models import AuditLog
from crm_kernel.database import db
from crm_kernel.unit_of_work import writing
from tests.kernel.access.audit_chain.sealed_log import ROWS


def test_a_log_that_nobody_touched_is_intact(sealed, check, head):
    result = check()

    assert (result.found, result.sealed, result.unsealed, result.erased) == (0, ROWS, 0, 0)
    assert result.head == head()


def test_an_empty_log_is_intact(check):
    assert (check().found, check().head["number"]) == (0, 0)


def test_sealing_goes_on_where_it_stopped(sealed, write, seal, check):
    write(2)
    before = check()

    assert (seal(), seal()) == (2, 0)
    assert (before.sealed, before.unsealed) == (ROWS, 2)
    assert (check().sealed, check().unsealed) == (ROWS + 2, 0)


def test_chunks_make_the_same_chain_as_one_piece(write, unit, check):
    write(5)

    counts = []
    while not counts or counts[-1] == 2:
        with unit() as uow:
            counts.append(audit_chain.seal_some(uow, limit=2))

    assert counts == [2, 2, 1]
    assert (check().found, check().sealed) == (0, 5)


def test_a_row_that_is_committed_after_a_later_one_was_sealed_joins_the_chain(app, unit, write, seal, check):
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
    write(1)
    with app.app_context(), writing(SYSTEM) as slow:
        record_audit_many(slow, "note", "created", [AuditRow(uuid.uuid4(), None, {"text": "slow"})])
        slow.session.flush()
        in_threads(lambda: (write(2), seal(), seal(), write(1), seal()))

    assert (seal(), seal()) == (1, 0)
    assert (check().found, check().sealed, check().unsealed) == (0, 5, 0)


def test_sealing_twice_at_once_seals_each_row_once(app, write, seal, check):
    write(40)

    counts = in_threads(seal, seal, seal)

    assert sum(counts) == 40
    assert (check().found, check().sealed) == (0, 40)


def test_sealing_looks_only_at_what_is_new(sealed, app, unit, seal, write):
    write(1)
    seal()

    with unit() as uow:
        assert head_of(uow).settled_id == uow.session.scalar(sa.select(sa.func.max(AuditLog.id)))


def in_threads(*actions):
    """Call each action in a thread of its own, all at once; return their results in order."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(action) for action in actions]]
