"""The one error of the value parsers, made to be translated by whoever shows it.

Owns ``ValueProblem``. Must not know Flask or Babel: the catalogue is extracted with the Babel
keywords ``ValueProblem`` and ``N_`` (first argument), and the edge calls ``gettext(problem.template)``.
"""

from __future__ import annotations

from typing import ClassVar

from crm_kernel.errors import N_, CrmError

#: Longest piece of user input that an error repeats; the rest is cut with an ellipsis.
SHOWN = 60


def shown(raw: str) -> str:
    """Return ``raw`` cut to ``SHOWN`` characters, for use in an error message."""
    return raw if len(raw) <= SHOWN else raw[: SHOWN - 1] + "…"


class ValueProblem(CrmError, ValueError):
    """A value is refused; says what was found and what was expected.

    Services turn it into ``InvalidInput`` under the field's path; one that escapes still reads as a 422.

    Args:
        template: English message with named braces (``"{found!r} is too short"``), the key of the translation.
        params: what fills the braces; ``str`` and ``int`` only. They may repeat personal data: show, do not log.
    """

    status: ClassVar[int] = 422
    exit_code: ClassVar[int] = 2
    title: ClassVar[str] = N_("Invalid value")

    def __init__(self, template: str, **params: str | int) -> None:
        super().__init__(template)
        #: The untranslated message with its braces: also the key to group equal problems of an import by.
        self.template = template
        #: Mapping of brace name → value.
        self.params = params

    @property
    def message(self) -> str:
        """The English message with its braces filled."""
        return self.template.format(**self.params)

    def again(self) -> ValueProblem:
        """Return a fresh copy to raise: a cached exception would collect one traceback per raise."""
        return ValueProblem(self.template, **self.params)

    def __str__(self) -> str:
        return self.message
