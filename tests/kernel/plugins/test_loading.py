"""Loading: the correct plugins load, each broken one is named with its reason, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

#: Plugin → what its reason must say. The files are in tests/fixtures/broken.
REASONS = {
    "importerror":       "cannot be imported: ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
    "exits":             "cannot be imported: SystemExit: this plugin wants to be the boss",
    "wrongname":         "crm_wrongname.plugin:WrongnamePlugin.name is 'othername', expected 'wrongname'",
    "badhook":           "crm_register_navigation",
    "badargument":       "user",
    "wrongrecord":       "crm_register_nav: found {'label': 'Page', 'endpoint': 'wrongrecord.page'}, expected records of type NavItem",
    "raisinghook":       "crm_register_settings raised LookupError: no settings today",
    "noprefix":          "Permission name: found 'sfa.opportunity.win', expected a name starting 'noprefix.'",
    "twicepermission":   "found 'twicepermission.page.open', expected a name not yet taken",
    "foreigntable":      "table 'thing' must start with 'foreigntable_'",
    "badrelationship":   "its models cannot be configured",
    "missingdependency": "needs crm-nowhere>=2, which is not installed. Install its wheel",
    "cyclea":            "cyclic dependency: ",
    "cycleb":            "cyclic dependency: ",
    "wrongversion":      "crm-wrongversion 1.0.0 needs crm-kernel>=9, found ",
    "needsbroken":       "needs the module importerror, which cannot be loaded",
}  # fmt: skip
#: Broken only when it runs.
LOADABLE = ("badpanel", "toybank")


@pytest.fixture(scope="module")
def everything(load_report: Any, broken_site: Path, toybank_site: Path) -> dict[str, Any]:
    """What comes of loading every broken plugin together with the correct ones, in one process."""
    return load_report([*REASONS, *LOADABLE], sites=[broken_site, toybank_site])


@pytest.mark.parametrize("plugin", REASONS)
def test_a_broken_plugin_is_named_with_its_reason(plugin: str, everything: dict[str, Any]) -> None:
    assert REASONS[plugin] in everything["failed"][plugin]


def test_every_broken_plugin_of_the_fixtures_is_tested(broken_site: Path) -> None:
    written = {folder.name.removeprefix("crm_") for folder in broken_site.iterdir() if folder.suffix != ".dist-info"}

    assert written == {*REASONS, "badpanel"}


def test_the_others_load_beside_them(everything: dict[str, Any]) -> None:
    assert everything["loaded"] == ["kernel", "badpanel", "toybank"]


def test_nothing_of_a_failed_plugin_stays(everything: dict[str, Any]) -> None:
    assert set(everything["owners"].values()) == {"kernel", "badpanel", "toybank"}


def test_what_a_correct_plugin_contributes_is_in_the_registry(everything: dict[str, Any]) -> None:
    own = {key for key, owner in everything["owners"].items() if owner == "toybank"}

    assert own == {
        "blueprints toybank",
        "blueprints toybank_api",
        "contact_rules toybank.risk",
        "dashboard_tiles toybank.open_accounts",
        "demo_data toybank.accounts",
        "events toybank.account_opened",
        "extensions toybank@customer",
        "health_checks toybank.vault",
        "import_mappings toybank_accounts",
        "jobs toybank.write_note",
        "nav toybank.branch",
        "notification_kinds toybank.adviser",
        "palette_commands toybank.savings",
        "panels toybank.accounts",
        "permissions toybank.branch.visit",
        "record_types toybank.account",
        "rule_actions toybank.note_customer",
        "settings toybank.default_risk",
        "settings toybank.feed_key",
        "subscribers toybank.note_opening",
    }


def test_nothing_is_loaded_that_was_not_asked_for(load_report: Any, broken_site: Path, toybank_site: Path) -> None:
    report = load_report([], sites=[broken_site, toybank_site])

    assert (report["loaded"], report["failed"]) == (["kernel"], {})


def test_loading_is_the_same_whatever_the_order_of_asking(
    load_report: Any, toybank_site: Path, broken_site: Path
) -> None:
    reports = [load_report(names, sites=[toybank_site, broken_site]) for names in (LOADABLE, LOADABLE[::-1])]

    assert reports[0] == reports[1]


def test_a_wrong_relationship_breaks_no_query_of_the_kernel(run_python: Any, broken_site: Path) -> None:
    code = """
import sqlalchemy as sa
from crm_kernel._internal.loading import load_plugins
from crm_kernel.customers.models import Customer
loaded = load_plugins(["badrelationship"])
assert "badrelationship" in loaded.manager.failed
print(sa.select(Customer).where(Customer.id == 1))
sa.orm.Session().query(Customer)
print(Customer.__mapper__.relationships.keys())
"""
    assert "FROM customer" in run_python(["-c", code], sites=[broken_site]).stdout


def test_loading_touches_no_database(run_python: Any, toybank_site: Path) -> None:
    code = """
import sqlalchemy as sa
def refuse(*args, **kwargs):
    raise AssertionError("a connection was opened")
sa.event.listen(sa.pool.Pool, "connect", refuse)
sa.event.listen(sa.Engine, "before_cursor_execute", refuse)
from crm_kernel._internal.loading import load_plugins
print(load_plugins(["toybank"]).manager.failed)
"""
    assert run_python(["-c", code], sites=[toybank_site]).stdout.strip() == "{}"
