"""Whatever is sent to the API, the answer is one its OpenAPI document announces, and never a failure of the server.

Requests are made from the document itself by schemathesis, right ones and wrong ones, with the token of an administrator.
Half of those for a record name one that exists, with its current ETag, so that they reach what is behind the 404.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = "/api/openapi.json"

pytestmark = [pytest.mark.slow, pytest.mark.crm_databases("sqlite"), pytest.mark.crm_plugins("sfa")]

#: Few and the same in every run: what fails today fails tomorrow.
FEW = settings(
    max_examples=5,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Probe:
    """Sends what schemathesis makes of the document and notes every answer that the document does not announce."""

    schema: Any
    client: Any
    token: str
    problems: dict[str, str] = field(default_factory=dict)
    statuses: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Send a few right and a few wrong requests to every operation."""
        for result in self.schema.get_all_operations():
            operation = result.ok()
            known = self._records(operation.path)
            for mode in GenerationMode:
                self._send(operation, mode, known)

    def _send(self, operation: Any, mode: GenerationMode, known: Iterator[tuple[str, str]] | None) -> None:
        @FEW
        @given(case=operation.as_strategy(generation_mode=mode), aims=st.booleans())
        def send(case: Any, aims: bool) -> None:
            if aims and known is not None:
                case.path_parameters["uid"], case.headers["If-Match"] = next(known)
            self._judge(case)

        send()

    def _judge(self, case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {self.token}"})
        self.statuses.add(response.status_code)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:  # the first of each operation and status is enough
            self.problems.setdefault(f"{case.operation.label}: {response.status_code}", str(error))

    def _records(self, path: str) -> Iterator[tuple[str, str]] | None:
        """Return ids and ETags of existing records of an operation's type, again and again; None if it names no record."""
        listing, found, _ = path.partition("/{uid}")
        if not found:
            return None
        # What is refused to every token, as a person's own tokens are, has no records to aim at.
        rows = (self.client.get(listing, limit=40).json or {}).get("items")
        return cycle([(row["id"], f'"{row.get("version", 1)}"') for row in rows]) if rows else None


@pytest.fixture
def company(crm_app: Any) -> None:
    """Load the demo company, so that every type has records."""
    from crm_cli.demo import load_parts

    load_parts(crm_app, seed=1, now=dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC), dry_run=False)


@pytest.fixture
def probe(crm_app: Any, company: None, api: Callable[..., Any]) -> Probe:
    """The probe with an administrator's token."""
    client = api("administrator")
    schema = schemathesis.openapi.from_wsgi(DOCUMENT, crm_app, headers={"Authorization": f"Bearer {client.token}"})
    return Probe(schema, client, client.token)


def test_every_answer_is_one_that_the_document_announces(probe: Probe) -> None:
    probe.run()

    assert {200, 201, 204, 404, 422} <= probe.statuses, "the requests reached too little"
    assert not probe.problems, "\n\n".join(f"{where}\n{text}" for where, text in sorted(probe.problems.items()))
