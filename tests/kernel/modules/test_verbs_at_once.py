"""Two processes that change the modules of one instance at the same moment: one does, the other says why it does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import changes, store
from crm_kernel.database import make_engine
from crm_kernel.errors import Conflict, CrmError
from crm_kernel.testing.sites import write_distribution

ROOT = Path(__file__).parents[3]
ROUNDS = 4
#: A module whose import takes until a file appears, and says by another file that it has begun.
SLOW = """
import os, pathlib, time

if (begun := os.environ.get("SLOW_BEGUN")):
    pathlib.Path(begun).touch()
    while not pathlib.Path(os.environ["SLOW_GO_ON"]).exists():
        time.sleep(0.02)

from crm_kernel.plugin import Plugin


class SlowPlugin(Plugin):
    name = "slow"
"""
VERBS = {
    "enable": lambda config, folder: lifecycle.enable(config, ["shop"]),
    "upgrade": lambda config, folder: lifecycle.upgrade_modules(config),
    "disable": lambda config, folder: lifecycle.disable(config, ["shop"]),
    "uninstall": lambda config, folder: lifecycle.uninstall(config, "shop"),
    "purge": lambda config, folder: lifecycle.purge(config, "shop", folder),
    "restore": lambda config, folder: lifecycle.restore(config, folder),
    "db upgrade": lambda config, folder: lifecycle.upgrade_database(config),
}


def attempt(verb, config, folder, together, answers):
    """Run a verb in this process as soon as the other one is ready; answer with its exit code."""
    together.wait(60)
    try:
        VERBS[verb](config, folder)
        answers.put((verb, 0, ""))
    except CrmError as error:
        answers.put((verb, error.exit_code, str(error)))
    except BaseException as error:
        answers.put((verb, -1, f"{type(error).__name__}: {error}"))
        raise


def at_once(first, second, config, folder):
    """Run two verbs in two processes; return verb → (exit code, message)."""
    fork = multiprocessing.get_context("fork")
    together, answers = fork.Barrier(2), fork.Queue()
    processes = [fork.Process(target=attempt, args=(v, config, folder, together, answers)) for v in (first, second)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return {verb: (code, text) for verb, code, text in found}


def standing(config):
    """Return (state of the shop, its tables, whether its version table is there)."""
    with store.reading_rows(config) as connection:
        row = store.stored_modules(connection).get("shop")
        tables = sa.inspect(connection).get_table_names()
    own = sorted(table for table in tables if table.startswith("shop_"))
    return row and row.state, own, "alembic_version_shop" in tables


@pytest.fixture
def disabled_shop(instance, shop, fill):
    """An instance whose shop has rows and is disabled; what loading it gives is known from here on."""
    lifecycle.enable(instance, ["shop"])
    fill(instance)
    lifecycle.disable(instance, ["shop"])
    return instance


@pytest.mark.parametrize("first", ["enable", "purge"])
def test_an_enabled_module_has_its_tables_when_it_was_purged_at_the_same_moment(disabled_shop, first, tmp_path):
    second = "purge" if first == "enable" else "enable"

    for number in range(ROUNDS):
        outcome = at_once(first, second, disabled_shop, tmp_path / f"export{number}")

        assert {code for code, _text in outcome.values()} <= {0, 5}, outcome
        state, tables, versioned = standing(disabled_shop)
        whole = tables == ["shop_basket", "shop_line"] and versioned
        gone = tables == [] and not versioned
        assert whole if state == "enabled" else (state is None and gone), (state, tables, versioned, outcome)
        lifecycle.enable(disabled_shop, ["shop"])
        lifecycle.disable(disabled_shop, ["shop"])


@pytest.mark.parametrize("other", ["disable", "upgrade", "uninstall", "purge", "restore", "db upgrade"])
def test_a_verb_beside_enable_is_done_or_refused_and_leaves_a_whole_module(disabled_shop, other, tmp_path):
    lifecycle.purge(disabled_shop, "shop", tmp_path / "kept")
    folder = tmp_path / "kept" if other == "restore" else tmp_path / "export"

    outcome = at_once("enable", other, disabled_shop, folder)

    assert outcome["enable"][0] in (0, 5), outcome
    assert outcome[other][0] in (0, 3, 4, 5), outcome
    state, tables, versioned = standing(disabled_shop)
    whole = tables == ["shop_basket", "shop_line"] and versioned
    assert whole or (state != "enabled" and not versioned), (state, tables, outcome)


@pytest.fixture
def slow_enable(disabled_shop, tmp_path, shop):
    """Start ``enable slow`` in a process of its own and wait until it is half done; ``go_on()`` lets it end."""
    site = write_distribution(tmp_path / "site", "slow", files={"plugin.py": SLOW}, requires=["crm-kernel>=0.1"])
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    code = f"""
from crm_kernel._internal import lifecycle
from crm_kernel.config import Config
lifecycle.enable(Config(database_url={disabled_shop.database_url!r}, secret_key="x" * 40), ["slow"])
"""
    path = os.pathsep.join(map(str, (site, shop, ROOT, ROOT / "cli")))
    environment = {**os.environ, "PYTHONPATH": path, "SLOW_BEGUN": str(begun), "SLOW_GO_ON": str(go_on)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    give_up = time.monotonic() + 60
    while not begun.exists() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.02)
    process.go_on = go_on.touch
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_verb_that_finds_another_one_running_names_it_and_ends_with_5(slow_enable, disabled_shop, tmp_path):
    for verb, run in VERBS.items():
        if verb != "restore":
            with pytest.raises(Conflict) as refused:
                run(disabled_shop, tmp_path / "export")

            assert refused.value.exit_code == 5, verb
            assert "crm modules enable slow" in str(refused.value), verb
            assert str(slow_enable.pid) in str(refused.value), verb
    with pytest.raises(Conflict, match="crm modules enable slow"):
        lifecycle.disable(disabled_shop, ["shop"], run=lifecycle.Run.REHEARSE)
    slow_enable.go_on()
    assert slow_enable.wait(60) == 0
    lifecycle.uninstall(disabled_shop, "shop")


def test_a_verb_that_is_killed_lets_the_next_one_in(slow_enable, disabled_shop):
    os.killpg(slow_enable.pid, signal.SIGKILL)
    slow_enable.wait()

    [change] = _once_noticed(lambda: lifecycle.enable(disabled_shop, ["shop"]))

    assert change.after == "enabled"


def _once_noticed(verb):
    """Run a verb as soon as the server of a database has noticed that the holder of the lock is gone."""
    end = time.monotonic() + 30
    while True:
        try:
            return verb()
        except Conflict:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_two_upgrades_of_the_database_may_run_beside_each_other(disabled_shop, tmp_path):
    fork = multiprocessing.get_context("fork")
    together, answers = fork.Barrier(2), fork.Queue()
    both = [
        fork.Process(target=attempt, args=("db upgrade", disabled_shop, tmp_path, together, answers)) for _ in range(2)
    ]
    for process in both:
        process.start()

    assert [answers.get(timeout=60)[1] for _ in both] == [0, 0]
    for process in both:
        process.join()


def _advisory_locks(config):
    engine = sa.create_engine(config.database_url)
    with engine.connect() as connection:
        held = sa.text(
            "SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        )
        found = connection.execute(held).all()
    engine.dispose()
    return found


def test_a_verb_leaves_no_lock_behind(disabled_shop, tmp_path):
    database = sa.make_url(disabled_shop.database_url).database

    lifecycle.enable(disabled_shop, ["shop"])

    if disabled_shop.database_url.startswith("sqlite"):
        assert not [path.name for path in Path(database).parent.glob(f"{Path(database).name}-modules*")]
    else:
        assert _advisory_locks(disabled_shop) == []
    lifecycle.disable(disabled_shop, ["shop"])


def test_tables_that_vanished_between_migration_and_switch_are_noticed_without_any_lock(
    disabled_shop, monkeypatch, tmp_path
):
    upgrade = changes.migrations.upgrade

    def then_lose_them(config, names):
        applied = upgrade(config, names)
        engine = make_engine(config.database_url)
        with engine.begin() as connection:
            for table in ("shop_line", "shop_basket", "alembic_version_shop"):
                connection.exec_driver_sql(f"DROP TABLE {table}")
        engine.dispose()
        return applied

    monkeypatch.setattr(changes.migrations, "upgrade", then_lose_them)

    with pytest.raises(Conflict, match="changed meanwhile"):
        lifecycle.enable(disabled_shop, ["shop"])

    assert standing(disabled_shop)[0] == "disabled"


def test_a_set_that_changed_while_it_was_loaded_is_not_switched_on(disabled_shop, monkeypatch):
    lifecycle.enable(disabled_shop, ["shop"])
    inspect = changes.inspect_modules

    def meanwhile(config, modules):
        with store.writing_rows(config) as connection:
            store.write_state(connection, "shop", "disabled", "1.0.0")
        return inspect(config, modules)

    monkeypatch.setattr(changes, "inspect_modules", meanwhile)

    with pytest.raises(Conflict, match="changed meanwhile"):
        lifecycle.enable(disabled_shop, ["till"])

    assert standing(disabled_shop)[0] == "disabled"
