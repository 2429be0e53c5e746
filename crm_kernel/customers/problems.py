"""Collects what is wrong with the input of a customer, path by path, so that all of it is told at once."""

from __future__ import annotations

from flask_babel import gettext as _

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.errors import InvalidInput

#: Parameters of value parsers that are words of ours; the others repeat what was typed.
_TOLD = ("type", "reason")


class Problems:
    """Messages by field path (``contact_points.0.value``); ``prefix`` is put before every path."""

    def __init__(self, prefix: str = "", errors: dict[str, list[str]] | None = None) -> None:
        self.prefix = prefix
        #: Full path → messages.
        self.errors: dict[str, list[str]] = {} if errors is None else errors

    def __bool__(self) -> bool:
        return bool(self.errors)

    def add(self, path: str, message: str | ValueProblem) -> None:
        """Remember one problem; that of a value parser is told in the actor's language."""
        text = said(message) if isinstance(message, ValueProblem) else message
        self.errors.setdefault(self.prefix + path, []).append(text)

    def of_row(self, index: int) -> Problems:
        """Return a collector for one row of many: same messages, every path begins with the row's place."""
        return Problems(f"{index}.", self.errors)

    def refuse(self) -> None:
        """Raise what was collected, if anything.

        Raises:
            InvalidInput: at least one problem was added.
        """
        if self.errors:
            raise InvalidInput(self.errors)


def said(problem: ValueProblem) -> str:
    """Return a value parser's message in the current language."""
    params = {name: _words(str(value)) if name in _TOLD else value for name, value in problem.params.items()}
    return str(_(problem.template)).format(**params)


def _words(text: str) -> str:
    # What stands behind a colon are the signs somebody typed: "… contains invalid characters: '_'."
    words, colon, typed = text.partition(": ")
    return f"{_(words)}{colon}{typed}"
