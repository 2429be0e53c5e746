"""The OpenAPI document announces every answer an operation can give, errors included."""

from __future__ import annotations

import re

import pytest

from crm_kernel.web.bodies import MAX_BODY

TOKENS = "/api/tokens"


@pytest.fixture
def document(app, rep):
    return app.test_client().get("/api/openapi.json", headers={"Authorization": f"Bearer {rep.token}"}).json


@pytest.fixture
def client(app, rep, log_in):
    """The browser of a logged-in representative."""
    client = app.test_client()
    log_in(client, rep.email, "violet harbour pencil")
    return client


def operations(document):
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            if verb in ("get", "post", "patch", "put", "delete"):
                yield path, verb, operation


def expected(path, verb, operation):
    """Return the statuses that the form of an operation alone makes possible."""
    found = {"401", "403", "503"}
    found |= {"404"} if "{" in path else set()
    found |= {"400"} if verb != "get" else set()
    found |= {"413", "422"} if "requestBody" in operation else set()
    found |= {"422"} if any(p.get("in") == "query" for p in operation.get("parameters", ())) else set()
    for match in (p for p in operation.get("parameters", ()) if p.get("name") == "If-Match"):
        found |= {"409", "412", "422", "428"} if match["required"] else {"409", "412"}
    return found


def test_every_operation_announces_the_errors_its_form_allows(document):
    missing = {
        f"{verb} {path}": sorted(lacking)
        for path, verb, operation in operations(document)
        if (lacking := expected(path, verb, operation) - operation["responses"].keys())
    }

    assert len(list(operations(document))) > 20
    assert missing == {}


def test_every_announced_error_is_a_problem_document(document):
    announced = [
        answer
        for _path, _verb, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]

    assert len(announced) > 100
    for answer in announced:
        assert answer["content"].keys() == {"application/problem+json"}
        assert answer["description"] not in ("", "Problem")


def test_every_route_under_api_that_takes_json_is_in_the_document(app, document):
    written = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    api = {path for path in written if path.startswith("/api/")}

    assert api - document["paths"].keys() == {"/api/openapi.json", "/api/docs"}


@pytest.mark.parametrize(
    ("verb", "path", "sent", "status"),
    [
        ("GET", TOKENS, {"headers": {"Authorization": "Bearer nonsense"}}, 401),
        ("GET", TOKENS, {"by_token": True}, 403),
        ("POST", TOKENS, {"json": {}}, 422),
        ("POST", TOKENS, {"data": b"{"}, 422),
        ("POST", TOKENS, {"json": {"name": "x", "scopes": []}}, 422),
        ("POST", TOKENS, {"data": b"x" * (MAX_BODY + 1)}, 413),
        ("POST", TOKENS, {"json": {"name": "x"}, "csrf": True}, 400),
        ("GET", f"{TOKENS}/{{uid}}", {"uid": "0199d5a8-0000-7000-8000-000000000000"}, 404),
        ("GET", f"{TOKENS}/{{uid}}", {"by_token": True}, 403),
        ("DELETE", f"{TOKENS}/{{uid}}", {"uid": "0199d5a8-0000-7000-8000-000000000000"}, 404),
        ("DELETE", f"{TOKENS}/{{uid}}", {"twice": True}, 409),
        ("DELETE", f"{TOKENS}/{{uid}}", {"csrf": True}, 400),
    ],
)
def test_the_errors_of_ones_own_tokens_are_the_announced_ones(app, rep, client, document, verb, path, sent, status):
    sent = dict(sent)
    address = path.format(uid=sent.pop("uid", rep.token_uid))
    app.config["WTF_CSRF_ENABLED"] = sent.pop("csrf", False)
    if sent.pop("by_token", False):
        sent["headers"] = {"Authorization": f"Bearer {rep.token}"}
    if sent.pop("twice", False):
        client.open(address, method=verb)

    answer = client.open(address, method=verb, **sent)

    assert answer.status_code == status, answer.text
    announced = document["paths"][path][verb.lower()]["responses"]
    assert list(announced[str(status)]["content"]) == [answer.mimetype]


def test_a_record_handed_over_and_one_unchanged_are_announced_too(document):
    one = document["paths"]["/api/notes/{uid}"]

    assert "304" in one["get"]["responses"]
    assert "204" in one["patch"]["responses"]
