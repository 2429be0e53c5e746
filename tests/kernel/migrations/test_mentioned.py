"""Jobs and messages of before: whom they mention is written down by the upgrade."""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa

from crm_kernel._internal import migrations
from crm_kernel.database import Uid
from crm_kernel.migrations.branches import current_of, kernel_branch
from crm_kernel.migrations.running import apply_next, migration_connection

BEFORE = "20261122_0322"
NOW = "2026-11-01 00:00:00.000000"
CUSTOMER = """
INSERT INTO customer (id, uid, version, kind, display_name, sort_name, custom, created_at, updated_at)
VALUES (:id, :uid, 1, 'person', 'x', 'x', '{}', :now, :now)
"""
JOB = """
INSERT INTO job (id, uid, module, name, payload, run_at, state, created_at)
VALUES (:id, :uid, 'kernel', 'x', :payload, :now, 3, :now)
"""


def test_jobs_of_before_are_known_by_whom_they_mention(config):
    her, friend = uuid4(), uuid4()
    with migration_connection(config) as connection:
        while current_of(connection, kernel_branch()) != BEFORE:
            connection.commit()
            apply_next(connection, kernel_branch())
        connection.commit()
        with connection.begin():
            for key, uid in enumerate((her, friend), 1):
                _run(connection, CUSTOMER, id=key, uid=uid)
            for key, payload in enumerate((f'{{"a": ["{her}", "{friend}"]}}', f'{{"b": "{uuid4()}"}}', "{}"), 1):
                _run(connection, JOB, id=key, uid=uuid4(), payload=payload)

    migrations.upgrade(config, [])

    with migration_connection(config) as connection:
        found = connection.execute(sa.text("SELECT customer_id, job_id FROM job_subject ORDER BY 1")).all()
    assert [tuple(row) for row in found] == [(1, 1), (2, 1)]


def _run(connection, text, **values):
    connection.execute(sa.text(text).bindparams(sa.bindparam("uid", type_=Uid())), {"now": NOW, **values})
