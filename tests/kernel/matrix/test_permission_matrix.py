"""The permission matrix: every route, for every role, with somebody else's object in path, body, relation, filter and search.

Generated from the routes and record types of the application, so that a new one is covered or fails here with what to
say. A refused request leaves every table as it was; a granted change or export leaves exactly one audit row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AuditLog
from crm_kernel.access.setup import FOREIGN_PERMISSIONS
from crm_kernel.database import db
from crm_kernel.records.plan import Kind, plan_of, target_of
from crm_kernel.records.record_type import RecordType
from crm_kernel.testing.conformance.rule import declared_permissions

#: What is typed into searches, and what nobody may see then.
WORD, CANARY = "Zzcan", "QQ7319XX"
#: An id that nothing has.
NOTHING = UUID("01990000-0000-7000-8000-0000000000ff")

#: Record type → how the foreign one is made, from the objects made before; in this order.
MAKERS: dict[str, Any] = {
    "customer": lambda made: {"kind": "organization", "display_name": f"{WORD} {CANARY}", **_far(made)},
    "relationship": lambda made: {
        "from_customer": str(made["customer"]), "to_customer": made["second"], "type": "parent_company",
    },
    "interaction": lambda made: {"customer": str(made["customer"]), "kind": "note", "summary": f"{WORD} {CANARY}"},
    "rule": lambda made: {
        "name": f"{WORD} {CANARY}", "record_type": "customer", "event": "kernel.customer_created", **_far(made),
    },
}  # fmt: skip
#: Record types without a foreign one: whoever reads the type reads them all, or only their own code makes them.
SHARED = {
    "purpose", "product", "exchange_rate", "user", "team", "role", "custom_field", "tag",
    "webhook_source", "webhook_message", "legal_hold", "retention_rule", "erasure",
    "consent", "suppression", "sale", "saved_view", "note", "attachment", "webhook", "webhook_delivery", "bulk_run",
}  # fmt: skip
#: Blueprint → record type of the ``uid`` in its paths, where the endpoint does not say it; None: an id that nothing has.
REACH: dict[str, str | None] = {
    "audit": "audit",
    "api_audit": "audit",
}
#: What a second one of the same must say differently.
FRESH: dict[str, dict[str, str]] = {"relationship": {"type": "partner"}}
#: Answers of a refusal; a log-in page is a redirect.
REFUSED = (401, 403, 404)
#: Addresses that end what they are asked with: not part of the matrix.
LEFT_OUT = {"security.logout": "ends the session of the role", "web.choose_language": "asks nothing"}
_CONVERTED = {"UUIDConverter": NOTHING, "IntegerConverter": 1}


def _far(made: dict[str, Any]) -> dict[str, str]:
    return {"owner": made["far_owner"], "team": made["far_team"]}


@pytest.fixture
def world(crm_app: Any, login: Any, factories: Any, unit: Any) -> Any:
    """What belongs to somebody far away, and the browsers of each role: ``world.foreign``, ``world.roles``."""
    owner = login("manager", team="Far").user
    with unit() as uow:
        from crm_kernel.access.models import Team

        made: dict[str, Any] = {"far_owner": str(owner.uid)}
        made["far_team"] = str(uow.session.scalars(sa.select(Team.uid).where(Team.name == "Far")).one())
    made["second"] = str(factories.organization(display_name=f"{WORD} second {CANARY}", **_far(made)).uid)
    for name, payload in MAKERS.items():
        made[name] = factories.record(name, **payload(made)).uid
    with unit() as uow:
        about = sa.select(AuditLog.uid).where(AuditLog.record_uid == made["customer"])
        made["audit"] = uow.session.scalars(about.limit(1)).one()
    roles = {
        "nobody": login(grants={}),
        "own": login(grants={"*": "own"}, team="Near"),
        "team": login(grants={"*": "team"}, team="Near"),
        "reader": login("reader", team="Near"),
    }
    return SimpleNamespace(foreign=made, roles=roles)


def requests_of(app: Any, foreign: dict[str, Any]) -> Iterator[Any]:
    """Yield every request there is: endpoint, method, path with foreign ids, permission, and the type of the object."""
    adapter = app.url_map.bind("localhost")
    for route in sorted(app.url_map.iter_rules(), key=lambda found: (found.rule, found.endpoint)):
        if route.endpoint.endswith("static") or route.endpoint in LEFT_OUT:
            continue
        about = _about(app, route.endpoint, route.rule)
        values = {name: _argument(converter) for name, converter in route._converters.items()}
        if "uid" in values and about in foreign:
            values["uid"] = foreign[about]
        declared = declared_permissions(app.view_functions[route.endpoint])
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            needed = declared.get(method, declared.get("default", FOREIGN_PERMISSIONS.get(route.endpoint, "")))
            path = adapter.build(route.endpoint, values, method=method)
            yield SimpleNamespace(
                endpoint=route.endpoint, method=method, path=path, needed=needed, about=about, has_uid="uid" in values
            )


def _argument(converter: Any) -> Any:
    items = getattr(converter, "items", None)
    return sorted(items)[0] if isinstance(items, set) else _CONVERTED.get(type(converter).__name__, "x")


def _about(app: Any, endpoint: str, rule: str) -> str | None:
    """Return the record type of the object in a path: ``/customers/<uid>/…`` is a customer's."""
    for found in runtime_of(app).registry.all("record_types"):
        if rule.removeprefix("/api").startswith(f"/{found.path}/<uuid:uid>"):
            return str(found.name)
    blueprint, _dot, rest = endpoint.partition(".")
    if blueprint in REACH:
        return REACH[blueprint]
    names = {found.name.replace(".", "_"): found.name for found in runtime_of(app).registry.all("record_types")}
    if blueprint.startswith("api_"):
        return names.get(blueprint.removeprefix("api_"))
    if blueprint == "records":
        fitting = [name for name in names if rest.startswith(f"{name}_")]
        return names[max(fitting, key=len)] if fitting else None
    return None


def send(client: Any, request: Any) -> Any:
    """Send a request with a body that asks for nothing in particular."""
    if request.path.startswith("/api/") and request.method != "GET":
        return client.open(request.path, method=request.method, json={}, headers={"If-Match": '"1"'})
    data = {"version": "1"} if request.method != "GET" else None
    return client.open(request.path, method=request.method, data=data)


def as_unknown(client: Any, request: Any, foreign: dict[str, Any], answer: Any) -> bool:
    """Say whether an id that nothing has is answered the same: arguments are checked before any record is looked for."""
    path = request.path.replace(str(foreign[request.about]), str(NOTHING))
    other = send(client, SimpleNamespace(path=path, method=request.method))
    same = (answer.status_code, (answer.json or {}).get("errors")) == (
        other.status_code,
        (other.json or {}).get("errors"),
    )
    return answer.status_code == 422 and same


def digest(app: Any) -> str:
    """Return a digest of every table but the audit log's own, which notes refusals."""
    found = hashlib.sha256()
    with app.app_context(), db.engine.connect() as connection:
        # Modules that another test imported are in the metadata, and not in this database.
        there = set(sa.inspect(connection).get_table_names())
        for table in sorted(db.metadatas[None].tables.values(), key=lambda t: t.name):
            if table.name in there and not table.name.startswith("audit_"):
                rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
                found.update(table.name.encode() + repr([tuple(row) for row in rows]).encode())
    return found.hexdigest()


def refused(answer: Any) -> bool:
    """Say whether an answer refuses: by its status, or by the log-in page."""
    return answer.status_code in REFUSED or (
        answer.status_code in (302, 303) and "/auth/login" in answer.headers["Location"]
    )


def types_of(app: Any) -> list[RecordType]:
    return list(runtime_of(app).registry.all("record_types"))


@pytest.mark.crm_databases("sqlite")
def test_every_record_type_is_known_to_the_matrix(crm_app: Any) -> None:
    untold = {found.name for found in types_of(crm_app)} - MAKERS.keys() - SHARED

    assert untold == set(), "tell the matrix how to make one (MAKERS), or that everybody shares them (SHARED)"


@pytest.mark.crm_databases("sqlite")
def test_every_address_with_an_object_is_known_to_the_matrix(crm_app: Any, world: Any) -> None:
    known = {
        "access", "admin", "api_token", "imports", "api_imports", "merging", "api_merging", "api_source_secret", "api_collaboration", "api_files", "api_webhook_secret", "attachments", "collaboration",
        "duplicates", "jobs", "notifications", "security", "signin", "views", "webhooks", "tags", "preferences",
    }  # fmt: skip
    unknown = {
        request.endpoint
        for request in requests_of(crm_app, world.foreign)
        if request.has_uid and request.about is None and request.endpoint.partition(".")[0] not in known | REACH.keys()
    }

    assert unknown == set(), "tell the matrix how to reach it: whose object is in the path (REACH)"


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("role", ["nobody", "own", "team", "reader"])
def test_a_foreign_object_in_the_path_is_refused_and_nothing_changes(crm_app: Any, world: Any, role: str) -> None:
    client, before = world.roles[role], digest(crm_app)
    wrong, count = {}, 0

    for request in requests_of(crm_app, world.foreign):
        if request.needed == "public" or (role == "reader" and request.method == "GET"):
            continue
        answer = send(client, request)
        count += 1
        name = f"{request.method} {request.path}"
        foreign = request.has_uid and request.about in world.foreign and role in ("own", "team")
        if role == "nobody" and request.needed != "authenticated" and not refused(answer):
            wrong[name] = answer.status_code
        if foreign and not refused(answer) and not as_unknown(client, request, world.foreign, answer):
            wrong[name] = answer.status_code
        if CANARY in answer.get_data(as_text=True):
            wrong[name] = "tells the canary"
        if answer.status_code >= 500:
            wrong[name] = answer.status_code
        if answer.status_code >= 400 and request.method != "GET":
            after = digest(crm_app)
            if after != before:
                wrong[name] = f"{answer.status_code}, and the database changed"
            before = after
        elif request.method != "GET":
            before = digest(crm_app)

    assert wrong == {}
    assert count > 100


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("role", ["nobody", "own", "team"])
def test_no_list_search_export_or_page_tells_of_a_foreign_object(crm_app: Any, world: Any, role: str) -> None:
    client, before, told = world.roles[role], digest(crm_app), {}

    for request in requests_of(crm_app, world.foreign):
        if request.method != "GET" or request.has_uid:
            continue
        for query in ("", f"?q={WORD}", f"?name={WORD}", f"?owner={world.foreign['far_owner']}"):
            answer = client.get(request.path + query)
            if answer.status_code >= 500 or CANARY in answer.get_data(as_text=True):
                told[request.path + query] = answer.status_code

    assert told == {}
    assert digest(crm_app) == before


def references_to(app: Any, protected: set[str]) -> Iterator[tuple[RecordType, str, str]]:
    """Yield (record type, field, type it points to) of the references to protected types."""
    with app.app_context():
        for found in types_of(app):
            for name, field in plan_of(found).fields.items():
                if field.kind is Kind.REFERENCE and target_of(field).name in protected:
                    yield found, name, target_of(field).name


@pytest.mark.parametrize("role", ["own", "team"])
def test_a_foreign_object_in_a_body_is_as_unknown_as_one_that_does_not_exist(
    crm_app: Any, world: Any, role: str
) -> None:
    client, before, wrong, count = world.roles[role], digest(crm_app), {}, 0

    for found, name, target in references_to(crm_app, {"customer", "rule"}):
        if "create" not in found.verbs:
            continue
        answers = []
        for value in (world.foreign[target], NOTHING):
            answer = client.post(f"/api/{found.path}", json={name: str(value)})
            errors = (answer.json or {}).get("errors", {})
            answers.append((answer.status_code, errors))
        count += 1
        if answers[0] != answers[1] or answers[0][0] < 400:
            wrong[f"{found.name}.{name}"] = answers

    assert wrong == {}
    assert count >= 2
    assert digest(crm_app) == before


@pytest.mark.parametrize("role", ["own", "team"])
def test_a_foreign_object_in_a_filter_finds_what_one_that_does_not_exist_finds(
    crm_app: Any, world: Any, role: str
) -> None:
    client, wrong, count = world.roles[role], {}, 0

    for found, name, target in references_to(crm_app, {"customer", "rule"}):
        for query in ({name: "{}"}, {"filter": f'{{"field": "{name}", "op": "eq", "value": "{{}}"}}'}):
            answers = []
            for value in (world.foreign[target], NOTHING):
                given = {key: text.replace("{}", str(value)) for key, text in query.items()}
                answer = client.get(f"/api/{found.path}", query_string=given)
                answers.append((answer.status_code, (answer.json or {}).get("items")))
            count += 1
            if answers[0] != answers[1]:
                wrong[f"{found.name}.{name}"] = answers

    assert wrong == {}
    assert count >= 4


def test_every_create_change_delete_and_export_leaves_one_audit_row(
    crm_app: Any, world: Any, login: Any, unit: Any
) -> None:
    administrator = login("administrator", name="Ada Auditor")
    wrong = {}

    def rows_of(answer: Any) -> list[Any]:
        with unit() as uow:
            asked = AuditLog.request_id == answer.headers["X-Request-ID"]
            return [
                (row.action, row.record_type, row.actor, row.channel)
                for row in uow.session.scalars(sa.select(AuditLog).where(asked))
            ]

    for name, payload in MAKERS.items():
        path = f"/api/{next(found.path for found in types_of(crm_app) if found.name == name)}"
        made = administrator.post(path, json=payload(world.foreign) | FRESH.get(name, {}))
        assert made.status_code == 201, made.text
        one = f"{path}/{made.json['id']}"
        etag = {"If-Match": administrator.get(one).headers["ETag"]}
        deleted = administrator.delete(one, headers=etag)
        for action, answer in (("created", made), ("deleted", deleted)):
            about = [row for row in rows_of(answer) if row[1] == name]
            if about != [(action, name, "Ada Auditor", "api")]:
                wrong[f"{name} {action}"] = (answer.status_code, rows_of(answer))
    for found in types_of(crm_app):
        if "export" in found.verbs:
            answer = administrator.get(f"/{found.path}/export.csv")
            if rows_of(answer) != [("exported", found.name, "Ada Auditor", "web")]:
                wrong[f"{found.name} exported"] = rows_of(answer)

    assert wrong == {}
