"""``crm consent`` and ``crm customers may-contact`` on a real instance."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

POINTS = [{"channel": "email", "value": "ada@crm.test"}]


@pytest.fixture
def ada(customer_factory):
    """The public id of a stored person with an e-mail address."""
    return str(customer_factory(kind="person", family_name="Lovelace", contact_points=POINTS).uid)


@pytest.fixture
def asked(cli, ada):
    """Ask the gate: ``asked("marketing")``."""
    question = ("customers", "may-contact", ada, "--channel", "email", "--json", "--purpose")
    return lambda purpose="marketing": json.loads(cli(*question, purpose).stdout)


def test_a_recorded_consent_opens_the_gate(cli, ada, asked):
    words = ("--channel", "email", "--purpose", "marketing", "--status", "given")
    assert asked()["reason"] == "no_consent"

    rehearsed = cli("consent", "record", ada, *words, "--dry-run")
    still = asked()["allowed"]
    made = json.loads(cli("consent", "record", ada, *words, "--note", "by phone", "--json").stdout)

    assert (rehearsed.exit_code, still) == (0, False)
    assert asked()["proof"]["id"] == made["id"]
    assert json.loads(cli("consent", "list", ada, "--json").stdout)[0]["source"] == "user:cli"


def test_a_suppressed_value_closes_it_until_it_is_lifted(cli, asked):
    made = json.loads(cli("consent", "suppress", "ADA@crm.test", "--json").stdout)
    closed = asked("service")
    cli("consent", "lift", made["id"], "--note", "a mistake")

    assert (closed["reason"], closed["proof"]["id"]) == ("suppressed", made["id"])
    assert asked("service")["allowed"]


def test_the_answer_in_words_names_rule_and_reason(cli, ada):
    answer = cli("customers", "may-contact", ada, "--channel", "fax", "--purpose", "marketing")

    assert answer.stdout.startswith("no: There is no address for this channel.")
    assert "kernel.consent" in answer.stdout


def test_the_purposes_are_listed(cli, ada):
    rows = json.loads(cli("consent", "purposes", "--json").stdout)

    assert [(row["code"], row["rule"]) for row in rows] == [
        ("marketing", "opt_in"), ("service", "always"), ("survey", "opt_out"),
    ]  # fmt: skip


@pytest.mark.parametrize("at", ["yesterday", "2026-01-01T10:00"])
def test_a_time_needs_its_zone(cli, ada, at):
    words = ("--channel", "email", "--purpose", "marketing", "--at", at)

    assert cli("customers", "may-contact", ada, *words).exit_code == 2


def test_an_unknown_customer_is_not_found(cli, ada):
    unknown = cli("customers", "may-contact", str(uuid4()), "--channel", "email", "--purpose", "marketing")

    assert unknown.exit_code == 3
