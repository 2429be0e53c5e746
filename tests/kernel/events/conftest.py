"""The command line on the site of the event tests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def crm(site: Any) -> Any:
    """Run the command line on the site's application: ``crm("events", "list")`` → result with stdout and stderr."""
    from click.testing import CliRunner
    from crm_cli.common import Instance
    from crm_cli.main import cli

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], obj=Instance(_app=site.app))

    return run
