"""The commands of a module, as ``docs/howto/write-a-command.md`` teaches them, and the names of crm_cli it may use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "write-a-command.md"


@pytest.fixture
def crm_plugins(toybank):
    return (toybank,)


@pytest.fixture
def accounts(factories, customer_factory):
    """Two open accounts called Savings and one called Wages."""
    customer = customer_factory()
    return [factories.record("toybank.account", customer=customer, name=n) for n in ("Savings", "Savings", "Wages")]


def test_a_reading_command_prints_a_table_or_json(cli, accounts):
    assert cli("toybank", "totals", "--json").json() == {"open": 3, "closed": 0}
    assert cli("toybank", "totals").stdout.splitlines() == ["state\taccounts", "open\t3", "closed\t0"]


def test_a_writing_command_asks_rehearses_and_does(cli, accounts):
    refused, rehearsed = cli("toybank", "close", "Savings"), cli("toybank", "close", "Savings", "--dry-run")
    before = cli("toybank", "totals", "--json").json()
    done = cli("toybank", "close", "Savings", "--yes")

    assert (refused.exit_code, "add --yes" in refused.stderr) == (2, True)
    assert (rehearsed.exit_code, "Dry run: nothing was changed." in rehearsed.stderr, before["closed"]) == (0, True, 0)
    assert (done.exit_code, done.stderr.strip()) == (0, "Closed: 2")
    assert cli("toybank", "totals", "--json").json() == {"open": 1, "closed": 2}


def test_the_page_names_what_modules_may_use_of_the_command_line():
    from crm_cli import common

    table = PAGE.read_text("utf-8").split("| --- | --- |")[1]
    named = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1:2][0] if "|" in line else "")
    }

    assert named == set(common.__all__)
