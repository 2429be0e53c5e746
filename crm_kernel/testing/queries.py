"""Counts the statements a block of code sends to the database, for tests of "one query per page"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import sqlalchemy as sa

_AUTHENTICATING: ContextVar[bool] = ContextVar("crm_authenticating", default=False)


@dataclass(slots=True)
class Queries:
    """The statements seen so far, in order; BEGIN, COMMIT and pragmas are not statements."""

    #: Statements of the page, the service, the job: what the test is about.
    statements: list[str] = field(default_factory=list)
    #: Statements that found out who asks (≤ 2 per request).
    authentication: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)

    def __str__(self) -> str:
        return "\n".join(f"{number}. {text}" for number, text in enumerate(self.statements, 1))

    def at_most(self, limit: int) -> None:
        """Fail, listing the statements, if there were more than ``limit`` after authentication."""
        assert len(self) <= limit, f"{len(self)} queries, expected at most {limit}:\n{self}"


@contextmanager
def count_queries() -> Iterator[Queries]:
    """Count the statements of all engines of this process while the block runs.

    Example::

        with count_queries() as queries:
            client.get("/customers")
        queries.at_most(5)
    """
    from crm_kernel.access import authentication

    seen = Queries()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        text = " ".join(statement.split())
        (seen.authentication if _AUTHENTICATING.get() else seen.statements).append(text)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with mock.patch.object(authentication, "authenticate", _marked(authentication.authenticate)):
            yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _marked(authenticate: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        token = _AUTHENTICATING.set(True)
        try:
            return authenticate(*args, **kwargs)
        finally:
            _AUTHENTICATING.reset(token)

    return run
