"""Whoever enables, disables, upgrades, uninstalls, purges or restores a module leaves a row in the audit log."""

from __future__ import annotations

import getpass

import pytest
import sqlalchemy as sa

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import Run
from crm_kernel.access.audit import payload_digest
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.database import make_engine
from crm_kernel.errors import Conflict


@pytest.fixture
def trail(instance):
    """Return the audit rows about modules, oldest first."""

    def rows():
        query = (
            sa.select(AuditLog, AuditPayload.salt, AuditPayload.before, AuditPayload.after)
            .join(AuditPayload, AuditPayload.audit_uid == AuditLog.uid)
            .where(AuditLog.record_type == "module")
            .order_by(AuditLog.id)
        )
        engine = make_engine(instance.database_url)
        try:
            with engine.connect() as connection:
                return connection.execute(query).all()
        finally:
            engine.dispose()

    return rows


def test_every_verb_leaves_a_row_with_what_was_and_what_is(instance, shop, fill, trail, ask, tmp_path):
    lifecycle.enable(instance, ["shop"])
    fill(instance)
    ask(instance, "UPDATE module SET version = '0.9.0' WHERE name = 'shop'")
    lifecycle.upgrade_modules(instance)
    lifecycle.disable(instance, ["shop"])
    lifecycle.uninstall(instance, "shop")
    lifecycle.purge(instance, "shop", tmp_path / "export")
    lifecycle.enable(instance, ["shop"])
    lifecycle.restore(instance, tmp_path / "export")

    rows = trail()
    assert [(row.action, row.before.get("state"), row.after.get("state")) for row in rows] == [
        ("enabled", "installed", "enabled"),
        ("upgraded", "enabled", "enabled"),
        ("disabled", "enabled", "disabled"),
        ("uninstalled", "disabled", "uninstalled"),
        ("purged", "uninstalled", "purged"),
        ("enabled", "installed", "enabled"),
        ("restored", "enabled", "enabled"),
    ]
    assert {row.before["module"] for row in rows} == {"shop"}
    assert rows[0].after["revisions"] == ["20260101_0900"]
    assert (rows[1].before["version"], rows[1].after["version"]) == ("0.9.0", "1.0.0")
    assert rows[4].before["rows"] == rows[6].after["rows"] == {"shop_basket": 1, "shop_line": 2}


def test_a_row_says_who_did_it_and_proves_its_values(instance, shop, trail):
    lifecycle.enable(instance, ["shop"])

    [row] = trail()
    assert (row.actor, row.actor_uid, row.channel) == ("system", None, "cli")
    assert row.after["account"] == getpass.getuser()
    assert row.digest == payload_digest(row.salt, row.before, row.after)


@pytest.mark.crm_databases("sqlite")
class TestOnOneDatabase:
    """What does not depend on the kind of database."""

    def test_what_changes_nothing_or_is_rehearsed_leaves_no_row(self, instance, shop, trail, tmp_path):
        lifecycle.enable(instance, ["shop"])
        lifecycle.enable(instance, ["shop"])
        lifecycle.disable(instance, ["shop"], run=Run.REHEARSE)
        lifecycle.upgrade_modules(instance, run=Run.REHEARSE)
        lifecycle.upgrade_database(instance)

        assert [row.action for row in trail()] == ["enabled"]

    def test_a_rehearsed_purge_and_a_refused_one_leave_no_row(self, instance, shop, trail, tmp_path):
        lifecycle.enable(instance, ["shop"])
        with pytest.raises(Conflict):
            lifecycle.purge(instance, "shop", tmp_path / "export")
        lifecycle.disable(instance, ["shop"])
        lifecycle.purge(instance, "shop", tmp_path / "export", run=Run.REHEARSE)

        assert [row.action for row in trail()] == ["enabled", "disabled"]

    def test_modules_that_go_together_share_a_request(self, instance, shop, trail):
        lifecycle.enable(instance, ["shop", "till"])

        assert len({row.request_id for row in trail()}) == 1
        assert [row.after["module"] for row in trail()] == ["shop", "till"]

    def test_revisions_applied_by_an_upgrade_of_the_database_are_noted(self, instance, shop, trail, ask):
        lifecycle.enable(instance, ["shop"])
        ask(instance, "DROP TABLE shop_line", "DROP TABLE shop_basket", "DROP TABLE alembic_version_shop")

        lifecycle.upgrade_database(instance)

        [*_, row] = trail()
        assert (row.action, row.after["module"], row.after["revisions"]) == ("upgraded", "shop", ["20260101_0900"])
