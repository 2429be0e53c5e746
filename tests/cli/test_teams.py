"""``crm teams``: a fresh instance gets its teams without a browser."""

from __future__ import annotations

import json

import pytest


def teams(crm):
    return {
        team["name"]: (team["parent"], team["members"]) for team in json.loads(crm("teams", "list", "--json").stdout)
    }


def test_a_team_that_does_not_exist_is_created_as_the_refusal_says(crm, instance):
    refused = crm("users", "create", "bob@example.com", "--team", "Far North")

    created = crm("teams", "create", "Far North")

    assert refused.exit_code == 3
    assert "There is no team Far North; known: none. Create it: crm teams create 'Far North'" in refused.stderr
    assert (created.exit_code, created.stderr) == (0, "There is a team Far North now.\n")
    assert crm("users", "create", "bob@example.com", "--team", "Far North").exit_code == 0
    assert teams(crm) == {"Far North": (None, 1)}


def test_a_team_can_stand_below_another(crm, instance):
    crm("teams", "create", "Sales")

    made = json.loads(crm("teams", "create", "North", "--parent", "Sales", "--json").stdout)

    assert (made["name"], made["parent"]) == ("North", "Sales")
    assert teams(crm) == {"North": ("Sales", 0), "Sales": (None, 0)}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["Sales"], 2, "There is a team Sales already"),
        ([" "], 2, "name"),
        (["North", "--parent", "Nowhere"], 3, "There is no team Nowhere; known: Sales. Create it: crm teams create"),
    ],
)
def test_wrong_input_is_named_and_no_team_is_made(crm, instance, arguments, code, words):
    crm("teams", "create", "Sales")

    result = crm("teams", "create", *arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert teams(crm).keys() == {"Sales"}


def test_teams_without_a_terminal_are_tab_separated_lines(crm, instance):
    crm("teams", "create", "Sales")

    assert crm("teams", "list").stdout == "name\tparent\tmembers\nSales\t\t0\n"
