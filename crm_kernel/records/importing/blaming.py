"""Says which column of a row an error is about and what stands there: errors name paths, readers look at columns.

A path with a number (``contact_points.1.value``) names a part of a list: the column that gave that part, or the place
in the list where one column holds it whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crm_kernel.records.importing.results import RowError
from crm_kernel.records.importing.targets import Group, Target

if TYPE_CHECKING:
    from crm_kernel.records.importing.drafts import Problem

#: Longest value that an error repeats.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """A column of a file, or a place in the list it holds, and the text there."""

    column: str
    found: str


class Blamer:
    """Finds the places of one source: ``columns`` are its columns with what they are put into."""

    def __init__(self, columns: Sequence[tuple[str, Target]]) -> None:
        self._columns = columns
        names = ((name, column) for column, target in reversed(columns) for name in (target.root, target.path))
        self._first = dict(names)

    def column_of(self, path: str) -> str:
        """Return the column that gives a field; the path itself if none does."""
        return self._first.get(path) or self._first.get(path.partition(".")[0]) or path

    def place(self, values: Any, groups: Sequence[Group], path: str) -> Place:
        """Return the place an error path names in a row; ``groups`` are those of the collection's parts, in order."""
        root, _dot, rest = path.partition(".")
        number, _dot, attribute = rest.partition(".")
        if not number.isdecimal():
            column = self.column_of(path)
            return Place(column, text_of(values.get(column)))
        given = self._of_part(root, groups[int(number)], attribute) if int(number) < len(groups) else None
        if given is not None:
            return Place(given, text_of(values.get(given)))
        column = self.column_of(root)
        return Place(f"{column}.{rest}", text_of(_inside(values.get(column), int(number), attribute)))

    def _of_part(self, root: str, group: Group, attribute: str) -> str | None:
        given = {t.attribute: column for column, t in self._columns if (t.root, t.group) == (root, group)}
        return given.get(attribute) or given.get("value") or next(iter(given.values()), None)


def given_path(data: Mapping[str, Any], given: Mapping[str, Any], path: str) -> str:
    """Return an error's path by the part's number in the row, where it came by the number among the stored ones."""
    name, _dot, rest = path.partition(".")
    number, _dot, attribute = rest.partition(".")
    parts, wanted = data.get(name), given.get(name)
    if not (number.isdecimal() and isinstance(parts, list) and wanted and int(number) < len(parts)):
        return path
    merged = parts[int(number)]
    for place, part in enumerate(wanted):
        if all(merged.get(key) == value for key, value in part.items() if key != "uid"):
            return f"{name}.{place}.{attribute}"
    return path


def row_error(file: str, row: int, column: str, problem: Problem) -> RowError:
    """Return a problem as it is told: long values are shortened, in its text too."""
    short = shortened(problem.found)
    expected = problem.expected.replace(problem.found, short) if short != problem.found else problem.expected
    return RowError(file, row, column, short, expected, sentence=problem.sentence, review=problem.review)


def text_of(value: Any) -> str:
    """Return a value of a row as a file writes it: nothing is empty, lists and objects are JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()


def shortened(text: str) -> str:
    """Return a text cut to ``SHOWN`` characters, so that what follows it is still read."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _inside(value: Any, number: int, attribute: str) -> Any:
    part = value[number] if isinstance(value, list) and number < len(value) else None
    return part.get(attribute) if isinstance(part, dict) and attribute else part
