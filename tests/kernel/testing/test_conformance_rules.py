"""Every rule of the conformance kit finds the plugin that breaks it; the plugins are in tests/fixtures/nonconforming.toml."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from crm_kernel.testing.conformance import RULES
from crm_kernel.testing.sites import class_name_of, write_distribution

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
CASES: dict[str, dict[str, Any]] = tomllib.loads((FIXTURES / "nonconforming.toml").read_text("utf-8"))

_PLUGIN = """
from crm_kernel.plugin import Plugin, hookimpl
{head}
class {class_name}(Plugin):
    name = "{plugin}"
    model_modules = {models}
{body}
"""
_MODELS = """
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from crm_kernel.plugin import plugin_base
Base = plugin_base("{plugin}")
{models}
"""
_REVISION = """
import sqlalchemy as sa
from alembic import op
from crm_kernel.database import Key
revision = "{plugin}_0001"
down_revision = None
branch_labels = ("{plugin}",)
depends_on = None
def upgrade():
{upgrade}
def downgrade():
    pass
"""


def write(folder: Path, case: dict[str, Any]) -> None:
    """Write the plugin of a case to disk."""
    plugin = case["plugin"]
    values = {"plugin": plugin, "class_name": class_name_of(plugin), "head": "", "body": "", **case}
    files = {"plugin.py": _PLUGIN.format(**{**values, "models": (".models",) if "models" in case else ()})}
    if "models" in case:
        files["models.py"] = _MODELS.format(**values)
    if "upgrade" in case:
        files["migrations/versions/one.py"] = _REVISION.format(**values)
    if "catalog" in case:
        files["translations/de/LC_MESSAGES/messages.po"] = case["catalog"]
    write_distribution(folder, plugin, files=files, requires=case.get("requires", ["crm-kernel>=0.1,<1"]))


@pytest.fixture(scope="module")
def violations(tmp_path_factory: pytest.TempPathFactory, run_python: Any) -> dict[str, list[str]]:
    """What every rule says of the plugin that breaks it."""
    site, scratch = tmp_path_factory.mktemp("nonconforming"), tmp_path_factory.mktemp("scratch")
    for case in CASES.values():
        write(site, case)
    write(site, {**CASES["loads-beside-others"], "plugin": "aclash"})
    pairs = [f"{rule}={case['plugin']}" for rule, case in CASES.items()]
    return json.loads(run_python([FIXTURES / "check_rules.py", scratch, *pairs], sites=[site]).stdout)


def test_every_rule_has_a_plugin_that_breaks_it() -> None:
    assert set(CASES) == {rule.id for rule in RULES}


def test_every_rule_says_why_it_exists() -> None:
    assert [rule.id for rule in RULES if not rule.why.endswith(".")] == []
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_what_breaks_it(rule: str, violations: dict[str, list[str]]) -> None:
    expected = [CASES[rule]["said"], *filter(None, [CASES[rule].get("also"), CASES[rule].get("third")])]

    assert [text for text in expected if not any(text in line for line in violations[rule])] == [], violations[rule]
