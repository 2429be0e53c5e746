"""``crm rates``: set, list, show, import and fetch exchange rates."""

from __future__ import annotations

import json
from uuid import UUID

DAILY = "Date, USD, JPY, \n20 November 2026, 1.0825, 169.30, \n"


def test_a_rate_is_set_listed_and_replaced(crm, instance):
    assert crm("rates", "set", "eur", "1.08", "--on", "2026-06-01").exit_code == 0
    done = crm("rates", "set", "EUR", "1.0900", "--on", "2026-06-01")

    assert "From 2026-06-01 on, 1 EUR is 1.09 USD." in done.stderr
    [rate] = json.loads(crm("rates", "list", "--json").stdout)
    assert [rate] == [
        {
            "id": str(UUID(rate["id"])),
            "from_currency": "EUR",
            "to_currency": "USD",
            "rate": "1.09",
            "valid_on": "2026-06-01",
            "source": None,
        }
    ]


def test_what_is_no_rate_is_refused_by_its_field(crm, instance):
    done = crm("rates", "set", "EUR", "much")

    assert done.exit_code == 2
    assert "rate" in done.stderr
    assert crm("rates", "set", "XXQ", "1").exit_code == 2


def test_imported_rates_are_shown_with_where_they_come_from(crm, instance, tmp_path):
    file = tmp_path / "eurofxref.csv"
    file.write_text(DAILY)

    done = crm("rates", "import", file)

    assert "2 rates added, 0 changed, 0 as they were; the latest day is 2026-11-20." in done.stderr
    shown = json.loads(crm("rates", "show", "JPY", "--on", "2026-11-22", "--json").stdout)
    assert shown == {
        "from_currency": "JPY",
        "to_currency": "USD",
        "on": "2026-11-22",
        "rate": "0.006393975192",
        "valid_on": "2026-11-20",
        "how": "cross over EUR",
    }
    assert "ECB" in crm("rates", "list", "--currency", "JPY").stdout


def test_a_missing_rate_and_a_wrong_file_say_what_to_do(crm, instance, tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")

    assert "rates.csv" in crm("rates", "show", "CHF").stderr
    refused = crm("rates", "import", file)

    assert refused.exit_code == 2
    assert "expected Date" in refused.stderr


def test_fetching_imports_what_the_bank_answers(crm, instance, monkeypatch):
    asked = []

    def answer(which, policy):
        asked.append(which)
        return DAILY.encode()

    monkeypatch.setattr("crm_kernel.sales.publishing.fetch_ecb", answer)

    done = crm("rates", "fetch", "quarter", "--since", "2026-01-01")

    assert done.exit_code == 0, done.stderr
    assert asked == ["quarter"]
    assert "2 rates added" in done.stderr


def test_what_is_done_is_told_to_programs_too(crm, instance, monkeypatch, tmp_path):
    file = tmp_path / "eurofxref.csv"
    file.write_text(DAILY)
    monkeypatch.setattr("crm_kernel.sales.publishing.fetch_ecb", lambda which, policy: DAILY.encode())

    made = json.loads(crm("rates", "set", "EUR", "1.50", "--on", "2026-11-20", "--json").stdout)
    imported = json.loads(crm("rates", "import", file, "--json").stdout)
    fetched = json.loads(crm("rates", "fetch", "--json").stdout)
    revalued = json.loads(crm("rates", "revalue", "--on", "2026-11-20", "--yes", "--json").stdout)

    [listed] = [rate for rate in json.loads(crm("rates", "list", "--json").stdout) if rate["source"] is None]
    assert made == listed
    assert imported == {"added": 1, "changed": 0, "unchanged": 0, "kept": 1, "unknown": [], "latest": "2026-11-20"}
    assert fetched == {**imported, "added": 0, "unchanged": 1}
    assert (revalued["on"], revalued["worths"]) == ("2026-11-20", [])
    assert json.loads(crm("jobs", "show", revalued["job"], "--json").stdout)["name"] == "kernel.revalue"


def test_a_dry_run_says_what_would_be(crm, instance, tmp_path):
    file = tmp_path / "eurofxref.csv"
    file.write_text(DAILY)

    told = [
        crm("rates", *call, "--dry-run").stderr
        for call in (("set", "EUR", "1.08", "--on", "2026-06-01"), ("import", file), ("revalue",))
    ]

    assert "From 2026-06-01 on, 1 EUR would be 1.08 USD." in told[0]
    assert "2 rates would be added, 0 would be changed, 0 as they were" in told[1]
    assert "Job" not in told[2]
    assert all("Dry run: nothing was changed." in text for text in told)
    assert json.loads(crm("rates", "revalue", "--dry-run", "--json").stdout)["job"] is None


def test_records_are_not_valued_at_the_rates_of_a_day_to_come(crm, instance):
    answers = [crm("rates", "revalue", "--on", "2999-01-01", "--yes"), crm("rates", "worth", "--on", "2999-01-01")]

    assert [answer.exit_code for answer in answers] == [2, 2]
    assert all("still to come" in answer.stderr for answer in answers)
    assert json.loads(crm("jobs", "list", "--json").stdout) == []
