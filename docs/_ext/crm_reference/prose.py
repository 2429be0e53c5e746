"""Turns docstrings and signatures into Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

_SECTION = re.compile(r"(Args|Raises|Returns|Yields):\Z")
#: ``c.Setting`` or ``contributions.Setting`` instead of ``Setting``.
_MODULE_PATH = re.compile(r"\b(?:c|[a-z_]+(?:\.[a-z_]+)+)\.(?=[A-Z])")
_ENTRY = re.compile(r"    (?! )(.+?): (.+)")


def docstring(found: Any) -> str:
    """Return an object's own docstring, cleaned; empty for the signature a dataclass gets instead of one."""
    text = inspect.cleandoc(getattr(found, "__doc__", None) or "")
    return "" if inspect.isclass(found) and text.startswith(f"{found.__name__}(") else text


def summary(found: Any) -> str:
    """Return the first sentence of an object's docstring on one line."""
    return " ".join(docstring(found).partition("\n\n")[0].split())


def markdown(text: str) -> str:
    """Return a docstring as Markdown: its sections become lists, its literal blocks code."""
    lines, out, code = text.splitlines(), [], False
    for line in lines:
        if code and (line.startswith("    ") or not line):
            out.append(line[4:])
            continue
        if code:
            out, code = [*_stripped(out), "```", ""], False
        if _SECTION.match(line):
            out += [f"**{line.rstrip(':')}**", ""]
        elif line.endswith("::"):
            out += [line[:-1], "", "```python"]
            code = True
        else:
            out.append(_item(line))
    return "\n".join([*_stripped(out), "```"] if code else out).strip()


def _item(line: str) -> str:
    entry = _ENTRY.fullmatch(line)
    if entry is not None:
        return f"- `{entry[1]}`: {entry[2]}"
    return line[4:] if line.startswith("        ") else line.strip()


def _stripped(lines: list[str]) -> list[str]:
    text = "\n".join(lines).rstrip().split("\n")
    # The blank line between "Example::" and its code.
    start = text.index("```python") + 1
    return text[:start] + [line for number, line in enumerate(text[start:]) if line or number]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


class _Written(str):
    """An annotation as it stands in the source: ``inspect`` would put it in quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _MODULE_PATH.sub("", str(self))


def signature(found: Any, name: str) -> str:
    """Return ``name(arguments) -> result`` as written, without ``self`` and module paths."""
    written = inspect.signature(found)
    arguments = [_readable(argument) for key, argument in written.parameters.items() if key not in ("self", "cls")]
    result = written.return_annotation
    return name + str(written.replace(parameters=arguments, return_annotation=_annotation(result)))


def _readable(argument: inspect.Parameter) -> inspect.Parameter:
    return argument.replace(annotation=_annotation(argument.annotation))


def _annotation(found: Any) -> Any:
    return _Written(found) if isinstance(found, str) else found
