"""The group itself: fast, lists commands without importing them, one clear line and a stable code per error."""

from __future__ import annotations

import pytest

ANSWER = """
import click

@click.command("toy")
def cli():
    click.echo("the toy answers")
"""
NEEDS_APP = """
import click
from crm_cli.common import instance_options

@click.command("toy")
@instance_options
def cli(instance):
    instance.app()
"""


def raising(error):
    return f'import click\nfrom crm_kernel import errors\n\n@click.command("toy")\ndef cli():\n    raise {error}\n'


def test_help_imports_neither_flask_nor_sqlalchemy_nor_a_plugin(run_python, install):
    site = install("toy", "import nonsense", summary="Toys for everybody")
    script = (
        "import sys\nfrom crm_cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "heavy = {'flask', 'sqlalchemy', 'alembic', 'rich', 'marshmallow', 'crm_toy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )

    done = run_python(["-c", script], sites=[site])

    assert "modules" in done.stdout
    assert "Toys for everybody" in done.stdout


def test_a_plugins_command_is_found_and_run(crm, install):
    install("toy", ANSWER)

    assert crm("toy").stdout == "the toy answers\n"


def test_a_broken_plugin_command_is_listed_and_its_failure_named_when_it_is_called(crm, install):
    install("toy", "import nonsense")

    listed, called = crm("--help"), crm("toy")

    assert "toy" in listed.stdout
    assert called.exit_code == 4
    assert "toy: its command cannot be loaded from crm_toy.commands:cli" in called.stderr
    assert "No module named 'nonsense'" in called.stderr


def test_what_is_no_command_is_refused(crm, install):
    install("toy", "cli = 42")

    result = crm("toy")

    assert result.exit_code == 4
    assert "is 42, expected a click command" in result.stderr


def test_a_command_of_a_module_that_is_not_enabled_says_how_to_enable_it(crm, install, instance):
    install("toy", NEEDS_APP)

    result = crm("toy")

    assert result.exit_code == 4
    assert "toy: the module is not enabled. Enable it with: crm modules enable toy" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("errors.CrmError('it failed')", 1),
        ("errors.DatabaseUnavailable('it failed')", 1),
        ("errors.ConfigError('it failed')", 2),
        ("errors.InvalidInput({'name': ['it failed']})", 2),
        ("errors.NotFound('it failed')", 3),
        ("errors.Forbidden('it failed')", 4),
        ("errors.PluginError('toy', 'it failed')", 4),
        ("errors.Conflict('it failed')", 5),
        ("OSError(28, 'it failed', 'file.csv')", 1),
        ("ZeroDivisionError('it failed')", 1),
    ],
)
def test_every_error_is_one_line_and_its_exit_code(crm, install, error, code):
    install("toy", raising(error))

    result = crm("toy")

    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "it failed" in result.stderr


def test_an_interrupted_command_ends_with_130(crm, install):
    install("toy", raising("KeyboardInterrupt"))

    assert crm("toy").exit_code == 130


def test_debugging_shows_the_traceback(crm, install):
    install("toy", raising("errors.Conflict('it failed')"))

    result = crm("toy", env={"CRM_DEBUG": "1"})

    assert type(result.exception).__name__ == "Conflict"


def test_an_unknown_command_suggests_the_nearest(crm):
    result = crm("modulse")

    assert result.exit_code == 2
    assert "No such command 'modulse'. Did you mean modules?" in result.stderr


def test_a_missing_configuration_file_is_named(crm):
    result = crm("--config", "nowhere.toml", "db", "status")

    assert result.exit_code == 2
    assert "nowhere.toml: no such file. Create an instance with: crm init" in result.stderr


def test_an_unknown_setting_is_named_with_its_file(crm, instance):
    instance.config.write_text(instance.config.read_text() + 'colour = "red"\n')

    result = crm("db", "status")

    assert result.exit_code == 2
    assert "unknown key 'colour'" in result.stderr
    assert str(instance.config) in result.stderr


def test_the_configuration_is_accepted_after_the_command_too(crm, instance, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert crm("db", "status", "--config", instance.config).exit_code == 0
