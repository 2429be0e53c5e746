"""``crm modules`` on a module whose code is gone, and ``crm demo``: what scripts and admins see."""

from __future__ import annotations

import json
import sqlite3
import stat

import pytest

from crm_kernel.testing.sites import write_distribution


@pytest.fixture
def ghost(instance):
    """Leave two rows of a disabled module ghost in the instance; its code is not installed."""
    connection = sqlite3.connect(instance.database)
    connection.executescript(
        "CREATE TABLE ghost_thing (id INTEGER PRIMARY KEY, name TEXT);"
        "INSERT INTO ghost_thing (name) VALUES ('a'), ('b');"
        "INSERT INTO module (name, state, version, changed_at) VALUES ('ghost', 'disabled', '1.0', '2026-01-01 00:00:00');"
    )
    connection.close()
    return instance


def rows_of_ghost(instance):
    connection = sqlite3.connect(instance.database)
    try:
        return connection.execute("SELECT count(*) FROM ghost_thing").fetchone()[0]
    finally:
        connection.close()


def test_a_module_without_code_is_listed_as_orphaned_with_what_to_do(crm, ghost):
    states = {state["name"]: state for state in json.loads(crm("modules", "list", "--json").stdout)}

    assert states["ghost"]["state"] == "orphaned"
    assert "crm modules purge ghost" in states["ghost"]["reason"]


def test_a_command_of_a_module_without_code_says_that_its_rows_are_kept_and_how_to_get_it_back(crm, ghost):
    result = crm("ghost", "report")

    assert result.exit_code == 2
    assert "No such command 'ghost'. It came with the module ghost, whose code is no longer installed" in result.stderr
    assert "its rows are kept. Install its wheel again to get it back." in result.stderr


def test_a_word_that_is_no_module_is_a_command_that_does_not_exist_also_without_an_instance(crm, ghost, tmp_path):
    beside, without = crm("ghosts"), crm("--config", "nowhere.toml", "ghost")

    assert "No such command 'ghosts'. See: crm --help" in beside.stderr
    assert "No such command 'ghost'. See: crm --help" in without.stderr


def test_doctor_names_the_tables_that_were_left(crm, ghost):
    findings = {finding["name"]: finding for finding in json.loads(crm("doctor", "--json").stdout)}

    assert findings["orphans"]["health"] == "warning"
    assert "1 tables of ghost are kept" in findings["orphans"]["message"]


def test_a_purge_without_anybody_to_ask_is_refused_and_deletes_nothing(crm, ghost):
    result = crm("modules", "purge", "ghost")

    assert result.exit_code == 2
    assert "add --yes to go on, or --dry-run to look first" in result.stderr
    assert rows_of_ghost(ghost) == 2


def test_a_dry_run_of_a_purge_counts_and_deletes_nothing(crm, ghost):
    result = crm("modules", "purge", "ghost", "--dry-run", "--json")

    assert json.loads(result.stdout)["tables"] == {"ghost_thing": 2}
    assert rows_of_ghost(ghost) == 2
    assert not (ghost.folder / "ghost-export").exists()


def test_a_purge_exports_before_it_deletes(crm, ghost):
    result = crm("modules", "purge", "ghost", "--yes")

    assert result.exit_code == 0
    lines = (ghost.folder / "ghost-export" / "ghost_thing.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        rows_of_ghost(ghost)


@pytest.mark.parametrize("verb", ["enable", "disable", "uninstall", "purge", "plan", "explain", "info"])
def test_an_unknown_module_is_3(crm, instance, verb):
    result = crm("modules", verb, "nope")

    assert result.exit_code == 3
    assert "nope" in result.stderr


def test_no_module_is_an_empty_list_of_those_at_work(crm, instance):
    result = crm("modules", "list", "--json")

    assert result.exit_code == 0
    assert [state for state in json.loads(result.stdout) if state["state"] == "loaded"] == []


def test_the_demo_company_is_loaded_once_and_its_login_shown(crm, instance):
    first = json.loads(crm("demo", "load", "--yes", "--json", "--today", "2026-06-01").stdout)
    second = json.loads(crm("demo", "load", "--yes", "--json").stdout)
    login = json.loads(crm("demo", "show", "--json").stdout)

    assert set(first["parts"].values()) == {"loaded"}
    assert set(second["parts"].values()) == {"loaded before"}
    assert login == first["login"] == second["login"]
    assert stat.S_IMODE((instance.folder / "demo-login.json").stat().st_mode) == 0o600


def test_a_dry_run_of_the_demo_loads_nothing(crm, instance):
    result = crm("demo", "load", "--dry-run", "--json")

    assert set(json.loads(result.stdout)["parts"].values()) == {"would be loaded"}
    assert crm("demo", "show").exit_code == 3


def test_a_plan_has_a_line_for_a_problem_with_its_sql_only_if_there_is_one(crm, instance, tmp_path, monkeypatch):
    write_distribution(tmp_path / "wheels", "planned", requires=["crm-kernel>=0.1"])
    monkeypatch.syspath_prepend(str(tmp_path / "wheels"))

    plain, whole = crm("modules", "plan", "planned"), json.loads(crm("modules", "plan", "planned", "--json").stdout)
    instance.database.unlink()
    without_database = crm("modules", "plan", "planned")

    assert "sql: none" in plain.stdout
    assert "sql problem" not in plain.stdout
    assert whole["sql_problem"] == ""
    assert "sql problem: there is no database yet: crm db upgrade\n" in without_database.stdout
