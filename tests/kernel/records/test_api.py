"""The REST API: representations, conditional requests, problem documents, its OpenAPI document."""

from __future__ import annotations

import base64
import uuid

import orjson
import pytest

THINGS = "/api/toyrecords/things"


@pytest.fixture
def admin(api):
    """An API client that may do everything."""
    return api("administrator")


@pytest.fixture
def lamp(admin):
    """The address of a thing at version 1."""
    created = admin.post(THINGS, {"name": "lamp", "amount": "5.50", "currency": "eur"})
    assert created.status_code == 201, created.text
    return created.headers["Location"]


def test_what_was_created_can_be_read_where_location_says(admin, lamp):
    answer = admin.get(lamp)

    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"1"'
    assert answer.json["amount"] == "5.5000"
    assert answer.json["currency"] == "EUR"
    assert uuid.UUID(answer.json["id"])
    assert "uid" not in answer.json
    assert answer.json["extensions"] == {}


def test_no_key_of_the_database_leaves_the_process(admin, lamp):
    assert not {"maker_id", "owner_id", "team_id"} & admin.get(lamp).json.keys()


def test_an_unchanged_record_is_not_sent_again(admin, lamp):
    answer = admin.open("GET", lamp, headers={"If-None-Match": '"1"'})

    assert (answer.status_code, answer.data) == (304, b"")


def test_a_change_gives_the_new_representation_and_etag(admin, lamp):
    answer = admin.patch(lamp, {"name": "torch"}, etag='"1"')

    assert (answer.status_code, answer.json["name"], answer.headers["ETag"]) == (200, "torch", '"2"')


@pytest.mark.parametrize(("etag", "status"), [(None, 428), ('"7"', 412), ("seven", 422), ('W/"1"', 200)])
def test_a_change_says_which_version_it_is_based_on(admin, lamp, etag, status):
    headers = {"If-Match": etag} if etag else {}

    answer = admin.open("PATCH", lamp, json={"name": "torch"}, headers=headers)

    assert answer.status_code == status
    assert admin.get(lamp).json["name"] == ("torch" if status == 200 else "lamp")


def test_a_deleted_record_is_gone(admin, lamp):
    assert admin.delete(lamp).status_code == 204
    assert admin.get(lamp).status_code == 404


def test_a_named_action_is_an_address_of_its_own(admin, lamp):
    answer = admin.post(f"{lamp}/break", {"reason": "dropped"}, If_Match='"1"')

    assert (answer.status_code, answer.json["state"]) == (200, "broken")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", THINGS, {"nope": 1}, 422, "nope"),
        ("POST", THINGS, {}, 422, "name"),
        ("POST", THINGS, [1], 422, "body"),
        ("GET", f"{THINGS}?colour=red", None, 422, "colour"),
        ("GET", f"{THINGS}?cursor=x", None, 422, "cursor"),
        ("GET", f"{THINGS}/{uuid.UUID(int=1)}", None, 404, None),
        ("GET", "/api/nothing", None, 404, None),
        ("PUT", THINGS, {}, 405, None),
    ],
)
def test_every_refusal_is_a_problem_document_that_names_the_field(admin, method, path, body, status, field):
    answer = admin.open(method, path, json=body) if body is not None else admin.open(method, path)

    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= answer.json.keys()
    assert answer.json["status"] == status
    if field:
        assert field in answer.json["errors"]


@pytest.mark.parametrize("data", [b"{", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(admin, data):
    answer = admin.open("POST", THINGS, data=data, content_type="application/json")

    assert (answer.status_code, list(answer.json["errors"])) == (422, ["body"])


def test_without_a_token_everything_is_refused_and_says_how(client, lamp):
    for method, path in (
        ("GET", THINGS),
        ("POST", THINGS),
        ("PATCH", lamp),
        ("DELETE", lamp),
        ("GET", "/api/openapi.json"),
    ):
        answer = client.open(path, method=method, json={} if method != "GET" else None)
        assert answer.status_code in (400, 401), (method, path, answer.status_code)
    assert client.get(THINGS).headers["WWW-Authenticate"].startswith("Bearer")


def test_a_refused_write_changes_nothing_and_is_noted(api, admin, lamp, crm_app):
    import sqlalchemy as sa

    from crm_kernel.access.models import AuditLog
    from crm_kernel.database import db

    reader = api(grants={"toyrecords.thing.read": "all"})

    assert reader.patch(lamp, {"name": "mine"}, etag='"1"').status_code == 403
    assert reader.delete(lamp, etag='"1"').status_code == 403
    assert reader.post(THINGS, {"name": "mine"}).status_code == 403

    assert admin.get(lamp).json["name"] == "lamp"
    assert [item["name"] for item in admin.get(THINGS).json["items"]] == ["lamp"]
    with crm_app.app_context():
        noted = sa.select(sa.func.count()).where(AuditLog.action == "refused")
        assert db.session.execute(noted).scalar_one() == 3


def test_a_count_is_given_when_asked_for(admin, lamp):
    answer = admin.get(THINGS, count="true").json

    assert (answer["count"], answer["count_is_exact"]) == (1, True)
    assert "count" not in admin.get(THINGS).json


def test_the_document_is_valid_openapi_3_1_and_knows_extensions_and_actions(admin):
    from openapi_spec_validator import validate

    document = admin.get("/api/openapi.json").json

    validate(document)
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"get", "post"} <= paths[THINGS].keys()
    assert "post" in paths[f"{THINGS}/{{uid}}/break"]
    written = document["components"]["schemas"]["ToyrecordsThingInput"]["properties"]
    assert "extensions" in written
    parameters = {parameter["name"] for parameter in paths[THINGS]["get"]["parameters"]}
    assert {"amount__gte", "toyrecords.stars__lt", "q", "cursor"} <= parameters


def test_a_representation_fits_the_schema_that_documents_it(admin, lamp, crm_app, types):
    from crm_kernel.records.openapi_schemas import read_schema

    admin.patch(lamp, {"extensions": {"toyrecords": {"stars": 3}}, "made_on": "2026-02-03"})
    with crm_app.test_request_context():
        schema = read_schema(types.thing)()

    answer = admin.get(lamp).json

    assert schema.validate({name: value for name, value in answer.items() if not schema.fields[name].dump_only}) == {}
    assert answer.keys() == schema.fields.keys()


@pytest.mark.parametrize("rows", [2, 45])
def test_after_authentication_a_list_costs_two_queries_and_one_record_three(admin, make_things, count_queries, rows):
    make_things(*((f"thing {number:02}", number) for number in range(rows)))
    first = admin.get(THINGS).json["items"][0]["id"]

    with count_queries() as listing:
        admin.get(THINGS, limit="50")
    with count_queries() as single:
        admin.get(f"{THINGS}/{first}")

    assert len(listing) <= 1 + 2, listing
    assert len(single) <= 1 + 3, single


@pytest.fixture
def cursor(admin):
    """The cursor after the first of three things by name."""
    for name in ("lamp", "tent", "rope"):
        admin.post(THINGS, {"name": name, "amount": "5.50", "currency": "eur"})
    return admin.get(THINGS, sort="name", limit="1").json["next_cursor"]


def test_a_cursor_shows_neither_the_key_nor_the_value_of_the_last_row(admin, cursor):
    shown = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))

    assert b"lamp" not in shown
    assert len(shown) == len(b'["lamp",1]') + 16  # a tag, and nothing one could read: no digit outside of it
    with pytest.raises(ValueError):
        orjson.loads(shown)
    assert [item["name"] for item in admin.get(THINGS, sort="name", cursor=cursor).json["items"]] == ["rope", "tent"]


def test_a_cursor_with_one_character_changed_is_refused(admin, cursor):
    for place, character in enumerate(cursor[:-1]):  # the last one may hold bits that mean nothing
        changed = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
        answer = admin.get(THINGS, sort="name", cursor=changed)
        assert answer.status_code == 422, changed
        assert "Not a cursor of this list" in answer.json["errors"]["cursor"][0]


@pytest.mark.parametrize(
    "forged",
    [
        base64.urlsafe_b64encode(b'["name","lamp",1]').decode(),
        base64.urlsafe_b64encode(b'["lamp",1]').decode(),
        "A" * 60,
        "A" * 10_000,
        "é",
        "a b",
        "=",
    ],
)
def test_a_forged_cursor_is_refused_whatever_it_holds(admin, cursor, forged):
    assert admin.get(THINGS, sort="name", cursor=forged).status_code == 422


def test_a_cursor_fits_its_own_list_only(admin, cursor):
    assert admin.get(THINGS, sort="-name", cursor=cursor).status_code == 422
    assert admin.get("/api/toyrecords/makers", sort="name", cursor=cursor).status_code == 422


def test_a_new_secret_key_makes_older_cursors_worthless(admin, cursor, crm_app, monkeypatch):
    monkeypatch.setitem(crm_app.config, "SECRET_KEY", "another one " * 4)

    assert admin.get(THINGS, sort="name", cursor=cursor).status_code == 422


def test_a_nul_character_is_refused_in_filters(admin, lamp):
    assert admin.open("GET", f"{THINGS}?name__contains=%00").status_code == 422
    assert admin.open("GET", f"{THINGS}?name=%00").status_code == 422
    assert admin.open("GET", f"{THINGS}?q=%00").status_code == 200


@pytest.mark.parametrize("extensions", [[1], "x", 5])
def test_extensions_that_are_no_object_are_refused(admin, extensions):
    answer = admin.post(THINGS, {"name": "lamp", "extensions": extensions})

    assert (answer.status_code, list(answer.json["errors"])) == (422, ["extensions"])


def test_a_filter_by_a_hidden_record_finds_nothing(api, make_things):
    maker = make_things(("lamp", 1))
    reader = api(grants={"toyrecords.thing.read": "all"})

    assert reader.get(THINGS, maker=str(maker)).json["items"] == []
    assert api("administrator").get(THINGS, maker=str(maker)).json["items"]


def test_a_body_beyond_the_limit_is_refused(admin):
    assert admin.post(THINGS, {"name": "x" * 1_100_000}).status_code == 413
