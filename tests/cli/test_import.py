"""``crm import`` as people see it at a terminal; what it does to rows is tested with the importer."""

from __future__ import annotations

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
