"""Where a setting comes from: an error names the environment variable, not the file that it overrules."""

from __future__ import annotations

import json

import pytest

SETTING = """
from crm_kernel.contributions import Setting
from crm_kernel.plugin import Plugin, hookimpl


class DialPlugin(Plugin):
    name = "dial"

    @hookimpl
    def crm_register_settings(self):
        return [Setting(name="dial.limit", type=int, default=3, label="Limit")]
"""


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CRM_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"}, "CRM_DATABASE_URL in the environment: "),
        ({"CRM_DATABASE_URL": "sqlite:////nowhere/crm.db"}, "CRM_DATABASE_URL in the environment: /nowhere/crm.db"),
        ({"CRM_SECRET_KEY": "short"}, "CRM_SECRET_KEY in the environment: 5 characters"),
        ({"CRM_PORT": "99999"}, "CRM_PORT in the environment: found 99999"),
        ({"CRM_PORT": "many"}, "CRM_PORT in the environment: found 'many', expected int"),
        ({"CRM_NAME_ORDER": "first"}, "CRM_NAME_ORDER in the environment: found 'first', expected one of given-first"),
    ],
)
def test_an_error_names_the_variable_a_setting_comes_from(crm, instance, environment, words):
    result = crm("db", "status", env=environment)

    assert words in result.stderr
    assert str(instance.config) not in result.stderr


def test_an_error_names_the_file_of_a_setting_that_no_variable_overrules(crm, instance):
    instance.config.write_text("port = 99999\n")

    result = crm("db", "status", env={"CRM_HOST": "127.0.0.1"})

    assert f"port in {instance.config}: found 99999" in result.stderr


def test_an_error_names_the_variable_of_a_modules_setting(crm, instance, tmp_path, monkeypatch):
    from crm_kernel.testing.sites import write_distribution

    write_distribution(tmp_path / "wheels", "dial", files={"plugin.py": SETTING}, requires=["crm-kernel>=0.1"])
    monkeypatch.syspath_prepend(str(tmp_path / "wheels"))
    assert crm("modules", "enable", "dial").exit_code == 0

    result = crm("users", "list", env={"CRM_DIAL__LIMIT": "many"})

    assert result.exit_code == 2
    assert "CRM_DIAL__LIMIT in the environment: found 'many', expected int" in result.stderr


def test_the_settings_in_force_name_the_variables_that_were_read(crm, instance):
    shown = json.loads(crm("config", "show", "--json", env={"CRM_PORT": "9000"}).stdout)

    assert (shown["port"], shown["overruled_by"]) == (9000, ["CRM_PORT"])
