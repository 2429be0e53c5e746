"""Sphinx extension that writes the reference from the code: nothing generated is kept in the repository.

A page of docs/reference holds its introduction and a line ``<!-- generated: hooks -->``; when Sphinx reads the page,
the line is replaced by what the function of that name in ``pages.PAGES`` says.
"""

from __future__ import annotations

import re
from typing import Any

from crm_reference.pages import PAGES

_PLACEHOLDER = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """Return a page's source with its placeholders replaced.

    Raises:
        KeyError: a placeholder names no generated part; the text lists those there are.
    """
    return _PLACEHOLDER.sub(lambda found: _part(found[1]), text)


def _part(name: str) -> str:
    if name not in PAGES:
        raise KeyError(f"<!-- generated: {name} -->: unknown; known: {', '.join(sorted(PAGES))}")
    return PAGES[name]()


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _always_outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Any, _name: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def _always_outdated(_app: Any, env: Any, *_changes: Any) -> list[str]:
    # The pages depend on code, whose changes Sphinx does not see.
    return [name for name in env.found_docs if name.startswith("reference/")]
