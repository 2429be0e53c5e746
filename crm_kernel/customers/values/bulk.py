"""Parse once per distinct value: the bounded cache under every bulk parser.

Owns only the caching of results and refusals; the parsing belongs to ``phones`` and ``emails``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from crm_kernel.customers.values.errors import ValueProblem

Parsed = TypeVar("Parsed")

#: Distinct raw values one parser remembers by default; about 0.5 kB each.
CACHE_SIZE = 50_000


class BulkParser(Generic[Parsed]):
    """Parses values, each distinct one once; refusals are remembered too.

    Safe to share between threads. The least recently used value leaves when ``cache_size`` is reached; ``0`` keeps
    nothing. Holds personal data for as long as it lives: make one per import or request, not one per process.
    """

    def __init__(self, parse: Callable[[str], Parsed], *, cache_size: int = CACHE_SIZE) -> None:
        def outcome(raw: str) -> Parsed | ValueProblem:
            try:
                return parse(raw)
            except ValueProblem as problem:
                return problem.again()

        self._outcome: Callable[[str], Parsed | ValueProblem] = lru_cache(maxsize=cache_size)(outcome)

    def outcome(self, raw: str) -> Parsed | ValueProblem:
        """Return the parsed value, or the problem instead of raising it: for row-by-row verdicts."""
        return self._outcome(raw)

    def __call__(self, raw: str) -> Parsed:
        """Return the parsed value.

        Raises:
            ValueProblem: when the value is refused, a fresh one each time.
        """
        result = self._outcome(raw)
        if isinstance(result, ValueProblem):
            raise result.again()
        return result
