"""What HTTP itself adds to every operation of the API: the usual refusals, conditional reading, unrepeatable POSTs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crm_kernel.records.openapi_answers import ALWAYS, PROBLEMS, WHEN_CHANGING

_UNCHANGED = {"description": "Unchanged since the ETag that If-None-Match names"}
_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "1 to 255 characters of your own: the same request under the same key is done once and answered twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemSchema"}}}


def add_http(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document's operations what all of them can do, and return it."""
    for path in document["paths"].values():
        for method, operation in path.items():
            if method == "parameters":  # those of the address, which all its operations share
                continue
            if operation.get("security") != []:
                _add_problems(operation, ALWAYS if method == "get" else (*ALWAYS, *WHEN_CHANGING))
            if method == "get":
                operation["responses"].setdefault("304", dict(_UNCHANGED))
            elif method == "post" and operation.get("security") != []:
                _add_key(operation)
    return document


def _add_key(operation: dict[str, Any]) -> None:
    operation["parameters"] = [*operation.get("parameters", ()), dict(_KEY)]
    _add_problems(operation, (409, 422))


def _add_problems(operation: dict[str, Any], statuses: Iterable[int]) -> None:
    answers = operation.setdefault("responses", {})
    for status in statuses:
        answers.setdefault(str(status), {"description": PROBLEMS[status], "content": _PROBLEM})
