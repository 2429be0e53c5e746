"""The tests that a plugin's suite takes over."""

from __future__ import annotations

from typing import ClassVar

import pytest

from crm_kernel.testing.apps import Apps
from crm_kernel.testing.conformance import hiding, loading, schema, surface, texts  # noqa: F401 - they add their rules
from crm_kernel.testing.conformance.rule import RULES, Rule, Subject


class ConformanceKit:
    """One test per rule; derive a class that starts with ``Test`` from it and name the plugin."""

    #: The plugin that is looked at; the last of ``crm_plugins`` if it is not named.
    plugin: ClassVar[str] = ""

    @pytest.fixture
    def subject(self, crm_plugins: tuple[str, ...], available_database: str, crm_test_apps: Apps) -> Subject:
        """Give what the rules look at."""
        name = self.plugin or (crm_plugins[-1] if crm_plugins else "")
        assert name, 'conformance: name the plugin, by crm_plugins = ["…"] in the settings or by `plugin = "…"`'
        return Subject(name, crm_test_apps, available_database)

    @pytest.mark.crm_databases("sqlite")
    @pytest.mark.parametrize("rule", [r for r in RULES if not r.schema], ids=lambda rule: rule.id)
    def test_rule(self, rule: Rule, subject: Subject) -> None:
        """Look at what the plugin declares."""
        _check(rule, subject)

    @pytest.mark.parametrize("rule", [r for r in RULES if r.schema], ids=lambda rule: rule.id)
    def test_schema_rule(self, rule: Rule, subject: Subject) -> None:
        """Look at the plugin's tables, on each database."""
        _check(rule, subject)


class TestConformance(ConformanceKit):
    """The kit for the plugin that ``crm_plugins`` names: importing it is the one line a suite needs."""


def _check(rule: Rule, subject: Subject) -> None:
    found = list(rule.check(subject))
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        pytest.fail(f"{subject.plugin} breaks the rule {rule.id}: {rule.why}\n{lines}", pytrace=False)
