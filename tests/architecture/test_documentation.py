"""Every public name is documented; every hook is documented and has a test of its own."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def undocumented(module: Any) -> Iterator[str]:
    """Yield the public names of a module that say nothing of themselves; what a base class documents is documented."""
    if not (module.__doc__ or "").strip():
        yield f"{module.__name__}: the module"
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value) and not _documented(value):
            yield f"{module.__name__}.{name}"
        elif inspect.isclass(value):
            yield from _of_class(value)


def _of_class(found: type) -> Iterator[str]:
    if not _own_doc(found):
        yield f"{found.__module__}.{found.__qualname__}"
    for name, value in vars(found).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isfunction(function) or hasattr(function, "crm_impl"):
            continue
        if not _documented(getattr(found, name)) and not inspect.getdoc(getattr(found, name)):
            yield f"{found.__module__}.{found.__qualname__}.{name}"


def _own_doc(found: type) -> bool:
    doc = found.__dict__.get("__doc__") or ""
    # A dataclass without a docstring gets its signature for one.
    return bool(doc.strip()) and not doc.startswith(f"{found.__name__}(")


def _documented(value: Any) -> bool:
    return bool((getattr(value, "__doc__", None) or "").strip())


def _importable(path: str) -> str | None:
    dotted = path.removesuffix(".py").removesuffix("/__init__")
    dotted = dotted[dotted.index("crm_") :].replace("/", ".")
    skipped = (".migrations.versions", ".migrations.env", ".__main__")
    return None if any(part in dotted for part in skipped) or "._" in dotted.replace("._internal", "") else dotted


def hooks_in(source: Any) -> list[ast.FunctionDef]:
    """Return the hook specifications of a module."""
    return [
        node
        for node in source.walk()
        if isinstance(node, ast.FunctionDef) and any("hookspec" in ast.dump(d) for d in node.decorator_list)
    ]


def names_of_tests(folders: list[Path]) -> set[str]:
    """Return the names of all test functions below the folders."""
    files = [file for folder in folders for file in folder.rglob("test_*.py")]
    return {name for file in files for name in re.findall(r"^\s*def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}


def test_every_public_name_is_documented(sources: list[Any]) -> None:
    modules = [name for source in sources if (name := _importable(source.path))]

    assert [found for name in modules for found in undocumented(importlib.import_module(name))] == []


def test_every_hook_is_documented(sources: list[Any]) -> None:
    hooks = [(source, node) for source in sources for node in hooks_in(source)]

    assert hooks
    assert [node.name for _source, node in hooks if len(ast.get_docstring(node) or "") < 20] == []


def test_every_hook_has_a_test_of_its_own(sources: list[Any]) -> None:
    folders = [ROOT / "tests", ROOT / "cli" / "tests", *(ROOT / "plugins").glob("**/tests")]
    tested = names_of_tests(folders)

    hooks = [node.name for source in sources for node in hooks_in(source)]

    assert [name for name in hooks if not any(test.startswith(f"test_hook_{name}") for test in tested)] == []


def test_a_hooks_name_says_whose_it_is(sources: list[Any]) -> None:
    prefixes = {source.path: f"{source.package.removeprefix('crm_')}_" for source in sources}

    wrong = [
        source.at(node)
        for source in sources
        for node in hooks_in(source)
        if not node.name.startswith("crm_" if source.package == "crm_kernel" else prefixes[source.path])
    ]
    assert wrong == []


def test_an_undocumented_name_is_found() -> None:
    module = type(inspect)("sample", "A sample.")
    exec("class A:\n    def f(self): pass\ndef g(): 'Doc.'\ndef h(): pass\nclass _P: pass", module.__dict__)

    assert list(undocumented(module)) == ["sample.A", "sample.A.f", "sample.h"]


def test_an_undocumented_hook_is_found(sample: Any) -> None:
    source = sample("@hookspec\ndef crm_new(): pass\n\n@other\ndef no_hook(): pass")

    assert [node.name for node in hooks_in(source)] == ["crm_new"]
