"""``crm access explain``: why somebody has a permission or lacks it."""

from __future__ import annotations

import json
import sqlite3
import uuid

import pytest


@pytest.fixture
def reader(crm, instance):
    """Create a user in the role reader."""
    assert crm("users", "create", "bob@example.com", "--role", "reader").exit_code == 0


def test_the_rules_are_listed_with_the_verdict(crm, reader):
    granted = crm("access", "explain", "bob@example.com", "customer.read")
    refused = crm("access", "explain", "BOB@example.com", "customer.update")

    assert granted.stdout.splitlines()[0] == "rule\tof\tanswer\twhy"
    assert "verdict\tkernel\tyes\tGrants it." in granted.stdout
    assert granted.stderr == "bob@example.com has customer.read.\n"
    assert "grant\treader\tno\tNone of the roles grants it." in refused.stdout
    assert refused.stderr == "bob@example.com lacks customer.update.\n"


def test_a_program_reads_verdict_and_steps_of_one_record(crm, reader, instance, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("kind,given_name,family_name\nperson,Ada,Lovelace\n")
    assert crm("import", people, "--record", "customer", "--yes").exit_code == 0
    with sqlite3.connect(instance.database) as connection:
        [(key,)] = connection.execute("SELECT uid FROM customer").fetchall()
    customer = str(uuid.UUID(bytes=key))

    found = json.loads(crm("access", "explain", "bob@example.com", "customer.read", customer, "--json").stdout)

    assert (found["user"], found["record"], found["allowed"]) == ("bob@example.com", customer, True)
    assert [step["rule"] for step in found["steps"]] == ["user", "grant", "reach", "visibility", "verdict"]


def test_what_the_services_refuse_is_listed(crm, reader, instance):
    assert crm("users", "create", "boss@example.com", "--role", "administrator").exit_code == 0
    assert crm("roles", "create", "helpdesk").exit_code == 0
    assert crm("roles", "grant", "helpdesk", "user.set_password", "--scope", "all").exit_code == 0
    assert crm("users", "assign", "bob@example.com", "helpdesk").exit_code == 0
    with sqlite3.connect(instance.database) as connection:
        [(key,)] = connection.execute("SELECT uid FROM app_user WHERE email = 'boss@example.com'").fetchall()

    found = crm("access", "explain", "bob@example.com", "user.set_password", str(uuid.UUID(bytes=key)))

    assert "limit\tuser\tno\t" in found.stdout
    assert "lacks user.set_password" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody@example.com", "customer.read"], 3, "crm users list"),
        (["bob@example.com", "customer.read", "01990000-0000-7000-8000-000000000001"], 3, "There is no customer"),
        (["bob@example.com", "customer.read", "seven"], 2, "UUID"),
        (["bob@example.com", "customer.read", "--token", "none"], 3, "no API token"),
    ],
)
def test_what_is_not_there_is_named(crm, reader, arguments, code, words):
    result = crm("access", "explain", *arguments)

    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
