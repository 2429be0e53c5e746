"""The three wheels install into an environment outside the checkout, and what is installed is a working CRM."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PROJECTS = {"crm_kernel": ".", "crm_cli": "cli", "crm_sfa": "plugins/sfa"}


def uv() -> str:
    """Return the command ``uv`` as ``make`` finds it; without one the test is skipped, and fails in CI."""
    found = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    if found is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("uv is neither on PATH nor in .tools/bin: run make install")
    return str(found)


def run(*arguments: object, **options: Any) -> str:
    """Run a command that has to succeed and return what it printed."""
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the three distributions, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in PROJECTS.values():
        run(uv(), "build", "--quiet", "--wheel", "--out-dir", folder, ROOT / project, cwd=folder)
    return {wheel.name.partition("-")[0]: wheel for wheel in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def environment(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment made as the guide says: the runtime's lock, then the wheels alone; nothing of the checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    run(uv(), "venv", "--quiet", "--python", sys.executable, folder / "venv")
    install = (uv(), "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python")
    run(*install, "--require-hashes", "--requirements", ROOT / "requirements-runtime.lock", cwd=folder)
    run(*install, "--no-index", "--no-deps", *wheels.values(), cwd=folder)
    return folder / "venv"


@pytest.fixture(scope="module")
def instance(
    environment: Path, tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str], make_instance: Any
) -> Any:
    """An instance made by the installed ``crm``, with the sales module."""
    folder = tmp_path_factory.mktemp("wheel_instance")
    made = make_instance(folder, (str(environment / "bin" / "crm"),), clean_environment)
    made.must("init", folder, "--modules", "sfa", "--admin-email", "ada@crm.example", "--yes")
    return made


def names_in(wheel: Path) -> set[str]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_there_is_one_wheel_per_distribution(wheels: dict[str, Path]) -> None:
    assert set(wheels) == set(PROJECTS)


@pytest.mark.parametrize("package", PROJECTS)
def test_a_wheel_holds_its_own_package_only(package: str, wheels: dict[str, Path]) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheels[package])}

    assert {top for top in tops if not top.endswith(".dist-info")} == {package}


def test_the_kernels_wheel_brings_templates_assets_and_catalogs(wheels: dict[str, Path]) -> None:
    names = names_in(wheels["crm_kernel"])

    for wanted in (
        "crm_kernel/py.typed",
        "crm_kernel/web/templates/kernel/layout.html",
        "crm_kernel/web/static/vendor/htmx.min.js",
        "crm_kernel/web/static/vendor/icons.svg",
        "crm_kernel/web/static/vendor/LICENSES.txt",
        "crm_kernel/translations/fr/LC_MESSAGES/messages.mo",
        "crm_kernel/migrations/script.py.mako",
    ):
        assert wanted in names
    assert not [name for name in names if "node_modules" in name or name.startswith("tests/")]


def test_nothing_comes_from_the_checkout(environment: Path, clean_environment: dict[str, str]) -> None:
    code = "import crm_kernel, crm_cli, crm_sfa; print(crm_kernel.__file__, crm_cli.__file__, crm_sfa.__file__)"

    found = run(environment / "bin" / "python", "-c", code, cwd=environment, env=clean_environment).split()

    assert [path for path in found if not path.startswith(str(environment))] == []


def test_the_environment_lacks_nothing(environment: Path) -> None:
    done = subprocess.run([uv(), "pip", "check", "--python", environment / "bin" / "python"], capture_output=True)

    assert done.returncode == 0, done.stderr


def test_the_command_starts(instance: Any) -> None:
    assert "modules" in instance.must("--help")


def test_the_module_is_found_and_loaded(instance: Any) -> None:
    assert [(row["name"], row["state"]) for row in instance.json("modules", "list")] == [("sfa", "loaded")]


def test_it_serves(instance: Any) -> None:
    with instance.served() as get:
        assert get("/auth/login") == 200
        assert get("/sfa/opportunities") in (302, 303)
        assert get("/static/kernel/vendor/htmx.min.js") == 200


def test_without_the_plugins_wheel_it_refuses_and_says_both_ways_out(
    instance: Any, environment: Path, served_kernel: Callable[[Any], int]
) -> None:
    run(uv(), "pip", "uninstall", "--quiet", "--python", environment / "bin" / "python", "crm-sfa")

    refused = instance.crm("serve", "--port", "0")

    assert refused.returncode == 4
    assert "sfa" in refused.stderr
    assert "crm modules disable sfa" in refused.stderr
    assert "--skip-failed" in refused.stderr
    assert [row["state"] for row in instance.json("modules", "list")] == ["failed"]
    assert instance.crm("db", "status").returncode == 0
    assert served_kernel(instance) in (302, 303)
    instance.must("modules", "disable", "sfa")
    assert served_kernel(instance) in (302, 303)


@pytest.fixture
def served_kernel() -> Callable[[Any], int]:
    """Serve an instance (without its failed modules, if it has any) and ask for the customers."""

    def serve(made: Any) -> int:
        failed = any(row["state"] == "failed" for row in made.json("modules", "list"))
        with made.served("--no-worker", *(["--skip-failed"] if failed else [])) as get:
            return int(get("/customers"))

    return serve
