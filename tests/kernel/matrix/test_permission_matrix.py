"""The permission matrix: every route, for every role, with somebody else's object in path, search, list and export.

Generated from the routes and record types of the application, so that a new one is covered or fails here with what to
say. A refused request leaves every table as it was; a granted change or export leaves exactly one audit row.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from tests.kernel.matrix.asking import (
    NOTHING,
    SECOND,
    about_of,
    as_unknown,
    digest,
    refused,
    requests_of,
    send,
    types_of,
    written,
)
from tests.kernel.matrix.foreign import (
    BEFORE_LOG_IN,
    CANARY,
    OF_USERS,
    PLAIN,
    REACH,
    SHARED,
    WORD,
    ordered_types,
    payload_of,
)

#: Tables whose rows are their user's alone, whatever others may read.
PRIVATE = ("api_token", "notification", "user_session", "webauthn", "saved_view")


def is_hidden(about: str | None) -> bool:
    """Say whether the far object of that type or table is nobody's business: neither shared nor plain."""
    return about is not None and about not in SHARED and about not in {model.__tablename__ for model in PLAIN}


@pytest.mark.crm_databases("sqlite")
def test_one_of_every_record_type_is_made(crm_app: Any, world: Any) -> None:
    assert {found.name for found in types_of(crm_app)} - world.foreign.uids.keys() == set()


@pytest.mark.crm_databases("sqlite")
def test_nothing_that_is_somebodys_is_called_shared(crm_app: Any) -> None:
    somebodys = {t.name for t in types_of(crm_app) if t.owned or t.customer or t.author or t.visibility}

    assert somebodys & SHARED.keys() == set()


@pytest.mark.crm_databases("sqlite")
def test_every_record_type_is_somebodys_or_shared(crm_app: Any) -> None:
    somebodys = {t.name for t in types_of(crm_app) if t.owned or t.customer or t.author or t.visibility}

    assert {t.name for t in types_of(crm_app)} - somebodys - SHARED.keys() == set(), "say why all read it (SHARED)"


@pytest.mark.crm_databases("sqlite")
def test_every_address_with_an_object_is_known_to_the_matrix(crm_app: Any, world: Any) -> None:
    unknown = {
        request.endpoint
        for request in requests_of(crm_app, world.foreign.uids)
        if request.has_uid and request.about not in world.foreign.uids
    }

    assert unknown - set(BEFORE_LOG_IN) == set(), "tell the matrix how to reach it: whose object is in the path (REACH)"


@pytest.mark.crm_databases("sqlite")
def test_every_second_object_of_an_address_is_known_to_the_matrix(crm_app: Any, world: Any) -> None:
    named = {
        (route.endpoint, name)
        for route in crm_app.url_map.iter_rules()
        for name, converter in route._converters.items()
        if type(converter).__name__ == "UUIDConverter" and name != "uid"
    }
    known = {(endpoint, name) for endpoint, arguments in SECOND.items() for name in arguments}

    assert named == known, "tell the matrix whose object the argument names (SECOND)"
    assert {name for arguments in SECOND.values() for name in arguments.values()} <= world.foreign.uids.keys()


@pytest.mark.crm_databases("sqlite")
def test_a_foreign_object_beside_ones_own_in_the_path_is_not_found(crm_app: Any, world: Any, login: Any) -> None:
    """Whoever may do everything to his own customer, or his own user, does not reach another's object through them."""
    client = login(grants={"*": "all"})
    own = {"customer": world.near["own"].uid, "user": client.user.uid}
    adapter, before, answers = crm_app.url_map.bind("localhost"), digest(crm_app), {}

    for endpoint, arguments in SECOND.items():
        [route] = crm_app.url_map.iter_rules(endpoint)
        first = own[str(about_of(crm_app, endpoint, route.rule))]
        far = {name: world.foreign.uids[named] for name, named in arguments.items()}
        answers[endpoint] = client.post(adapter.build(endpoint, {"uid": first, **far}, method="POST")).status_code

    assert set(answers.values()) == {404}, answers
    assert digest(crm_app) == before


@pytest.mark.crm_databases("sqlite")
def test_no_entry_of_the_matrix_outlives_its_addresses(crm_app: Any) -> None:
    endpoints = {rule.endpoint for rule in crm_app.url_map.iter_rules()}
    blueprints = {endpoint.partition(".")[0] for endpoint in endpoints}

    assert [name for name in REACH if name not in endpoints | blueprints] == []


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("role", ["nobody", "own", "team", "reader"])
def test_a_foreign_object_in_the_path_is_refused_and_nothing_changes(crm_app: Any, world: Any, role: str) -> None:
    client, before = world.roles[role], digest(crm_app)
    wrong, count = {}, 0

    for request in requests_of(crm_app, world.foreign.uids):
        reads = role == "reader" and request.method == "GET" and request.about not in PRIVATE
        if request.needed == "public" or reads:
            continue
        with written() as statements:
            answer = send(client, request)
        count += 1
        name = f"{request.method} {request.path} {request.endpoint}"
        foreign = request.has_uid and (is_hidden(request.about) or request.method != "GET") and role != "nobody"
        if role == "nobody" and request.needed != "authenticated" and not refused(answer):
            wrong[name] = answer.status_code
        if foreign and not refused(answer) and not as_unknown(client, request, world.foreign, answer):
            wrong[name] = answer.status_code
        if CANARY in answer.get_data(as_text=True) and (role != "reader" or request.about in PRIVATE):
            wrong[name] = "tells the canary"
        if answer.status_code >= 500:
            wrong[name] = answer.status_code
        if statements:  # a digest of every table takes longer than the request
            after = digest(crm_app)
            if (answer.status_code >= 400 or foreign) and after != before:
                wrong[name] = f"{answer.status_code}, and the database changed"
            before = after

    assert wrong == {}
    assert count > 100


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("role", ["nobody", "own", "team"])
def test_no_list_search_export_or_page_tells_of_a_foreign_object(crm_app: Any, world: Any, role: str) -> None:
    client, before, told = world.roles[role], digest(crm_app), {}

    for request in requests_of(crm_app, world.foreign.uids):
        if request.method != "GET" or request.has_uid:
            continue
        for query in ("", f"?q={WORD}", f"?name={WORD}", f"?owner={world.foreign.owner.uid}"):
            answer = client.get(request.path + query)
            if answer.status_code >= 500 or CANARY in answer.get_data(as_text=True):
                told[request.path + query] = answer.status_code

    assert told == {}
    assert digest(crm_app) == before


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("role", ["own", "team"])
def test_nothing_about_an_own_customer_tells_of_what_others_hung_on_it(crm_app: Any, world: Any, role: str) -> None:
    client, told, read = world.roles[role], {}, 0
    own = dict.fromkeys(world.foreign.uids, NOTHING) | {"customer": world.near[role].uid}

    for request in requests_of(crm_app, own):
        if request.method != "GET" or request.about != "customer":
            continue
        answer = client.get(request.path)
        read += answer.status_code == 200
        if answer.status_code >= 500 or CANARY in answer.get_data(as_text=True):
            told[request.path] = answer.status_code

    assert world.hung[role], "no owned type hangs on a customer"
    assert told == {}
    assert read > 8


def test_every_create_change_delete_and_export_leaves_one_audit_row(
    crm_app: Any, world: Any, login: Any, unit: Any
) -> None:
    administrator = login("administrator", name="Ada Auditor")
    wrong, written = {}, 0

    def rows_of(answer: Any) -> list[Any]:
        with unit() as uow:
            asked = AuditLog.request_id == answer.headers["X-Request-ID"]
            return [
                (row.action, row.record_type, row.actor, row.channel)
                for row in uow.session.scalars(sa.select(AuditLog).where(asked))
            ]

    with crm_app.app_context():
        wanted = [(t, payload_of(t, world.foreign)) for t in ordered_types() if "create" in t.verbs]
    for found, payload in wanted:
        if found.name in OF_USERS:
            continue
        made = administrator.post(f"/api/{found.path}", json=payload | FRESH.get(found.name, {}))
        assert made.status_code == 201, (found.name, made.text)
        steps = [("created", made)]
        one = f"/api/{found.path}/{made.json['id']}"
        if "delete" in found.verbs:
            etag = {"If-Match": administrator.get(one).headers["ETag"]}
            steps.append(("deleted", administrator.delete(one, headers=etag)))
        for action, answer in steps:
            about = [row for row in rows_of(answer) if row[1] == found.name]
            written += 1
            if about != [(action, found.name, "Ada Auditor", "api")]:
                wrong[f"{found.name} {action}"] = (answer.status_code, rows_of(answer))
    for found in types_of(crm_app):
        if "export" in found.verbs:
            answer = administrator.get(f"/{found.path}/export.csv")
            if rows_of(answer) != [("exported", found.name, "Ada Auditor", "web")]:
                wrong[f"{found.name} exported"] = rows_of(answer)

    assert wrong == {}
    assert written > 20


#: What a second one of the same must say differently.
FRESH: dict[str, dict[str, str]] = {
    "relationship": {"type": "partner"},
    "purpose": {"code": "second"},
    "exchange_rate": {"from_currency": "GBP"},
    "user": {"email": "second@crm.test"},
    "identity_provider": {"name": "Others"},
}
