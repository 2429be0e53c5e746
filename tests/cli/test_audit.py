"""``crm audit``: the log of an instance is sealed, verified, and its head kept elsewhere."""

from __future__ import annotations

import json
import sqlite3

import pytest


@pytest.fixture
def change(instance):
    """Run a statement on the instance's database, past the application."""

    def run(statement):
        connection = sqlite3.connect(instance.database)
        try:
            with connection:
                return connection.execute(statement).rowcount
        finally:
            connection.close()

    return run


def verified(crm, *options):
    result = crm("audit", "verify", "--json", *options)
    return result.exit_code, json.loads(result.stdout)


def test_an_untouched_log_is_sealed_and_intact(crm, instance):
    code, found = verified(crm)

    assert (code, found["intact"], found["unsealed"], found["findings"]) == (0, True, 0, [])
    assert found["sealed"] == found["head"]["number"] > 0


def test_an_altered_row_is_named_and_the_exit_code_says_findings(crm, instance, change):
    verified(crm)
    change("UPDATE audit_log SET actor = 'Mallory' WHERE id = (SELECT audit_id FROM audit_seal WHERE number = 2)")

    code, found = verified(crm)
    text = crm("audit", "verify")

    assert (code, found["intact"], found["found"]) == (6, False, 1)
    assert (found["findings"][0]["kind"], found["findings"][0]["number"]) == ("altered", 2)
    assert text.exit_code == 6
    assert text.stderr.startswith(f"altered, row 2 ({found['findings'][0]['row']}): ")


def test_an_end_cut_off_before_the_next_sealing_is_found_and_not_continued(crm, instance, change):
    verified(crm)
    change("DELETE FROM audit_seal WHERE number = (SELECT max(number) FROM audit_seal)")
    crm("teams", "create", "North")

    code, found = verified(crm)
    refused = crm("audit", "head")

    assert (code, found["findings"][0]["kind"]) == (6, "truncated")
    assert refused.exit_code == 5
    assert "Look with: crm audit verify" in refused.stderr


def test_a_head_kept_in_a_file_proves_that_the_log_was_not_put_back(crm, instance, change, tmp_path):
    verified(crm)
    change("CREATE TABLE kept AS SELECT * FROM audit_head")
    crm("teams", "create", "North")
    kept = tmp_path / "head.json"
    kept.write_text(crm("audit", "head", "--json").stdout)

    before = verified(crm, "--head", kept)
    change(
        "DELETE FROM audit_log WHERE id IN (SELECT audit_id FROM audit_seal, kept WHERE audit_seal.number > kept.number)"
    )
    change("DELETE FROM audit_seal WHERE number > (SELECT number FROM kept)")
    change("DELETE FROM audit_head")
    change("INSERT INTO audit_head SELECT * FROM kept")
    alone, after = verified(crm), verified(crm, "--head", kept)

    assert (before[0], alone[0], after[0]) == (0, 0, 6)
    assert after[1]["findings"][0]["kind"] == "truncated"


def test_a_file_that_is_no_head_is_refused(crm, instance, tmp_path):
    wrong = tmp_path / "head.json"
    for content, words in (("no json", "expected what crm audit head --json prints"), ("[]", "crm audit head --json")):
        wrong.write_text(content)

        result = crm("audit", "verify", "--head", wrong)

        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_a_changed_key_is_a_finding_until_the_head_is_accepted(crm, instance, monkeypatch):
    verified(crm)
    monkeypatch.setenv("CRM_SECRET_KEY", "another key " * 4)

    before, accepted, after = verified(crm), crm("audit", "head", "--accept"), verified(crm)

    assert (before[0], before[1]["findings"][0]["kind"]) == (6, "head")
    assert (accepted.exit_code, after[0]) == (0, 0)


def listed(crm, *options):
    result = crm("audit", "list", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_rows_are_listed_newest_first_with_their_values(crm, instance):
    crm("teams", "create", "North")
    crm("teams", "create", "South")

    rows = listed(crm, "--record-type", "team")

    assert [(row["action"], row["channel"], row["actor"], row["after"]["name"]) for row in rows] == [
        ("created", "cli", "system", "South"),
        ("created", "cli", "system", "North"),
    ]


@pytest.mark.parametrize(
    ("name", "options", "other"),
    [
        ("record", "--record", "01990000-0000-7000-8000-000000000001"),
        ("request_id", "--request", "another"),
        ("actor", "--actor", "Mallory"),
        ("action", "--action", "deleted"),
        ("channel", "--channel", "web"),
    ],
)
def test_a_filter_keeps_what_fits_and_nothing_else(crm, instance, name, options, other):
    crm("teams", "create", "North")
    [row] = listed(crm, "--record-type", "team")

    assert row in listed(crm, "--record-type", "team", options, row[name])
    assert listed(crm, "--record-type", "team", options, other) == []


def test_rows_are_found_by_time_and_page(crm, instance):
    crm("teams", "create", "North")
    rows = listed(crm)

    assert listed(crm, "--limit", "1") == rows[:1]
    assert listed(crm, "--before", rows[0]["id"], "--limit", "2") == rows[1:3]
    assert listed(crm, "--since", "2000-01-01", "--until", "2000-01-02") == []
    assert listed(crm, "--since", "2000-01-01") == rows
