"""Custom references of before get their index with the upgrade, and every index that is lost is made again."""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa

from crm_kernel._internal.lifecycle.changes import upgrade_database
from crm_kernel.database import Uid
from crm_kernel.migrations.branches import current_of, kernel_branch
from crm_kernel.migrations.running import apply_next, migration_connection
from crm_kernel.records.custom_fields.indexes import index_name, is_usable

BEFORE = "20261122_0324"
NOW = "2026-11-01 00:00:00.000000"
FIELD = """
INSERT INTO custom_field (uid, version, record_type, name, kind, labels, target, indexed, created_at, updated_at)
VALUES (:uid, 1, :record_type, :name, :kind, '{}', :target, :indexed, :now, :now)
"""
FIELDS = (
    {"record_type": "customer", "name": "cf_adviser", "kind": "reference", "target": "customer", "indexed": False},
    {"record_type": "user", "name": "cf_patient", "kind": "reference", "target": "customer", "indexed": False},
    {"record_type": "gone.thing", "name": "cf_patient", "kind": "reference", "target": "customer", "indexed": False},
    {"record_type": "customer", "name": "cf_tier", "kind": "text", "target": None, "indexed": False},
)


def test_references_of_before_get_their_index(config):
    with migration_connection(config) as connection:
        while current_of(connection, kernel_branch()) != BEFORE:
            connection.commit()
            apply_next(connection, kernel_branch())
        connection.commit()
        with connection.begin():
            insert = sa.text(FIELD).bindparams(sa.bindparam("uid", type_=Uid()))
            for field in FIELDS:
                connection.execute(insert, {"uid": uuid4(), "now": NOW, **field})

    upgrade_database(config)

    assert _made(config) == {"cf_adviser": True, "cf_patient": True, "cf_tier": False}

    with migration_connection(config) as connection, connection.begin():
        connection.exec_driver_sql(f"DROP INDEX {index_name('customer', 'cf_adviser')}")
    upgrade_database(config)

    assert _made(config)["cf_adviser"]


def _made(config):
    places = (("customer", "cf_adviser"), ("app_user", "cf_patient"), ("customer", "cf_tier"))
    with migration_connection(config) as connection:
        return {name: is_usable(connection, table, name) for table, name in places}
