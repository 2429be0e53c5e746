"""Somebody else's object in a body, a relation, a filter, a count or a bulk run is as unknown as one that does not exist.

What names an object is read from the API's own document; a new address that takes an id is covered by being documented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crm_kernel.records.catalogue import catalogue_of
from crm_kernel.records.plan import Kind, plan_of, target_of
from crm_kernel.records.record_type import RecordType
from tests.kernel.matrix.asking import NOTHING, digest, types_of
from tests.kernel.matrix.foreign import CANARY, SHARED, ordered_types, payload_of

#: Operation → what else its body must say for the id in it to be looked at.
BODIES: dict[str, dict[str, Any]] = {
    "/api/notes": {"subject_type": "customer", "body": "Hello"},
    "/api/tags/change": {"subject_type": "customer", "add": ["vip"]},
    "/api/notifications/read": {},
}


@pytest.fixture
def clerk(world: Any, crm_app: Any, login: Any, factories: Any) -> Any:
    """Somebody who writes all that is not administration, of the owned types his own: with ``clerk.near``, his customer."""
    grants = {"tag.*": "all", "note.*": "all", "attachment.*": "all", "saved_view.*": "own"}
    for found in types_of(crm_app):
        if found.nav_section not in (None, "administration") or found.name in ("relationship", "consent"):
            grants |= {f"{found.name}.*": "own" if found.owned else "all"}
    client = login(grants=grants, team="Near")
    client.near = factories.organization(display_name="Near clerk", owner=str(client.user.uid))
    return client


def references_to(app: Any, protected: set[str]) -> Iterator[tuple[RecordType, str, str]]:
    """Yield (record type, field, type it points to) of the references to protected types."""
    with app.app_context():
        for found in types_of(app):
            for name, field in plan_of(found).fields.items():
                if field.kind is Kind.REFERENCE and target_of(field).name in protected:
                    yield found, name, target_of(field).name


def hidden_types(app: Any) -> set[str]:
    """Return the names of the types whose foreign object nobody may know of."""
    return {found.name for found in types_of(app)} - SHARED.keys()


def test_a_foreign_object_in_a_body_is_as_unknown_as_one_that_does_not_exist(
    crm_app: Any, world: Any, clerk: Any
) -> None:
    before, wrong, count = digest(crm_app), {}, 0
    with crm_app.app_context():
        payloads = {t.name: payload_of(t, world.foreign) for t in ordered_types() if "create" in t.verbs}

    for found, name, target in references_to(crm_app, hidden_types(crm_app)):
        if "create" not in found.verbs or name not in payloads[found.name]:
            continue
        own = {field: str(clerk.near.uid) for field, known in customers_of(crm_app, found) if known == "customer"}
        answers = []
        for value in (world.foreign.uids[target], NOTHING):
            body = payloads[found.name] | own | {"owner": None, "team": None, name: str(value)}
            answer = clerk.post(f"/api/{found.path}", json=trimmed(body))
            answers.append(told_by(answer, value))
        count += answers[0][0] == 422 and name in answers[0][1]
        if answers[0] != answers[1] or answers[0][0] < 400:
            wrong[f"{found.name}.{name}"] = answers

    assert wrong == {}
    assert count >= 4, "the ids were not looked at"
    assert digest(crm_app) == before


def told_by(answer: Any, value: Any) -> tuple[int, Any]:
    """Return the status and the errors of an answer, whatever the id that was asked for."""
    errors = json.dumps((answer.json or {}).get("errors", {})).replace(str(value), str(NOTHING))
    return answer.status_code, json.loads(errors)


def customers_of(app: Any, found: RecordType) -> list[tuple[str, str]]:
    """Return (field, type) of a type's references."""
    with app.app_context():
        fields = plan_of(found).fields.items()
        return [(name, target_of(field).name) for name, field in fields if field.kind is Kind.REFERENCE]


def trimmed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without the fields that are not given."""
    return {name: value for name, value in body.items() if value is not None}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (method, path, property, whether it is a list) of every id that a body of the API takes."""

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}) if isinstance(operation, dict) else {}
            content = body.get("content", {}).get("application/json")
            for name, field in resolved(content["schema"]).get("properties", {}).items() if content else ():
                if resolved(field).get("format") == "uuid":
                    yield method, path, name, False
                elif resolved(field.get("items", {})).get("format") == "uuid" or name in ("ids", "subject_ids"):
                    yield method, path, name, True


def test_every_id_that_the_api_takes_is_as_unknown_as_one_that_does_not_exist(
    crm_app: Any, world: Any, clerk: Any, login: Any
) -> None:
    document = login("administrator").get("/api/openapi.json").json
    before, wrong, count = digest(crm_app), {}, 0
    types = {f"/api/{found.path}": found.name for found in types_of(crm_app)}
    etag = {"If-Match": clerk.get(f"/api/customers/{clerk.near.uid}").headers["ETag"]}

    for method, path, name, many in operations(document):
        about = types.get(path.partition("/{")[0].removesuffix("/bulk"), "customer")
        target = about if many and path.endswith("/bulk") else TARGETS.get(name, "customer")
        if target in SHARED:
            continue
        address = path.replace("{uid}", str(clerk.near.uid if about == "customer" else NOTHING))
        answers = []
        for value in (world.foreign.uids[target], NOTHING):
            sent = BODIES.get(path, {"do": "delete"} if path.endswith("/bulk") else {})
            body = sent | {name: [str(value)] if many else str(value)}
            answer = clerk.open(address, method=method.upper(), json=body, headers=etag)
            answers.append(told_by(answer, value))
        count += 1
        if answers[0] != answers[1] or CANARY in str(answers):
            wrong[f"{method} {path} {name}"] = answers

    assert wrong == {}
    assert count > 40
    assert digest(crm_app) == before


#: What an id of that name is of, where it is no customer.
TARGETS = {
    "view": "saved_view", "run": "bulk_run", "owner": "user", "team": "team", "parent": "team", "product": "product",
    "maker": "toyrecords.maker", "user": "user",
}  # fmt: skip


@pytest.mark.parametrize("role", ["own", "team"])
def test_a_foreign_object_in_a_filter_finds_what_one_that_does_not_exist_finds(
    crm_app: Any, world: Any, role: str
) -> None:
    client, wrong, count = world.roles[role], {}, 0

    for found, name, target in references_to(crm_app, hidden_types(crm_app)):
        for query in ({name: "{}"}, {"filter": f'{{"field": "{name}", "op": "eq", "value": "{{}}"}}'}):
            answers = []
            for value in (world.foreign.uids[target], NOTHING):
                given = {key: text.replace("{}", str(value)) for key, text in query.items()}
                answer = client.get(f"/api/{found.path}", query_string=given)
                answers.append((answer.status_code, (answer.json or {}).get("items")))
            count += 1
            if answers[0] != answers[1]:
                wrong[f"{found.name}.{name}"] = answers

    assert wrong == {}
    assert count >= 10


@pytest.mark.parametrize("role", ["own", "team"])
def test_no_count_of_related_records_tells_of_those_that_others_hung_on_ones_own(
    crm_app: Any, world: Any, role: str
) -> None:
    client, told, asked = world.roles[role], {}, 0
    near = str(world.near[role].uid)
    with crm_app.app_context():
        customers = next(found for found in types_of(crm_app) if found.name == "customer")
        known = [relation.name for relation in catalogue_of(plan_of(customers), None).relations()]
    relations = [name for name in known if name.removesuffix(".customer") in world.hung[role]]

    for relation in relations:
        for tree in ({"has": relation, "at_least": 1}, {"not": {"has": relation, "at_most": 0}}):
            answer = client.get("/api/customers", query_string={"filter": json.dumps(tree)})
            asked += answer.status_code == 200
            if near in [item["id"] for item in answer.json.get("items", [])]:
                told[json.dumps(tree)] = answer.status_code

    assert told == {}
    assert asked >= len(world.hung[role])
