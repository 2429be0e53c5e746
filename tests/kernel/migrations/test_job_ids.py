"""Jobs that were stored before they had public ids get one each, and keep everything else."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel._internal import migrations
from crm_kernel.migrations.branches import current_of, kernel_branch
from crm_kernel.migrations.running import apply_next, migration_connection

BEFORE = "20261122_0317"
OLD = """
INSERT INTO job (module, name, payload, run_at, state, created_at)
VALUES ('kernel', 'kernel.housekeeping', '{}', '2026-11-01 00:00:00.000000', 3, '2026-11-01 00:00:00.000000')
"""


def test_jobs_of_before_get_a_public_id_each_and_stay_as_they_were(config):
    with migration_connection(config) as connection:
        while current_of(connection, kernel_branch()) != BEFORE:
            connection.commit()
            apply_next(connection, kernel_branch())
        connection.commit()
        with connection.begin():
            connection.execute(sa.text(OLD))
            connection.execute(sa.text(OLD))

    migrations.upgrade(config, [])

    with migration_connection(config) as connection:
        found = connection.execute(sa.text("SELECT uid, state, user_id FROM job")).all()
        indexes = {index["name"] for index in sa.inspect(connection).get_indexes("job")}
    assert len({row.uid for row in found}) == 2
    assert [(row.state, row.user_id) for row in found] == [(3, None), (3, None)]
    assert indexes >= {"ix_job_due", "ix_job_lease", "ix_job_order", "ix_job_running", "ix_job_dead", "ix_job_user_id"}
    assert [line for line in migrations.check(config, "kernel") if "job" in line] == []
