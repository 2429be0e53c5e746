"""Every refusal of a module's verb names a command to type next, and that command exists."""

from __future__ import annotations

import re

import click
import pytest

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import store
from crm_kernel.errors import CrmError
from crm_kernel.migrations.running import MigrationFailed
from crm_kernel.testing.sites import write_distribution

pytestmark = pytest.mark.crm_databases("sqlite")

CRASHING = "raise RuntimeError('no licence')\n"
BAD_REVISION = '''"""Fail."""

from alembic import op

revision = "20260101_0900"
down_revision = None
branch_labels = ("bad",)
depends_on = None


def upgrade():
    op.execute("SELECT * FROM nowhere")
'''


def commands_in(text):
    """Return the commands a text names, as far as they are commands of ``crm``: ``["crm modules enable"]``."""
    cli = pytest.importorskip("crm_cli.main").cli
    found = []
    for words in re.findall(r"\bcrm((?: [a-z][\w-]*)+)", text):
        command, path = cli, []
        for word in words.split():
            step = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
            if step is None:
                break
            command, path = step, [*path, word]
        if path and not isinstance(command, click.Group):
            found.append(" ".join(["crm", *path]))
    return found


@pytest.fixture
def enabled(instance, shop):
    lifecycle.enable(instance, ["shop", "till"])
    return instance


@pytest.fixture
def exported(instance, shop, fill, tmp_path):
    """An instance whose shop was purged into ``export`` and is enabled again."""
    lifecycle.enable(instance, ["shop"])
    fill(instance)
    lifecycle.disable(instance, ["shop"])
    lifecycle.purge(instance, "shop", tmp_path / "export")
    lifecycle.enable(instance, ["shop"])
    return instance


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """Modules that crash, that cannot be migrated, and that need what is not there."""
    site = tmp_path / "faulty"
    write_distribution(site, "crash", files={"plugin.py": CRASHING})
    write_distribution(site, "bad", files={"migrations/versions/20260101_0900_bad.py": BAD_REVISION})
    write_distribution(site, "picky", requires=["crm-kernel>=99"])
    write_distribution(site, "lonely", requires=["crm-nowhere>=1"])
    write_distribution(site, "ying", requires=["crm-yang>=1"])
    write_distribution(site, "yang", requires=["crm-ying>=1"])
    monkeypatch.syspath_prepend(str(site))


def refusal(verb):
    with pytest.raises((CrmError, OSError)) as refused:
        verb()
    return str(refused.value)


UNKNOWN = {
    "enable": lambda config, folder: lifecycle.enable(config, ["nope"]),
    "upgrade": lambda config, folder: lifecycle.upgrade_modules(config, ["nope"]),
    "disable": lambda config, folder: lifecycle.disable(config, ["nope"]),
    "uninstall": lambda config, folder: lifecycle.uninstall(config, "nope"),
    "purge": lambda config, folder: lifecycle.purge(config, "nope", folder / "x"),
    "plan": lambda config, folder: lifecycle.plan_module(config, "nope"),
    "explain": lambda config, folder: lifecycle.explain(config, "nope"),
}


@pytest.mark.parametrize("verb", UNKNOWN)
def test_an_unknown_module(instance, tmp_path, verb):
    assert commands_in(refusal(lambda: UNKNOWN[verb](instance, tmp_path)))


@pytest.mark.parametrize("name", ["crash", "picky", "lonely", "ying"])
def test_a_module_that_does_not_load_or_does_not_fit(instance, faulty, name):
    text = refusal(lambda: lifecycle.enable(instance, [name]))

    assert "crm modules plan" in commands_in(text), text


def test_a_module_whose_dependency_is_off(instance, shop):
    assert "crm modules enable" in commands_in(refusal(lambda: lifecycle.enable(instance, ["till"])))


def test_an_enabled_module_that_no_longer_loads_is_not_upgraded(instance, faulty, ask):
    with store.writing_rows(instance) as connection:
        store.write_state(connection, "crash", "enabled", "1.0.0")

    text = refusal(lambda: lifecycle.upgrade_modules(instance, ["crash"]))

    assert {"crm modules plan", "crm modules disable"} <= set(commands_in(text)), text


def test_a_revision_that_fails(instance, faulty):
    with pytest.raises(MigrationFailed) as failed:
        lifecycle.enable(instance, ["bad"])

    assert "crm modules enable bad" in str(failed.value)


def test_kernel_tables_that_are_behind(instance, shop, ask):
    ask(instance, "DELETE FROM alembic_version_kernel")

    assert "crm db upgrade" in commands_in(refusal(lambda: lifecycle.enable(instance, ["shop"])))


def test_what_is_not_enabled_is_not_upgraded(instance, shop):
    assert "crm modules enable" in commands_in(refusal(lambda: lifecycle.upgrade_modules(instance, ["shop"])))


def test_what_others_need_or_is_enabled_stays(enabled, tmp_path):
    assert "crm modules disable" in commands_in(refusal(lambda: lifecycle.disable(enabled, ["shop"])))
    assert "crm modules disable" in commands_in(refusal(lambda: lifecycle.uninstall(enabled, "shop")))
    assert "crm modules disable" in commands_in(refusal(lambda: lifecycle.purge(enabled, "shop", tmp_path / "x")))


def test_what_others_reference_is_not_purged(enabled, tmp_path):
    lifecycle.disable(enabled, ["shop", "till"])

    assert "crm modules purge" in commands_in(refusal(lambda: lifecycle.purge(enabled, "shop", tmp_path / "x")))


def test_a_folder_for_the_export_that_is_not_empty(exported, tmp_path):
    lifecycle.disable(exported, ["shop"])

    text = refusal(lambda: lifecycle.purge(exported, "shop", tmp_path / "export"))

    assert "--export-to" in text


def test_an_export_that_cannot_be_restored(exported, tmp_path, ask):
    def again():
        return refusal(lambda: lifecycle.restore(exported, tmp_path / "export"))

    ask(exported, "DELETE FROM customer")
    assert "crm modules restore" in commands_in(again())
    with (tmp_path / "export" / "shop_line.jsonl").open("a") as file:
        file.write("{}\n")
    assert "crm modules restore" in commands_in(again())
    (tmp_path / "export" / "manifest.json").unlink()
    assert "crm modules purge" in commands_in(again())


def test_an_export_is_not_restored_over_rows(exported, tmp_path):
    lifecycle.restore(exported, tmp_path / "export")

    text = refusal(lambda: lifecycle.restore(exported, tmp_path / "export"))

    assert "crm modules purge" in commands_in(text), text


def test_an_export_of_another_revision(exported, tmp_path):
    lifecycle.disable(exported, ["shop"])
    lifecycle.purge(exported, "shop", tmp_path / "second")

    assert "crm modules enable" in commands_in(refusal(lambda: lifecycle.restore(exported, tmp_path / "export")))
