"""Requests that follow from each other over the whole API: what one creates, the next reads, changes, acts on and deletes.

schemathesis makes them from the document and the links it infers. Whatever the order: no failure of the server, no answer
that the document does not announce, and the same request without a token, or with one that may do nothing, never
succeeds. ``make fuzz N=1000`` runs as many scenarios as one likes; the suite runs a few, the same in every run.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from crm_kernel.testing.conformance.rule import declared_permissions

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = "/api/openapi.json"
#: Scenarios, and requests in each at most.
SCENARIOS, STEPS = int(os.environ.get("CRM_TEST_FUZZ", "12")), 10

pytestmark = [pytest.mark.slow, pytest.mark.crm_databases("sqlite"), pytest.mark.crm_plugins("sfa")]


class Findings:
    """What was seen, over all scenarios."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.operations: set[str] = set()
        #: Of each operation and status the first text.
        self.problems: dict[str, str] = {}

    def note(self, case: Any, response: Any) -> None:
        """Count an answer, and keep what is wrong with it."""
        self.statuses[response.status_code] += 1
        self.operations.add(case.operation.label)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:
            self.problems.setdefault(f"{case.operation.label}: {response.status_code}", str(error))

    def note_stranger(self, case: Any, who: str, response: Any) -> None:
        """Keep an answer that somebody got who may not have it."""
        if response.status_code < 400:
            self.problems.setdefault(f"{case.operation.label}: {who} got {response.status_code}", response.text[:300])
        elif response.status_code >= 500 and response.status_code != 503:
            self.problems.setdefault(f"{case.operation.label}: {who} broke it", response.text[:300])


@pytest.fixture
def company(crm_app: Any) -> None:
    """Load the demo company, so that references have something to point at."""
    from crm_cli.demo import load_parts

    load_parts(crm_app, seed=1, now=dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC), dry_run=False)


@pytest.fixture
def findings(crm_app: Any, company: None, api: Callable[..., Any]) -> Findings:
    """Run the scenarios as an administrator, each request once more as nobody and as somebody who may do nothing."""
    admin, powerless, found = api("administrator"), api(grants={}), Findings()
    schema = schemathesis.openapi.from_wsgi(DOCUMENT, crm_app, headers=_token(admin.token))
    machine = schema.as_state_machine()

    class Scenario(machine):  # type: ignore[misc, valid-type]
        def before_call(self, case: Any) -> None:
            if case.method.upper() != "GET" and "uid" in case.path_parameters and "If-Match" in case.headers:
                read = admin.get(f"{case.operation.path.partition('/{uid}')[0]}/{case.path_parameters['uid']}")
                case.headers["If-Match"] = read.headers.get("ETag", '"1"')

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": _token(admin.token)}

        def after_call(self, response: Any, case: Any) -> None:
            found.note(case, response)
            if not _is_public(crm_app, case):
                found.note_stranger(case, "nobody", case.call(headers={"Authorization": ""}))
                found.note_stranger(case, "somebody without rights", case.call(headers=_token(powerless.token)))

        def validate_response(self, response: Any, case: Any, additional_checks: Any = (), **_options: Any) -> None:
            """Say nothing here: one finding must not end the search for others."""

    Scenario.run(
        settings=settings(
            max_examples=SCENARIOS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="CRM_TEST_FUZZ" not in os.environ,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    return found


def _token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_public(app: Any, case: Any) -> bool:
    """Say whether everybody may, or everybody with a token: who lacks rights has that too."""
    endpoints = app.url_map.bind("localhost")
    try:
        endpoint, _arguments = endpoints.match(case.formatted_path, method=case.method.upper())
    except (NotFound, MethodNotAllowed, RequestRedirect):  # what was made up leads nowhere
        return False
    declared = declared_permissions(app.view_functions[endpoint])
    return declared.get(case.method.upper(), declared.get("default")) in ("public", "authenticated")


def test_no_sequence_of_requests_breaks_the_api_or_its_rules(crm_app: Any, findings: Findings) -> None:
    assert {200, 201, 404, 422} <= findings.statuses.keys(), "the scenarios reached too little"
    assert len(findings.operations) >= min(30, SCENARIOS)
    assert not findings.problems, "\n\n".join(f"{where}\n{text}" for where, text in sorted(findings.problems.items()))
