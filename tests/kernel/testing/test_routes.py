"""Every route of the kernel asks before it answers; what is open to everybody is written down here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from crm_kernel.access.setup import FOREIGN_PERMISSIONS
from crm_kernel.testing.conformance.rule import declared_permissions

pytestmark = pytest.mark.crm_databases("sqlite")

#: Endpoints that answer strangers, and why.
PUBLIC = {
    "preferences.choose": "a customer has no account: the sealed link in his mail is the proof",
    "preferences.choose_now": "a customer has no account: the sealed link in his mail is the proof",
    "preferences.confirm": "a customer has no account: the sealed link in his mail is the proof",
    "preferences.confirm_now": "a customer has no account: the sealed link in his mail is the proof",
    "preferences.leave": "a customer has no account: the sealed link in his mail is the proof",
    "preferences.leave_now": "a customer has no account: the sealed link in his mail is the proof",
    "security.login": "nobody has logged in before",
    "security.logout": "logging out twice is no error",
    "security.forgot_password": "whoever forgot it cannot log in",
    "security.reset_password": "the link in the mail is the proof",
    "signin.second_factor": "the right password, sealed in the cookie, came before",
    "signin.offer_passkey": "nobody has logged in before",
    "signin.use_passkey": "the passkey's signature is the proof",
    "api_hook.receive": "the address says which source it is, the signature who sends",
    "signin.oidc_begin": "nobody has logged in before",
    "signin.oidc_callback": "the provider's signed answer is the proof",
    "signin.oidc_logout": "who comes here has just been logged out; it only sends on to the provider",
    "invitations.join": "an invited colleague has no account yet: the sealed link in his mail is the proof",
    "invitations.join_now": "an invited colleague has no account yet: the sealed link in his mail is the proof",
    "web.choose_language": "the log-in page speaks the reader's language",
    "web.live": "load balancers hold no password",
    "web.ready": "load balancers hold no password",
}
_ARGUMENTS = {"UUIDConverter": UUID(int=1), "IntegerConverter": 1}


def requests_of(app: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yield (endpoint, method, path with made-up arguments, permission) of every route but static files."""
    adapter = app.url_map.bind("localhost")
    for route in app.url_map.iter_rules():
        if route.endpoint.endswith("static"):
            continue
        declared = declared_permissions(app.view_functions[route.endpoint])
        values = {name: _argument(converter) for name, converter in route._converters.items()}
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            needed = declared.get(method, declared.get("default", FOREIGN_PERMISSIONS.get(route.endpoint, "")))
            yield route.endpoint, method, adapter.build(route.endpoint, values, method=method), needed


def _argument(converter: Any) -> Any:
    items = getattr(converter, "items", None)
    return sorted(items)[0] if isinstance(items, set) else _ARGUMENTS.get(type(converter).__name__, "x")


def test_every_route_declares_a_permission(crm_app: Any) -> None:
    assert [endpoint for endpoint, _method, _path, needed in requests_of(crm_app) if not needed] == []


def test_the_public_routes_are_those_written_down(crm_app: Any) -> None:
    assert {endpoint for endpoint, _method, _path, needed in requests_of(crm_app) if needed == "public"} == set(PUBLIC)


def test_every_other_route_refuses_a_stranger(crm_app: Any, client: Any) -> None:
    answers = {
        f"{method} {path}": client.open(path, method=method)
        for _endpoint, method, path, needed in requests_of(crm_app)
        if needed != "public"
    }
    assert len(answers) > 50
    assert {
        request: answer.status_code
        for request, answer in answers.items()
        if answer.status_code not in (401, 403)
        and not (answer.status_code in (302, 303) and "login" in answer.headers["Location"])
    } == {}


def test_every_route_with_a_permission_refuses_who_does_not_hold_it(crm_app: Any, login: Any) -> None:
    nobody = login(grants={})
    answers = {
        f"{method} {path}": nobody.open(path, method=method).status_code
        for _endpoint, method, path, needed in requests_of(crm_app)
        if needed not in ("public", "authenticated")
    }
    assert {request: status for request, status in answers.items() if status != 403} == {}
