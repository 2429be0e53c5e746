"""Purging: an export that comes back as it was, and nothing left of the module."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import Run, purging
from crm_kernel.database import make_engine
from crm_kernel.errors import Conflict, InvalidInput, NotFound, PluginError


@pytest.fixture
def disabled_shop(instance, shop, fill):
    """An instance whose shop has rows and is disabled."""
    lifecycle.enable(instance, ["shop"])
    fill(instance)
    lifecycle.disable(instance, ["shop"])
    return instance


def tables_like(config, prefix):
    engine = make_engine(config.database_url)
    try:
        return sorted(t for t in sa.inspect(engine).get_table_names() if t.startswith(prefix))
    finally:
        engine.dispose()


def test_a_purge_leaves_no_table_no_version_row_and_no_kernel_row(disabled_shop, tmp_path, ask):
    found = lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

    assert found.tables == {"shop_basket": 1, "shop_line": 2}
    assert tables_like(disabled_shop, "shop_") == []
    assert tables_like(disabled_shop, "alembic_version_shop") == []
    assert ask(disabled_shop, "SELECT count(*) FROM module WHERE name = 'shop'") == [(0,)]
    assert ask(disabled_shop, "SELECT count(*) FROM data_map WHERE plugin = 'shop'") == [(0,)]


def test_the_export_brings_every_row_back_as_it_was(disabled_shop, tmp_path, ask):
    query = "SELECT * FROM shop_basket ORDER BY id"
    before = ask(disabled_shop, query)
    lifecycle.purge(disabled_shop, "shop", tmp_path / "export")
    lifecycle.enable(disabled_shop, ["shop"])

    written = lifecycle.restore(disabled_shop, tmp_path / "export")

    assert written == {"shop_basket": 1, "shop_line": 2}
    assert ask(disabled_shop, query) == before
    assert ask(disabled_shop, "SELECT id, basket_id FROM shop_line ORDER BY id") == [(1, 41), (2, 41)]


def test_what_runs_meanwhile_reads_the_custom_fields_again(disabled_shop, tmp_path, ask):
    from crm_kernel.records.custom_fields.current import VERSION

    ask(
        disabled_shop,
        "INSERT INTO custom_field (uid, record_type, name, kind, labels, help, target, position, version, created_at, updated_at)"
        " SELECT uid, 'shop.basket', 'cf_by', 'reference', '{}', '{}', 'customer', 1, 1, created_at, updated_at FROM customer"
        " RETURNING id",
    )
    version = f"SELECT value FROM setting WHERE name = '{VERSION}'"
    before = ask(disabled_shop, version)

    lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

    assert ask(disabled_shop, version) != before
    assert ask(disabled_shop, "SELECT count(*) FROM custom_field") == [(0,)]


def test_new_rows_get_keys_behind_the_restored_ones(disabled_shop, tmp_path, ask):
    lifecycle.purge(disabled_shop, "shop", tmp_path / "export")
    lifecycle.enable(disabled_shop, ["shop"])
    lifecycle.restore(disabled_shop, tmp_path / "export")

    assert ask(disabled_shop, "INSERT INTO shop_line (basket_id) VALUES (41) RETURNING id") == [(3,)]


def test_a_module_that_is_enabled_while_its_purge_begins_keeps_everything(disabled_shop, tmp_path, monkeypatch, ask):
    connect = purging.migration_connection

    def enabled_meanwhile(config):
        ask(config, "UPDATE module SET state = 'enabled' WHERE name = 'shop'")  # past the lock of the verbs
        return connect(config)

    monkeypatch.setattr(purging, "migration_connection", enabled_meanwhile)

    with pytest.raises(Conflict, match="shop is enabled"):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

    assert ask(disabled_shop, "SELECT count(*) FROM shop_line") == [(2,)]
    assert not (tmp_path / "export").exists()


@pytest.mark.crm_databases("sqlite")
class TestOnOneDatabase:
    """What does not depend on the kind of database."""

    def test_a_rehearsal_counts_and_changes_nothing(self, disabled_shop, tmp_path):
        found = lifecycle.purge(disabled_shop, "shop", tmp_path / "export", run=Run.REHEARSE)

        assert found.tables == {"shop_basket": 1, "shop_line": 2}
        assert tables_like(disabled_shop, "shop_") == ["shop_basket", "shop_line"]
        assert not (tmp_path / "export").exists()

    def test_an_enabled_module_is_not_purged(self, instance, shop, tmp_path):
        lifecycle.enable(instance, ["shop"])

        with pytest.raises(Conflict, match="shop is enabled"):
            lifecycle.purge(instance, "shop", tmp_path / "export")

    def test_a_module_is_purged_when_its_code_is_gone(self, disabled_shop, shop, tmp_path, monkeypatch):
        import sys

        monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(shop)])

        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

        assert tables_like(disabled_shop, "shop_") == []

    def test_a_module_whose_tables_another_ones_reference_is_not_purged(self, instance, shop, tmp_path):
        lifecycle.enable(instance, ["shop", "till"])
        lifecycle.disable(instance, ["shop", "till"])

        with pytest.raises(PluginError, match=r"table till_receipt references shop_basket: .*crm modules purge till"):
            lifecycle.purge(instance, "shop", tmp_path / "export")

    def test_a_folder_that_is_not_empty_is_refused_and_nothing_is_deleted(self, disabled_shop, tmp_path):
        (tmp_path / "something.txt").write_text("mine")

        with pytest.raises(OSError, match="not empty"):
            lifecycle.purge(disabled_shop, "shop", tmp_path)

        assert tables_like(disabled_shop, "shop_") == ["shop_basket", "shop_line"]

    @pytest.mark.parametrize("name", ["nope", "kernel", "customer", "audit"])
    def test_the_kernels_own_tables_are_never_purged(self, instance, name, tmp_path):
        with pytest.raises(NotFound, match=f"module {name}: "):
            lifecycle.purge(instance, name, tmp_path / "export")

    def test_a_changed_export_is_refused(self, disabled_shop, tmp_path):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")
        lifecycle.enable(disabled_shop, ["shop"])
        with (tmp_path / "export" / "shop_line.jsonl").open("a") as file:
            file.write("{}\n")

        with pytest.raises(InvalidInput, match="missing or changed since it was written"):
            lifecycle.restore(disabled_shop, tmp_path / "export")

    def test_a_folder_without_a_manifest_is_refused(self, instance, tmp_path):
        with pytest.raises(InvalidInput, match="no readable manifest"):
            lifecycle.restore(instance, tmp_path)

    def test_an_export_is_not_restored_into_tables_with_rows(self, disabled_shop, tmp_path):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")
        lifecycle.enable(disabled_shop, ["shop"])
        lifecycle.restore(disabled_shop, tmp_path / "export")

        with pytest.raises(Conflict, match="holds rows already"):
            lifecycle.restore(disabled_shop, tmp_path / "export")

    def test_an_export_is_not_restored_without_its_tables(self, disabled_shop, tmp_path):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

        with pytest.raises(PluginError, match=r"revision none, the export at 20260101_0900.*crm modules enable shop"):
            lifecycle.restore(disabled_shop, tmp_path / "export")

    def test_rows_whose_customer_is_gone_are_refused_as_a_whole(self, disabled_shop, tmp_path, ask):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")
        lifecycle.enable(disabled_shop, ["shop"])
        ask(disabled_shop, "DELETE FROM customer")

        with pytest.raises(Conflict, match="refer to something that is gone"):
            lifecycle.restore(disabled_shop, tmp_path / "export")

        assert ask(disabled_shop, "SELECT count(*) FROM shop_basket") == [(0,)]

    def test_the_export_is_plain_json_lines_with_a_manifest(self, disabled_shop, tmp_path):
        lifecycle.purge(disabled_shop, "shop", tmp_path / "export")

        manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
        [basket] = map(json.loads, (tmp_path / "export" / "shop_basket.jsonl").read_text().splitlines())

        assert (manifest["module"], manifest["revision"], manifest["version"]) == ("shop", "20260101_0900", "1.0.0")
        assert basket["note"] == "à ne pas « oublier »\n"
        assert basket["price"] == 123456
