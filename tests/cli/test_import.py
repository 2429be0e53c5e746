"""``crm import`` as people see it at a terminal; what it does to rows is tested with the importer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_file_without_rows_is_said_to_have_none(crm, instance, dry_run):
    Path("people.csv").write_text("kind,given_name,family_name\n")

    result = crm("import", "people.csv", "--record", "customer", "--yes", *dry_run)

    assert result.exit_code == 0
    assert "people.csv has no rows: there is nothing to import from it." in result.stderr


def test_a_file_whose_rows_are_all_refused_is_not_said_to_have_none(crm, instance):
    Path("people.csv").write_text("kind,given_name,family_name\nperson,,\n")

    result = crm("import", "people.csv", "--record", "customer", "--yes", "--json")

    assert result.exit_code == 7
    assert json.loads(result.stdout)["sources"][0]["refused"] == 1
    assert "has no rows" not in result.stderr


PEOPLE = "kind,given_name,family_name\nperson,Ada,Lovelace\nperson,,\nperson,Grace,Hopper\n"


def test_a_dry_run_writes_what_would_become_of_each_row(crm, instance):
    Path("people.csv").write_text(PEOPLE)

    result = crm("import", "people.csv", "--record", "customer", "--dry-run", "--verdicts", "verdicts.csv", "--json")

    assert result.exit_code == 7
    with Path("verdicts.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["file", "row", "verdict", "problems"]
    assert [row[:3] for row in rows] == [
        ["people.csv", "2", "created"],
        ["people.csv", "3", "refused"],
        ["people.csv", "4", "created"],
    ]
    assert [bool(row[3]) for row in rows] == [False, True, False]
    assert (json.loads(result.stdout)["created"], json.loads(result.stdout)["refused"]) == (2, 1)


def test_verdicts_are_of_a_dry_run(crm, instance):
    Path("people.csv").write_text(PEOPLE)

    result = crm("import", "people.csv", "--record", "customer", "--yes", "--verdicts", "verdicts.csv")

    assert result.exit_code == 2
    assert "--dry-run" in result.stderr
    assert not Path("verdicts.csv").exists()
