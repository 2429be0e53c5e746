"""Importing a module does nothing, and imports go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

#: Calls that touch the world: files, sockets, processes, the clock, installed distributions, other modules.
WORK = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "glob", "iterdir", "exists", "is_file",
    "connect", "create_engine", "make_engine", "urlopen", "Popen", "check_output", "check_call", "run",
    "entry_points", "distribution", "distributions", "import_module", "load_config", "create_app",
    "getenv", "now", "utcnow", "today", "time", "uuid4", "uuid7", "basicConfig",
}  # fmt: skip


def work_at_import(source: Any) -> list[str]:
    """Return the places where importing the module does something."""
    return [source.at(node) for node in _at_import(source.tree) if _is_work(node)]


def imports(source: Any) -> list[tuple[str, str]]:
    """Return (place, module) of every import, those inside functions included."""
    found = []
    for node in source.walk():
        if isinstance(node, ast.Import):
            found += [(source.at(node), alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((source.at(node), node.module))
    return found


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported: bodies of functions do not, their decorators and defaults do."""
    for child in ast.iter_child_nodes(node):
        if _is_main_guard(child):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            runs: list[ast.AST] = [*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)]
            for part in runs:
                yield part
                yield from _at_import(part)
        elif not isinstance(child, ast.Lambda):
            yield child
            yield from _at_import(child)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


def _is_work(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "environ":
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in WORK and not _is_sql_function(node.func)


def _is_sql_function(node: ast.AST) -> bool:
    """Say whether it is ``sa.func.now``: that is SQL, not a look at the clock."""
    return isinstance(node, ast.Attribute) and getattr(node.value, "attr", getattr(node.value, "id", "")) == "func"


def test_importing_does_no_work(sources: list[Any]) -> None:
    assert [place for source in sources for place in work_at_import(source)] == []


def test_the_kernel_imports_no_plugin(sources: list[Any]) -> None:
    foreign = [
        f"{place} {module}"
        for source in sources
        if source.package == "crm_kernel" and not source.path.startswith("crm_kernel/testing/")
        for place, module in imports(source)
        if module.startswith("crm_") and module.partition(".")[0] != "crm_kernel"
    ]
    assert foreign == []


def test_plugins_import_no_private_module(sources: list[Any]) -> None:
    private = [
        f"{place} {module}"
        for source in sources
        if source.path.startswith("plugins/")
        for place, module in imports(source)
        if module.startswith("crm_kernel.") and any(part.startswith("_") for part in module.split("."))
    ]
    assert private == []


def test_nobody_imports_a_plugins_wiring(sources: list[Any]) -> None:
    wiring = [
        f"{place} {module}"
        for source in sources
        for place, module in imports(source)
        if module.startswith("crm_")
        and module.count(".") == 1
        and module.endswith(".plugin")
        and module != "crm_kernel.plugin"
    ]
    assert wiring == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("crm_cli.main",                      ("flask", "sqlalchemy", "alembic", "marshmallow", "rich")),
        ("crm_kernel.testing.pytest_plugin",  ("flask", "sqlalchemy", "alembic", "marshmallow", "crm_kernel.app")),
        ("crm_kernel",                        ("flask", "sqlalchemy", "alembic", "marshmallow", "pluggy")),
        ("crm_kernel.customers.values",       ("flask", "sqlalchemy")),
    ],
)  # fmt: skip
def test_a_light_module_stays_light(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("HOME = os.environ['HOME']",           "def home(): return os.environ['HOME']"),
        ("DATA = Path('x').read_text()",        "DATA = Path('x')"),
        ("POINTS = metadata.entry_points()",    "def points(): return metadata.entry_points()"),
        ("class A:\n    at = datetime.now()",   "class A:\n    at = field(default_factory=lambda: datetime.now())"),
        ("def f(at=datetime.now()): pass",      "def f(at=None): at = at or datetime.now()"),
        ("ENGINE = sa.create_engine('x')",      "if __name__ == '__main__':\n    run()"),
        ("@cached(open('x'))\ndef f(): pass",   "NOW = sa.func.now()"),
    ],
)  # fmt: skip
def test_work_at_import_is_found(bad: str, good: str, sample: Any) -> None:
    assert len(work_at_import(sample(bad))) == 1
    assert work_at_import(sample(good)) == []
