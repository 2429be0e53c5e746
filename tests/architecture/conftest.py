"""The project's source as syntax trees, parsed once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("crm_kernel", "cli/crm_cli", "plugins/sfa/crm_sfa")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of the product."""

    #: Path below the repository's root.
    path: str
    text: str
    tree: ast.Module = field(repr=False)

    @property
    def package(self) -> str:
        """Its distribution's package: ``crm_kernel``, ``crm_cli``, ``crm_sfa``."""
        return next(part for part in self.path.split("/") if part.startswith("crm_"))

    def walk(self) -> Iterator[ast.AST]:
        """Yield every node."""
        yield from ast.walk(self.tree)

    def at(self, node: ast.AST) -> str:
        """Name a place so that a terminal can open it."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def parsed(text: str, path: str = "crm_kernel/sample.py") -> Source:
    """Return a source from its text; how the rules themselves are tested."""
    return Source(path, text, ast.parse(text))


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that is in git or would be with the next ``git add``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def sources(tracked: list[Path]) -> list[Source]:
    """Every Python file of the product's packages."""
    names = sorted(path.relative_to(ROOT).as_posix() for path in tracked if path.suffix == ".py")
    return [
        parsed((ROOT / name).read_text(encoding="utf-8"), name)
        for name in names
        if name.startswith(tuple(f"{package}/" for package in PACKAGES))
    ]


@pytest.fixture(scope="session")
def sample():
    """Parse a snippet as if it were a file of the kernel."""
    return parsed
