"""Instances made by ``crm init``, and the command line run in this process or in one of its own."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

ADMIN = "ann@example.com"


@dataclass(frozen=True)
class Instance:
    """An instance on SQLite in a folder of its own."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "crm.toml"

    @property
    def database(self) -> Path:
        return self.folder / "crm.db"


def invoke(*arguments, input=None, env=None):
    """Run ``crm`` in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    from crm_cli.main import cli

    return CliRunner().invoke(cli, [str(a) for a in arguments], input=input, env=env, prog_name="crm")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell or of the current folder reaches a test."""
    for variable in [name for name in os.environ if name.startswith("CRM_") and not name.startswith("CRM_TEST_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def crm():
    """Run ``crm`` in this process: ``crm("db", "status", "--json")``."""
    return invoke


@pytest.fixture(scope="session")
def made_instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """An instance that nobody changes; copy it."""
    folder = tmp_path_factory.mktemp("made") / "site"
    result = invoke("init", folder, "--admin-email", ADMIN, "--yes")
    assert result.exit_code == 0, result.stderr
    return Instance(folder)


@pytest.fixture
def instance(made_instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """A copy of the instance, as the current folder; its settings are found there."""
    folder = tmp_path / "site"
    shutil.copytree(made_instance.folder, folder)
    monkeypatch.chdir(folder)
    return Instance(folder)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Install a plugin with a command: ``install("toy", "commands.py source")`` → its site folder."""
    from crm_kernel.testing.sites import write_distribution

    names: list[str] = []

    def put(name, commands, *, summary="A toy", target=None):
        site = tmp_path / f"site_{name}"
        write_distribution(site, name, files={"commands.py": commands}, summary=summary)
        [info] = site.glob("*.dist-info")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[crm.commands]\n{name} = {target or f'crm_{name}.commands:cli'}\n")
        monkeypatch.syspath_prepend(str(site))
        forget(name)
        names.append(name)
        return site

    def forget(name):
        # A package that stays imported is found before the folder of the next test's.
        for module in [module for module in sys.modules if f"{module}.".startswith(f"crm_{name}.")]:
            del sys.modules[module]

    yield put
    for name in names:
        forget(name)
