"""Runs the command line in the test's process, on the test's database."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    from flask import Flask


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Return what was printed on stdout as data.

        Raises:
            AssertionError: the command failed; the text is what it said on stderr.
        """
        assert self.exit_code == 0, f"exit code {self.exit_code}: {self.stderr}"
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Command:
    """The command ``crm`` of one instance: ``command("modules", "list")`` → ``Outcome``."""

    #: The instance's configuration file.
    config: Path

    @classmethod
    def on(cls, app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
        """Write the configuration of an application's database into a folder and make it the process's instance."""
        from crm_kernel._internal.runtime import runtime_of

        config = runtime_of(app).config
        file = folder / "crm.toml"
        file.write_text(
            f'database_url = "{config.database_url}"\nsecret_key = "{config.secret_key}"\n', encoding="utf-8"
        )
        for variable in [name for name in os.environ if name.startswith("CRM_") and not name.startswith("CRM_TEST_")]:
            monkeypatch.delenv(variable)
        monkeypatch.setenv("CRM_CONFIG", str(file))
        return cls(file)

    def __call__(self, *arguments: object, input: str | None = None, env: Mapping[str, str] | None = None) -> Outcome:
        """Run ``crm`` with these arguments; an unexpected exception passes through."""
        from click.testing import CliRunner
        from crm_cli.main import cli

        done = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=input, env=dict(env or {}))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout, done.stderr)
