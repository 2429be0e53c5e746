"""An instance whose modules have broken: each is named, administration works, the server refuses or goes on without."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BROKEN = (
    "importerror", "badhook", "wrongrecord", "twicepermission", "foreigntable", "badrelationship", "missingdependency",
    "cyclea", "cycleb", "wrongversion",
)  # fmt: skip


@pytest.fixture(scope="module")
def instance(new_instance: Callable[..., Any], broken_site: Path, toybank_site: Path) -> Any:
    """An instance in which everything was enabled, and then broke: an upgrade of the plugins does that."""
    made = new_instance(sites=[broken_site, toybank_site], modules=["toybank"])
    with sqlite3.connect(made.folder / "crm.db") as connection:
        rows = [(name, "enabled", "0.9.0", "2026-01-01 00:00:00") for name in (*BROKEN, "badpanel")]
        connection.executemany("INSERT INTO module (name, state, version, changed_at) VALUES (?, ?, ?, ?)", rows)
    return made


@pytest.fixture(scope="module")
def states(instance: Any) -> dict[str, dict[str, str]]:
    """What ``crm modules list`` says."""
    return {row["name"]: row for row in instance.json("modules", "list")}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_module_is_failed_with_its_reason(name: str, states: dict[str, dict[str, str]]) -> None:
    assert states[name]["state"] == "failed"
    assert len(states[name]["reason"]) > 20


def test_the_others_are_loaded(states: dict[str, dict[str, str]]) -> None:
    assert {states[name]["state"] for name in ("toybank", "badpanel")} == {"loaded"}


def test_one_module_is_explained(instance: Any) -> None:
    assert "No module named 'a_library_that_nobody_has'" in instance.must("modules", "explain", "importerror")


def test_the_database_can_be_administered(instance: Any) -> None:
    assert "importerror" in instance.must("db", "status")


def test_the_doctor_names_every_broken_module(instance: Any) -> None:
    done = instance.crm("doctor", "--json")

    assert done.returncode == 6
    assert [name for name in BROKEN if name not in done.stdout] == []


def test_the_server_refuses_and_says_both_ways_out(instance: Any) -> None:
    done = instance.crm("serve", "--port", "0")

    assert done.returncode == 4
    assert "crm modules disable" in done.stderr
    assert "--skip-failed" in done.stderr


def test_the_server_goes_on_without_them_when_told(instance: Any) -> None:
    with instance.served("--skip-failed", "--no-worker") as get:
        assert get("/customers") in (302, 303)
        assert get("/toybank/branch") in (302, 303)
        assert get("/importerror/page") == 404


def test_the_broken_ones_can_be_disabled(instance: Any) -> None:
    instance.must("modules", "disable", *BROKEN, "badpanel")

    with sqlite3.connect(instance.folder / "crm.db") as connection:
        rows = dict(connection.execute("SELECT name, state FROM module"))
    assert {rows.pop(name) for name in (*BROKEN, "badpanel")} == {"disabled"}
    assert rows == {"toybank": "enabled"}
