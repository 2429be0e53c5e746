"""``db``, ``config``, ``users``, ``doctor``, ``openapi``: data on stdout, messages on stderr, dry runs that change nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager

import pytest

from crm_kernel._internal.checkup import python_version
from crm_kernel.errors import DatabaseUnavailable

ADMIN = "ann@example.com"


def query(instance, sql):
    connection = sqlite3.connect(instance.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class TestDb:
    """``crm db``."""

    def test_status_lists_every_branch(self, crm, instance):
        [kernel, *_] = json.loads(crm("db", "status", "--json").stdout)

        assert (kernel["branch"], kernel["state"], kernel["pending"]) == ("kernel", "current", [])

    def test_a_table_without_a_terminal_is_tab_separated(self, crm, instance):
        assert crm("db", "status").stdout.splitlines()[0] == "branch\tstate\tcurrent\thead\tpending\thint"

    def test_check_finds_no_difference_in_a_new_instance(self, crm, instance):
        result = crm("db", "check", "--json")

        assert (result.exit_code, result.stdout) == (0, "[]\n")

    def test_check_ends_with_6_when_a_table_differs(self, crm, instance):
        connection = sqlite3.connect(instance.database)
        connection.execute("ALTER TABLE product ADD COLUMN colour TEXT")
        connection.close()

        result = crm("db", "check", "--json")

        assert result.exit_code == 6
        assert json.loads(result.stdout) == [{"branch": "kernel", "finding": "remove column: product.colour"}]

    def test_upgrade_says_that_there_is_nothing_to_do(self, crm, instance):
        result = crm("db", "upgrade", "--json")

        assert json.loads(result.stdout) == {"applied": [], "sql": []}
        assert "0 revisions applied." in result.stderr

    def test_a_dry_run_of_an_upgrade_prints_sql_and_creates_nothing(self, crm, instance):
        instance.database.unlink()

        result = crm("db", "upgrade", "--dry-run")

        assert "CREATE TABLE customer" in result.stdout
        assert not instance.database.exists()

    def test_a_database_that_is_gone_is_created_as_its_refusal_says_and_gets_an_administrator(self, crm, instance):
        instance.database.unlink()
        refused = crm("users", "list")

        created = crm("db", "upgrade")

        assert "or create an empty one: crm db upgrade" in refused.stderr
        assert "crm users create EMAIL --role administrator" in created.stderr
        assert crm("users", "create", "zoe@example.com", "--role", "administrator").exit_code == 0

    def test_an_upgrade_gives_no_roles_to_a_database_that_has_some(self, crm, instance):
        connection = sqlite3.connect(instance.database)
        connection.execute("DELETE FROM role WHERE name = 'reader'")
        connection.commit()
        connection.close()

        crm("db", "upgrade")

        assert ("reader",) not in query(instance, "SELECT name FROM role")

    def test_an_unreachable_database_is_one_line_and_1(self, crm, instance):
        result = crm("db", "status", env={"CRM_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"})

        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert "CRM_DATABASE_URL in the environment" in result.stderr

    def test_a_file_that_is_no_database_is_one_line_and_1(self, crm, instance):
        for suffix in ("-wal", "-shm"):  # with a journal of the old content SQLite calls it damaged instead
            instance.database.with_name(instance.database.name + suffix).unlink(missing_ok=True)
        instance.database.write_bytes(b"certainly no database" * 100)

        result = crm("db", "status")

        assert result.exit_code == 1
        assert "file is not a database" in result.stderr


class TestConfig:
    """``crm config``."""

    def test_secrets_are_masked(self, crm, instance):
        key = instance.config.read_text().partition('secret_key = "')[2].partition('"')[0]
        url = "postgresql+psycopg://bob:s3cret@db.example/crm"

        result = crm("config", "show", "--json", env={"CRM_DATABASE_URL": url, "CRM_MAIL__API_TOKEN": "tok-123"})

        shown = json.loads(result.stdout)
        assert key not in result.stdout
        assert shown["database_url"] == "postgresql+psycopg://bob:********@db.example/crm"
        assert shown["plugin_settings"]["mail"]["api_token"] == "********"

    def test_a_password_with_an_at_sign_is_masked_to_its_end(self, crm):
        result = crm("config", "show", "--json", env={"CRM_JOBS_BROKER_URL": "amqp://crm:p@ss@broker//"})

        assert json.loads(result.stdout)["jobs_broker_url"] == "amqp://crm:********@broker//"


class TestUsers:
    """``crm users``."""

    def test_a_user_is_created_and_his_password_printed_once(self, crm, instance):
        made = crm("users", "create", "bob@example.com", "--role", "reader")

        assert made.exit_code == 0
        assert len(made.stdout.strip()) >= 20
        listed = {user["email"]: user for user in json.loads(crm("users", "list", "--json").stdout)}
        assert listed["bob@example.com"]["roles"] == ["reader"]

    def test_a_dry_run_creates_no_user_and_prints_no_password(self, crm, instance):
        result = crm("users", "create", "bob@example.com", "--dry-run")

        assert (result.exit_code, result.stdout) == (0, "")
        assert query(instance, "SELECT email FROM app_user") == [(ADMIN,)]

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["create", ADMIN], 2, "is a user already"),
            (["create", "no-address"], 2, "email"),
            (["create", "bob@example.com", "--role", "nope"], 2, "There is no role nope"),
            (["create", "bob@example.com", "--team", "nope"], 3, "There is no team nope"),
            (["deactivate", "nobody@example.com"], 3, "There is no user nobody@example.com"),
            (["deactivate", ADMIN], 5, "last active administrator"),
            (["token", ADMIN, "--name", "x", "--scope", "Not A Scope"], 2, "scopes"),
        ],
    )
    def test_wrong_input_is_named_and_nothing_is_written(self, crm, instance, arguments, code, words):
        result = crm("users", *arguments)

        assert result.exit_code == code
        assert words in result.stderr
        assert query(instance, "SELECT email, active FROM app_user") == [(ADMIN, 1)]

    def test_a_token_is_shown_once_and_stored_hashed(self, crm, instance):
        token = crm("users", "token", ADMIN, "--name", "import", "--scope", "customer.read").stdout.strip()

        assert token.startswith("crm_")
        assert token not in str(query(instance, "SELECT * FROM api_token"))

    def test_a_password_can_come_from_stdin(self, crm, instance):
        result = crm("users", "reset-password", ADMIN, "--password-stdin", input="four unrelated garden words\n")

        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"The password of {ADMIN} is set; his sessions and API tokens have ended.\n"

    def test_a_dry_run_of_a_new_password_does_not_say_that_it_is_set(self, crm, instance):
        result = crm("users", "reset-password", ADMIN, "--dry-run")

        assert (result.stdout, result.stderr) == ("", "Dry run: nothing was changed.\n")

    def test_roles_are_listed_with_what_they_grant(self, crm, instance):
        roles = {role["name"]: role["grants"] for role in json.loads(crm("users", "roles", "--json").stdout)}

        assert roles["administrator"] == {"*": "all"}


class TestDoctor:
    """``crm doctor``."""

    def checks(self, result):
        return {check["name"]: check for check in json.loads(result.stdout)}

    def test_a_new_instance_has_no_error(self, crm, instance):
        result = crm("doctor", "--json")

        assert result.exit_code == 0
        assert not [check for check in json.loads(result.stdout) if check["health"] == "error"]

    def test_everything_else_is_checked_while_the_database_is_unreachable(self, crm, instance):
        result = crm("doctor", "--json", env={"CRM_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"})

        checks = self.checks(result)
        assert result.exit_code == 6
        assert checks["database"]["health"] == "error"
        assert checks["disk"]["health"] == "ok"

    def test_a_database_that_does_not_answer_is_said_once_and_what_needs_it_is_not_checked(self, crm, instance):
        result = crm("doctor", "--json", env={"CRM_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"})

        found = json.loads(result.stdout)
        assert [check["name"] for check in found if check["health"] == "error"] == ["database"]
        assert {check["name"]: check["message"] for check in found if check["health"] == "skipped"} == dict.fromkeys(
            ["migrations", "modules", "orphans", "dead letters", "encrypted values", "registered checks"],
            "not checked: the database does not answer",
        )
        assert "1 of " in result.stderr

    def test_a_database_that_is_not_there_is_said_once(self, crm, instance):
        instance.database.unlink()

        found = json.loads(crm("doctor", "--json").stdout)

        [error] = [check for check in found if check["health"] == "error"]
        assert (error["name"], "crm db upgrade" in error["message"]) == ("database", True)
        assert not instance.database.exists()

    def test_a_database_without_the_kernels_tables_is_said_once_with_what_to_do(self, crm, instance):
        instance.database.unlink()
        sqlite3.connect(instance.database).close()

        found = json.loads(crm("doctor", "--json").stdout)

        [error] = [check for check in found if check["health"] == "error"]
        assert (error["name"], error["fix"]) == ("migrations", "crm db upgrade")
        skipped = {check["name"]: check["fix"] for check in found if check["health"] == "skipped"}
        assert skipped == dict.fromkeys(["dead letters", "encrypted values", "registered checks"], "crm db upgrade")

    def test_a_database_that_only_reads_is_named_and_the_rest_is_checked(self, crm, instance, monkeypatch):
        from crm_kernel.migrations import running

        @contextmanager
        def refusing(config):
            raise DatabaseUnavailable("attempt to write a readonly database")
            yield

        monkeypatch.setattr(running, "migration_connection", refusing)

        checks = self.checks(crm("doctor", "--json"))

        assert (checks["database"]["health"], checks["database writable"]["health"]) == ("ok", "error")
        assert checks["dead letters"]["health"] == "ok"

    def test_wrong_settings_are_a_finding(self, crm, instance):
        instance.config.write_text("port = 'many'\n")

        result = crm("doctor", "--json")

        assert result.exit_code == 6
        assert "port in" in self.checks(result)["settings"]["message"]

    def test_a_configuration_that_others_can_read_is_a_warning(self, crm, instance):
        instance.config.chmod(0o644)

        assert self.checks(crm("doctor", "--json"))["secret key"]["health"] == "warning"

    @pytest.mark.parametrize("key", ["x" * 40, "changeme" * 5, "0123456789ab" * 4])
    def test_a_key_that_was_typed_rather_than_made_by_chance_is_an_error(self, crm, instance, key):
        found = self.checks(crm("doctor", "--json", env={"CRM_SECRET_KEY": key}))["secret key"]

        assert found["health"] == "error"
        assert "CRM_SECRET_KEY in the environment can be guessed" in found["message"]
        assert key not in found["message"]

    def test_another_key_than_that_of_the_secrets_is_named_with_what_they_are(self, crm, instance):
        assert crm("identity-providers", "add", "Staff", "https://login.example.com", "crm").exit_code == 0
        assert crm("identity-providers", "secret", "Staff", "--value", "s3cret").exit_code == 0
        right = self.checks(crm("doctor", "--json"))["encrypted values"]

        result = crm("doctor", "--json", env={"CRM_SECRET_KEY": "Zq8-another_key.of48chars:made+by/chance=7Jx2Lw"})

        assert (right["health"], right["message"]) == ("ok", "1 can be read")
        found = self.checks(result)["encrypted values"]
        assert (found["health"], found["message"]) == (
            "error",
            "1 of 1 log-in providers were encrypted with another secret_key",
        )
        assert "crm identity-providers secret" in found["fix"]

    def test_a_replaced_key_is_rotated_out(self, crm, instance):
        old = instance.config.read_text().partition('secret_key = "')[2].partition('"')[0]
        new = {"CRM_SECRET_KEY": "Zq8-another_key.of48chars:made+by/chance=7Jx2Lw"}
        both = {**new, "CRM_PREVIOUS_SECRET_KEYS": old}
        assert crm("identity-providers", "add", "Staff", "https://login.example.com", "crm").exit_code == 0
        assert crm("identity-providers", "secret", "Staff", "--value", "s3cret").exit_code == 0

        planned = crm("secrets", "rotate", "--json", env=both)
        lost = crm("secrets", "rotate", "--json", env=new)
        done = crm("secrets", "rotate", "--yes", "--json", env=both)

        assert (planned.exit_code, lost.exit_code, done.exit_code) == (0, 6, 0)
        assert json.loads(planned.stdout) == json.loads(done.stdout)
        assert {row["what"]: row["rotated"] for row in json.loads(done.stdout)}["log-in providers"] == 1
        assert self.checks(crm("doctor", "--json", env=new))["encrypted values"]["health"] == "ok"
        shown = crm("config", "show", "--json", env=both).stdout
        assert old not in shown

    @pytest.mark.parametrize(
        ("version", "health"),
        [
            ((3, 11, 7), "warning"),
            ((3, 11, 15), "ok"),
            ((3, 12, 12), "warning"),
            ((3, 13, 12), "ok"),
            ((3, 15, 0), "ok"),
        ],
    )
    def test_a_python_that_lets_newlines_into_mail_headers_is_a_warning(self, version, health):
        assert python_version(version).health == health


def test_openapi_prints_the_description_of_the_api(crm, instance):
    document = json.loads(crm("openapi").stdout)

    assert document["openapi"].startswith("3.1")
    assert "/api/customers" in " ".join(document["paths"])
