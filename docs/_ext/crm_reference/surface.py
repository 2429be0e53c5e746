"""What people and tests touch: template components, fixtures of the testing kit, commands.

Every ``…_without_words`` function yields the items that say nothing of themselves; tests/docs keeps them empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crm_kernel
from crm_reference.prose import docstring, markdown, table

_COMPONENTS = Path(crm_kernel.__file__).parent / "web" / "templates" / "kernel" / "components"


def macros_page() -> str:
    """Return every file of components with the description at its top."""
    return "\n\n".join(
        f"### {path.name}\n\n```text\n{head_comment(path)}\n```" for path in sorted(_COMPONENTS.glob("*.html"))
    )


def head_comment(path: Path) -> str:
    """Return the comment that opens a template, or nothing."""
    found = re.match(r"\{#-?\s*(.*?)\s*-?#\}", path.read_text(encoding="utf-8"), re.DOTALL)
    return found[1] if found else ""


def macros_without_words(folder: Path = _COMPONENTS) -> list[str]:
    """Return macros that the comment of their file does not mention; ``_private`` ones need none."""
    found = []
    for path in sorted(folder.glob("*.html")):
        for name in re.findall(r"\{%-?\s*macro (\w+)\(", path.read_text(encoding="utf-8")):
            if not name.startswith("_") and not re.search(rf"\b{name}\(", head_comment(path)):
                found.append(f"{path.name}: {name}")
    return found


def fixtures() -> dict[str, Callable[..., Any]]:
    """Return the fixtures of the testing kit by name."""
    from crm_kernel.testing import pytest_plugin

    found = vars(pytest_plugin).items()
    return {name: value for name, value in found if type(value).__name__ == "FixtureFunctionDefinition"}


def fixtures_page() -> str:
    """Return every fixture with what it gives."""
    shown = {name: found for name, found in fixtures().items() if not name.startswith("crm_test_")}
    return "\n\n".join(f"### {name}\n\n{markdown(docstring(found))}" for name, found in shown.items())


def rules_page() -> str:
    """Return every rule of the conformance kit with its reason."""
    from crm_kernel.testing.conformance import RULES

    rows = [(f"`{rule.id}`", rule.why, "each database" if rule.schema else "once") for rule in RULES]
    return table(("rule", "why", "runs on"), rows)


def commands_without_words(group: Any = None) -> list[str]:
    """Return commands and options of the command line that have no help text; hidden ones need none."""
    if group is None:
        from crm_cli.main import cli as group
    return list(_silent(group, group.name))


def _silent(command: Any, path: str) -> Iterator[str]:
    import click

    if not (command.help or "").strip():
        yield path
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden and not option.help:
            yield f"{path} {option.opts[0]}"
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _silent(found, f"{path} {name}")
