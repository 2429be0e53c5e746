"""What every file of the repository keeps to: short, neutral, without an address of anybody's machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
#: About 300: the formatter may push a file a little over.
LIMIT = 320
#: Machines, people and registries.
ADDRESSES = re.compile(
    r"/(?:home|Users)/[a-z]|/work/(?:main|shared)|/tmp/s/|files\.pythonhosted\.org|pypi\.org/simple"
    r"|registry\.(?:npmjs|yarnpkg)\.(?:org|com)|artifactory"
)
#: Files that may hold one, and why.
MAY_NAME = {
    "tests/architecture/test_files.py": "it says what is looked for",
}
_BINARY = {".png", ".jpg", ".gif", ".ico", ".woff2", ".gz", ".zip", ".pdf", ".mo", ".webp", ".db", ".xlsx"}


def test_a_source_file_tells_one_story(sources: list[Any]) -> None:
    long = {source.path: source.text.count("\n") for source in sources if "/migrations/versions/" not in source.path}

    assert {path: lines for path, lines in long.items() if lines >= LIMIT} == {}


def test_no_file_names_a_machine_or_a_registry(tracked: list[Path]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked
        if path.suffix not in _BINARY and path.relative_to(ROOT).as_posix() not in MAY_NAME
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if (match := ADDRESSES.search(line))
    ]
    assert found == []


def test_lock_files_hold_hashes_and_no_address(tracked: list[Path]) -> None:
    locks = [path for path in tracked if path.suffix == ".lock" or path.name in ("package-lock.json", ".npmrc")]

    assert {ROOT / "requirements.lock", ROOT / "requirements-runtime.lock"} <= set(locks)
    assert [path.name for path in locks if "://" in _without_funding(path.read_text("utf-8"))] == []
    assert "uv.lock" not in {path.name for path in tracked}


def _without_funding(text: str) -> str:
    # npm notes where a package's authors ask for support; that is no registry.
    return re.sub(r'"(?:url|funding)": "https?://[^"]*"', "", text)


def test_nobody_raises_a_bare_exception(sources: list[Any]) -> None:
    bare = [
        source.at(node)
        for source in sources
        for node in source.walk()
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and getattr(node.exc.func, "id", "") in ("Exception", "BaseException")
    ]
    assert bare == []


def test_nothing_is_left_to_be_done(tracked: list[Path]) -> None:
    mark = re.compile(r"\b(?:TODO|FIXME)\b")

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked
        if path.suffix in (".py", ".html", ".js", ".css", ".toml", ".md") and path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if mark.search(line)
    ]
    assert found == []


def test_every_test_asserts_something(tracked: list[Path]) -> None:
    idle = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in tracked
        if path.name.startswith("test_") and path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not _asserts(node)
    ]
    assert idle == []


def _asserts(function: ast.FunctionDef) -> bool:
    """Say whether a test can fail by itself: an assert, pytest.raises, or a helper whose name says that it checks."""
    checking = re.compile(r"assert|raises|warns|fail|check|expect|at_most|refus|validate|match|valid")
    return any(
        isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Call)
            and (checking.search(_called(node)) or any(k.arg == "check" for k in node.keywords))
        )
        for node in ast.walk(function)
    )


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


# Put together from pieces, so that this file holds none itself.
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see " + "/home/" + "ada/crm", True),
        ("index = https://" + "pypi" + ".org/simple", True),
        ("https://files." + "pythonhosted" + ".org/x.whl", True),
        ("GET /homes/ada", False),
        ("https://docs.python.org", False),
    ],
)
def test_an_address_is_found(text: str, found: bool) -> None:
    assert bool(ADDRESSES.search(text)) is found
