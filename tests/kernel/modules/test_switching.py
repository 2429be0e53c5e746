"""Enabling and disabling modules: as one set, migrated, told to the servers, rows untouched."""

from __future__ import annotations

import pytest

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import Run, store
from crm_kernel.errors import Conflict, NotFound, PluginError
from crm_kernel.testing.sites import write_distribution


def generation(config):
    with store.reading_rows(config) as connection:
        return store.generation(connection)


def states(config):
    return {state.name: state.state for state in lifecycle.module_states(config) if state.name in ("shop", "till")}


def test_enabling_migrates_switches_on_and_tells_the_servers(instance, shop, ask):
    [change] = lifecycle.enable(instance, ["shop"])

    assert (change.before, change.after, change.revisions) == ("installed", "enabled", ("20260101_0900",))
    assert states(instance) == {"shop": "loaded", "till": "installed"}
    assert generation(instance) == 1
    assert ask(instance, "SELECT count(*) FROM shop_basket") == [(0,)]


def test_enabling_stores_which_columns_hold_personal_data_or_a_customer(instance, shop, ask):
    lifecycle.enable(instance, ["shop"])

    rows = ask(
        instance,
        "SELECT column_name, points_to, merge_rule, retention FROM data_map WHERE plugin = 'shop' ORDER BY column_name",
    )

    assert rows == [("customer_id", "customer.id", "move", None), ("note", None, None, "2 years")]


@pytest.mark.crm_databases("sqlite")
class TestOnOneDatabase:
    """What does not depend on the kind of database."""

    def test_enabling_twice_changes_nothing_the_second_time(self, instance, shop):
        lifecycle.enable(instance, ["shop"])

        [change] = lifecycle.enable(instance, ["shop"])

        assert not change.changed
        assert generation(instance) == 1

    def test_a_rehearsal_of_enabling_shows_the_sql_and_changes_nothing(self, instance, shop, ask):
        [change] = lifecycle.enable(instance, ["shop"], run=Run.REHEARSE)

        assert any("CREATE TABLE shop_basket" in statement for statement in change.sql)
        assert states(instance) == {"shop": "installed", "till": "installed"}
        assert generation(instance) == 0
        assert ask(instance, "SELECT name FROM sqlite_master WHERE name LIKE 'shop%'") == []

    def test_a_module_whose_dependency_is_off_is_refused_with_the_command_to_type(self, instance, shop):
        with pytest.raises(
            PluginError, match=r"till: needs the module shop, which is not enabled\. crm modules enable shop"
        ):
            lifecycle.enable(instance, ["till"])

        assert states(instance) == {"shop": "installed", "till": "installed"}

    def test_a_module_and_its_dependency_are_enabled_together_in_order(self, instance, shop):
        changes = lifecycle.enable(instance, ["till", "shop"])

        assert [change.module for change in changes] == ["shop", "till"]

    def test_a_module_that_others_need_is_not_disabled_alone(self, instance, shop):
        lifecycle.enable(instance, ["shop", "till"])

        with pytest.raises(PluginError, match=r"shop: till depends on it\. .*--cascade") as refusal:
            lifecycle.disable(instance, ["shop"])

        assert refusal.value.exit_code == 4
        assert states(instance) == {"shop": "loaded", "till": "loaded"}

    def test_a_cascade_disables_the_dependants_too(self, instance, shop):
        lifecycle.enable(instance, ["shop", "till"])

        changes = lifecycle.disable(instance, ["shop"], cascade=lifecycle.dependants(instance, ["shop"]))

        assert [change.module for change in changes] == ["till", "shop"]
        assert states(instance) == {"shop": "disabled", "till": "disabled"}

    def test_a_disabled_module_keeps_its_rows_and_its_data_map(self, instance, shop, fill, ask):
        lifecycle.enable(instance, ["shop"])
        fill(instance)

        lifecycle.disable(instance, ["shop"])

        assert ask(instance, "SELECT count(*) FROM shop_basket") == [(1,)]
        assert ask(instance, "SELECT count(*) FROM data_map WHERE plugin = 'shop'") == [(2,)]
        assert generation(instance) == 2

    def test_a_rehearsal_of_disabling_changes_nothing(self, instance, shop):
        lifecycle.enable(instance, ["shop"])

        lifecycle.disable(instance, ["shop"], run=Run.REHEARSE)

        assert states(instance)["shop"] == "loaded"
        assert generation(instance) == 1

    def test_an_enabled_module_is_not_uninstalled_before_it_is_disabled(self, instance, shop):
        lifecycle.enable(instance, ["shop"])

        with pytest.raises(Conflict, match=r"shop is enabled\. Disable it first: crm modules disable shop"):
            lifecycle.uninstall(instance, "shop")

    def test_an_uninstalled_module_keeps_its_rows(self, instance, shop, fill, ask):
        lifecycle.enable(instance, ["shop"])
        fill(instance)
        lifecycle.disable(instance, ["shop"])

        lifecycle.uninstall(instance, "shop")

        assert states(instance)["shop"] == "uninstalled"
        assert ask(instance, "SELECT count(*) FROM shop_basket") == [(1,)]

    @pytest.mark.parametrize("verb", [lambda c: lifecycle.enable(c, ["nope"]), lambda c: lifecycle.disable(c, ["nope"]),
                                      lambda c: lifecycle.uninstall(c, "nope"), lambda c: lifecycle.explain(c, "nope"),
                                      lambda c: lifecycle.plan_module(c, "nope")])  # fmt: skip
    def test_an_unknown_module_is_named(self, instance, verb):
        with pytest.raises(NotFound, match="module nope: ") as missing:
            verb(instance)

        assert missing.value.exit_code == 3

    def test_a_module_that_ends_the_process_is_refused_and_nothing_is_changed(self, instance, tmp_path, monkeypatch):
        write_distribution(tmp_path / "s", "killer", files={"plugin.py": "import os\nos._exit(3)\n"})
        monkeypatch.syspath_prepend(str(tmp_path / "s"))

        with pytest.raises(PluginError, match=r"killer: loading it ended the process \(exit code 3\)"):
            lifecycle.enable(instance, ["killer"])

        assert generation(instance) == 0

    def test_a_module_that_breaks_one_at_work_is_refused(self, instance, shop, tmp_path, monkeypatch):
        lifecycle.enable(instance, ["shop"])
        thief = """
import sqlalchemy as sa

from crm_kernel.database import metadata
from crm_kernel.plugin import Plugin

sa.Table("shop_basket", metadata, sa.Column("id", sa.Integer, primary_key=True))  # it is imported before the shop


class AcePlugin(Plugin):
    name = "ace"
"""
        write_distribution(tmp_path / "s", "ace", files={"plugin.py": thief})
        monkeypatch.syspath_prepend(str(tmp_path / "s"))

        with pytest.raises(PluginError, match="ace: with it the enabled module shop fails: "):
            lifecycle.enable(instance, ["ace"])

    def test_the_plan_names_what_a_module_brings_and_changes_nothing(self, instance, shop):
        plan = lifecycle.plan_module(instance, "shop")

        assert plan.permissions == ["shop.till.open"]
        assert any("CREATE TABLE shop_basket" in statement for statement in plan.sql)
        assert plan.personal_columns == ["shop_basket.customer_id", "shop_basket.note"]
        assert plan.conflicts == {}
        assert states(instance)["shop"] == "installed"

    def test_the_plan_of_a_module_that_cannot_be_enabled_says_why(self, instance, shop):
        plan = lifecycle.plan_module(instance, "till")

        assert plan.needs == {"shop": False}
        assert "needs the module shop" in plan.conflicts["till"]

    def test_an_upgrade_applies_new_revisions_and_stores_the_version(self, instance, shop, ask):
        lifecycle.enable(instance, ["shop"])
        ask(instance, "UPDATE module SET version = '0.9.0' WHERE name = 'shop'")

        [change] = lifecycle.upgrade_modules(instance)

        assert (change.module, change.before, change.version) == ("shop", "enabled 0.9.0", "1.0.0")
        assert generation(instance) == 2


@pytest.mark.crm_databases("sqlite")
class TestWithoutItsCode:
    """After ``pip uninstall`` of an enabled module."""

    @pytest.fixture
    def gone(self, instance, shop_site, fill):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(shop_site))
            lifecycle.enable(instance, ["shop"])
            fill(instance)
        return instance

    def test_it_is_failed_and_the_reason_names_two_ways_out(self, gone):
        [state] = [state for state in lifecycle.module_states(gone) if state.name == "shop"]

        assert state.state == "failed"
        assert "Install the wheel that provides it" in state.reason
        assert "crm modules disable shop" in state.reason

    def test_it_can_be_disabled_and_is_orphaned_then(self, gone):
        lifecycle.disable(gone, ["shop"])

        assert states(gone) == {"shop": "orphaned"}

    def test_it_can_be_explained(self, gone):
        explanation = lifecycle.explain(gone, "shop")

        assert explanation.tables == ["shop_basket", "shop_line"]
        assert explanation.module.state == "failed"
