"""``crm init``: a whole instance or nothing."""

from __future__ import annotations

import json
import stat

import pytest


def test_an_instance_has_a_private_configuration_a_database_and_an_admin(crm, tmp_path):
    result = crm(
        "init", "site", "--admin-email", "Ann@Example.com", "--company-name", "Ünïcode & Söhne", "--yes", "--json"
    )

    made = json.loads(result.stdout)
    assert stat.S_IMODE((tmp_path / "site" / "crm.toml").stat().st_mode) == 0o600
    assert (tmp_path / "site" / "crm.db").is_file()
    assert len(made["admin"]["password"]) >= 20
    listed = json.loads(crm("users", "list", "--json", "--config", "site/crm.toml").stdout)
    assert [(user["email"], user["roles"]) for user in listed] == [("ann@example.com", ["administrator"])]


def test_the_secret_key_is_random_and_never_shown(crm, tmp_path):
    shown = crm("init", "a", "--yes").stdout + crm("init", "b", "--yes").stdout

    keys = {
        line for name in "ab" for line in (tmp_path / name / "crm.toml").read_text().splitlines() if "secret" in line
    }
    secrets = [key.partition('"')[2].rstrip('"') for key in keys if key.startswith("secret_key")]
    assert len(set(secrets)) == 2
    assert all(len(secret) >= 48 and secret not in shown for secret in secrets)


def test_a_second_init_is_a_conflict(crm, instance):
    result = crm("init", ".", "--yes")

    assert result.exit_code == 5
    assert "exists already" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--modules", "nope"], 3, "module nope: no installed distribution provides it"),
        (["--database-url", "postgresql+psycopg://nobody@127.0.0.1:9/none"], 1, "database_url in"),
        (["--database-url", "nonsense"], 1, "database_url"),
        (["--admin-email", "not an address"], 2, "--admin-email"),
    ],
)
def test_a_failing_init_says_why_and_leaves_nothing_behind(crm, tmp_path, arguments, code, words):
    result = crm("init", "site", "--yes", *arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert not (tmp_path / "site").exists()


def test_a_failing_init_removes_only_what_it_made(crm, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("mine")

    crm("init", "site", "--yes", "--database-url", "postgresql+psycopg://nobody@127.0.0.1:9/none")

    assert [path.name for path in (tmp_path / "site").iterdir()] == ["mine.txt"]


def test_a_dry_run_creates_nothing(crm, tmp_path):
    result = crm("init", "site", "--admin-email", "ann@example.com", "--dry-run")

    assert result.exit_code == 0
    assert "ann@example.com" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_who_gave_no_administrator_is_told_how_to_make_one_and_a_program_is_not(crm):
    told, silent = crm("init", "a", "--yes"), crm("init", "b", "--yes", "--json")

    assert "No administrator yet: crm users create EMAIL --role administrator" in told.stderr
    assert (silent.exit_code, silent.stderr) == (0, "")
    assert json.loads(silent.stdout)["admin"] is None
