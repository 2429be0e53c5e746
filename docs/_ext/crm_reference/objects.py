"""Describes public names: dataclasses by their fields, classes by what they offer, functions by their signature."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sphinx.pycode import ModuleAnalyzer

from crm_reference.prose import docstring, markdown, signature, table


@cache
def comments(module: str) -> Mapping[tuple[str, str], str]:
    """Return the ``#:`` comments of a module: (class or "", attribute) → text."""
    found = ModuleAnalyzer.for_module(module)
    found.analyze()
    return {key: " ".join(" ".join(lines).split()) for key, lines in found.attr_docs.items()}


def anchor(name: str) -> str:
    """Return the label that links to a public name."""
    kind = "class-" if name[0].isupper() else ""  # labels know no case: Permission and permission
    return f"name-{kind}{name.lower().replace('_', '-')}"


def described(name: str, found: Any) -> str:
    """Return a section about one public name."""
    parts = [f"({anchor(name)})=", f"### {name}", _body(name, found)]
    return "\n\n".join(part for part in parts if part)


def _body(name: str, found: Any) -> str:
    if not inspect.isclass(found) and not inspect.isfunction(found):
        return comment_of_value(name)
    if not inspect.isclass(found):
        return _code(signature(found, name)) + "\n\n" + markdown(docstring(found))
    if issubclass(found, enum.Enum):
        return "\n\n".join([markdown(docstring(found)), _members(found)])
    parts = [markdown(docstring(found))]
    parts.append(_fields(found) if dataclasses.is_dataclass(found) else _attributes(found))
    parts.append(_methods(found))
    return "\n\n".join(part for part in parts if part)


def comment_of_value(name: str) -> str:
    """Return what the comment above a public value that is neither class nor function says."""
    import crm_kernel

    home = "_internal.markers" if name in ("hookimpl", "hookspec") else crm_kernel._HOMES[name]
    return comments(f"crm_kernel.{home}").get(("", name), "")


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _fields(found: type) -> str:
    rows = [
        (
            f"`{field.name}`",
            f"`{_type(field.type)}`",
            _default(field),
            comments(found.__module__).get((found.__name__, field.name), ""),
        )
        for field in dataclasses.fields(found)
        if not field.name.startswith("_")
    ]
    return table(("field", "type", "default", "meaning"), rows) if rows else ""


def _type(written: Any) -> str:
    return str(getattr(written, "__name__", written)).replace("c.", "")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        if callable(field.default):
            return "a function"
        value = field.default.value if isinstance(field.default, enum.Enum) else field.default
        return f"`{value!r}`"
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    return "required"


def _members(found: type[enum.Enum]) -> str:
    notes = comments(found.__module__)
    rows = [(f"`{m.name}`", f"`{m.value!r}`", notes.get((found.__name__, m.name), "")) for m in found]
    return table(("name", "value", "meaning"), rows)


def _attributes(found: type) -> str:
    noted = [(name, text) for (owner, name), text in comments(found.__module__).items() if owner == found.__name__]
    return "\n".join(f"- `{name}`: {text}" for name, text in noted if not name.startswith("_"))


def _methods(found: type) -> str:
    lines = []
    for name, value in vars(found).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isfunction(function) or not docstring(function):
            continue
        shown = name if isinstance(value, property) else signature(function, name)
        text = " ".join(docstring(function).partition("\n\n")[0].split())
        lines.append(f"- `{shown}`: {text}")
    return "\n".join(lines)


#: Fields whose name and type say it all, or that mean the same everywhere.
_PLAIN = frozenset(
    {
        "actions", "board", "default", "detail_context", "form", "help", "icon", "kind", "label", "label_plural", "load",
        "message", "name", "order", "path", "permission", "requires", "services", "schema", "since", "template", "text",
        "title", "type", "url", "available", "health", "model",
    }
)  # fmt: skip


def fields_without_words(classes: Iterable[type]) -> list[str]:
    """Return the fields of dataclasses that have no comment, no place in the class's docstring, and no plain name."""
    return [
        f"{found.__name__}.{field.name}"
        for found in classes
        for field in dataclasses.fields(found)
        if field.name not in _PLAIN
        and not comments(found.__module__).get((found.__name__, field.name))
        and not re.search(rf"\b{field.name}\b", docstring(found))
    ]
