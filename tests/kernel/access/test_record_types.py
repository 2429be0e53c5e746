"""Users, teams and roles through the generic API and pages: what admins can do, what others cannot, what never shows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser, Role
from crm_kernel.access.services import create_token
from crm_kernel.database import db

PASSWORD = "violet harbour pencil"
HIDDEN = ("password", "password_hash", "fs_uniquifier", "session_epoch", "digest", "totp")


@pytest.fixture
def api(app, person, unit):
    """Call the API in a role: ``api("administrator").post("/api/users", json={…})``."""

    class Caller:
        def __init__(self, role):
            key = person(role, email=f"caller-{role}@crm.test")
            with unit() as uow:
                token = create_token(uow, uow.session.get(AppUser, key), name="t").secret
            self.client, self.headers = app.test_client(), {"Authorization": f"Bearer {token}"}

        def __getattr__(self, method):
            def send(path, *, etag=None, **options):
                headers = {**self.headers, **({"If-Match": etag} if etag else {})}
                return getattr(self.client, method)(path, headers=headers, **options)

            return send

    return Caller


def _etag(answer):
    return answer.headers["ETag"]


def test_an_admin_makes_a_user_gives_him_a_role_and_a_password_and_he_logs_in(app, api, log_in):
    admin = api("administrator")
    team = admin.post("/api/teams", json={"name": "North"})
    assert team.status_code == 201, team.text

    user = admin.post("/api/users", json={"name": "Ada", "email": "ADA@crm.test", "team": team.json["id"]})
    assert user.status_code == 201, user.text
    assert (user.json["email"], user.json["team"]["title"], user.json["active"]) == ("ada@crm.test", "North", True)
    path = f"/api/users/{user.json['id']}"
    given = admin.post(f"{path}/assign_role", json={"role": "reader"}, etag=_etag(user))
    assert [held["role"]["title"] for held in given.json["roles"]] == ["reader"]
    assert admin.post(f"{path}/set_password", json={"password": PASSWORD}, etag=_etag(given)).status_code == 200

    assert log_in(app.test_client(), "ada@crm.test", PASSWORD).status_code == 302


def test_an_admin_builds_a_role_and_sees_its_grants(api):
    admin = api("administrator")
    role = admin.post("/api/roles", json={"name": "Clerk", "description": "Writes notes"})
    path = f"/api/roles/{role.json['id']}"

    wrong = admin.post(f"{path}/grant", json={"permission": "nonsense.read"}, etag=_etag(role))
    granted = admin.post(f"{path}/grant", json={"permission": "note.read", "scope": "team"}, etag=_etag(role))

    assert wrong.status_code == 422
    assert [(found["permission"], found["scope"]) for found in granted.json["grants"]] == [("note.read", "team")]
    revoked = admin.post(f"{path}/revoke", json={"permission": "note.read"}, etag=_etag(granted))
    assert revoked.json["grants"] == []
    assert admin.delete(path, etag=_etag(revoked)).status_code == 204


def test_how_far_a_grant_reaches_is_a_word_on_the_page_in_the_api_and_in_its_document(app, api, log_in, person):
    person("administrator", password=PASSWORD)
    client = app.test_client()
    log_in(client, "administrator@crm.test", PASSWORD)
    admin = api("administrator")
    found = {role["name"]: role for role in admin.get("/api/roles?fields=name,grants").json["items"]}

    reaches = {grant["permission"]: grant["scope"] for grant in found["representative"]["grants"]}
    page = client.get(f"/roles/{found['representative']['id']}").text
    document = client.get("/api/openapi.json").json["components"]["schemas"]["RoleGrantsPart"]["properties"]["scope"]

    assert (reaches["*"], reaches["customer.update"], reaches["customer.read"]) == ("own", "team", "all")
    for label in ("Own records", "Records of the team", "All records"):
        assert label in page
    assert document["enum"] == ["own", "team", "all"]


def test_built_in_roles_describe_themselves_in_the_readers_language(app, api, log_in, person, unit):
    person("administrator", password=PASSWORD, language="fr")
    client = app.test_client()
    log_in(client, "administrator@crm.test", PASSWORD)
    listed = client.get("/api/roles?fields=name,description").json["items"]
    reader = next(role for role in listed if role["name"] == "reader")

    assert reader["description"] == "Lit tout et ne modifie rien."
    assert "Lit tout et ne modifie rien." in client.get("/roles").text
    assert "Lit tout et ne modifie rien." in client.get(f"/roles/{reader['id']}").text
    english = {role["name"]: role for role in api("administrator").get("/api/roles").json["items"]}
    assert english["reader"]["description"] == "Reads everything and changes nothing."


def test_a_description_saved_unchanged_in_another_language_stays_the_built_in_one(app, log_in, person, unit):
    person("administrator", password=PASSWORD, language="fr")
    client = app.test_client()
    log_in(client, "administrator@crm.test", PASSWORD)
    role = next(role for role in client.get("/api/roles").json["items"] if role["name"] == "reader")
    path, etag = f"/api/roles/{role['id']}", {"If-Match": '"1"'}

    assert client.patch(path, json={"description": role["description"]}, headers=etag).status_code == 200
    with unit() as uow:
        assert uow.session.execute(sa.select(Role.description).where(Role.name == "reader")).scalar_one() == (
            "Reads everything and changes nothing."
        )
    mine = client.patch(path, json={"description": "Pour le siège"}, headers=etag)
    assert mine.json["description"] == "Pour le siège"


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_whoever_sees_no_role_is_offered_no_list_of_them_and_told_why_it_is_empty(app, person, role, log_in):
    person(role, password=PASSWORD)
    person("administrator", password=PASSWORD)
    client, admin = app.test_client(), app.test_client()
    log_in(client, f"{role}@crm.test", PASSWORD)
    log_in(admin, "administrator@crm.test", PASSWORD)

    assert 'href="/roles"' not in client.get("/teams").text
    assert 'href="/teams"' in client.get("/teams").text
    assert "role.update" in client.get("/roles").text
    assert "Create the first one" not in client.get("/roles").text
    assert 'href="/roles"' in admin.get("/teams").text
    assert "Not shown to you" not in admin.get("/roles").text


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_whoever_is_no_admin_reads_users_and_changes_nothing(app, api, role):
    caller = api(role)
    listed = caller.get("/api/users")
    assert listed.status_code == 200
    path = f"/api/users/{listed.json['items'][0]['id']}"
    with app.app_context(), db.engine.connect() as connection:
        role_id = connection.execute(sa.select(Role.uid).limit(1)).scalar_one()

    refused = [
        caller.post("/api/users", json={"name": "Eve", "email": "eve@crm.test"}),
        caller.patch(path, json={"email": "eve@crm.test"}, etag='"1"'),
        caller.post(f"{path}/assign_role", json={"role": "administrator"}, etag='"1"'),
        caller.post(f"{path}/set_password", json={"password": PASSWORD}, etag='"1"'),
        caller.post("/api/roles", json={"name": "Eve"}),
        caller.post(f"/api/roles/{role_id}/grant", json={"permission": "*"}, etag='"1"'),
        caller.post("/api/teams", json={"name": "Eve"}),
    ]

    assert {answer.status_code for answer in refused} == {403}
    with app.app_context(), db.engine.connect() as connection:
        assert connection.execute(sa.select(AppUser.email)).scalars().all() == [f"caller-{role}@crm.test"]
        assert connection.execute(sa.select(sa.func.count()).select_from(Role)).scalar() == 4


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_only_an_administrator_sees_what_roles_grant_and_when_people_log_in(app, api, role):
    caller, admin = api(role), api("administrator")
    granted = admin.get("/api/roles?fields=name,grants").json["items"]
    one = granted[0]["id"]

    assert {found["permission"] for item in granted for found in item["grants"]} > {"*", "*.read"}
    assert caller.get("/api/roles?fields=name,grants").json["items"] == []
    assert caller.get(f"/api/roles/{one}").status_code == 404
    user = caller.get("/api/users").json["items"][0]
    whole = caller.get(f"/api/users/{user['id']}").json
    assert not {"last_login_at", "locked_until"} & {*user, *whole}
    assert "roles" not in whole
    assert caller.get("/api/users?last_login_at__isnull=true").status_code == 422
    assert caller.get("/api/users?sort=last_login_at").status_code == 422


@pytest.mark.parametrize("role", ["manager", "representative", "reader"])
def test_everybody_finds_people_by_name_to_pick_them(app, person, role, log_in):
    key = person(role, password=PASSWORD)
    client = app.test_client()
    log_in(client, f"{role}@crm.test", PASSWORD)

    found = client.get(f"/users/suggest?q={role[:4]}").json

    assert [item["title"] for item in found] == [role]
    with app.app_context(), db.engine.connect() as connection:
        assert found[0]["id"] == str(connection.execute(sa.select(AppUser.uid).where(AppUser.id == key)).scalar_one())


def test_log_ins_and_locks_stand_on_the_page_for_those_who_change_users(app, rep, person, unit, log_in):
    person("administrator", password=PASSWORD)
    with unit() as uow:
        uow.session.get(AppUser, rep.id).locked_until = uow.now.replace(year=2100)
    admin, other = app.test_client(), app.test_client()
    log_in(admin, "administrator@crm.test", PASSWORD)
    person("manager", password=PASSWORD)
    log_in(other, "manager@crm.test", PASSWORD)

    shown, hidden = (client.get(f"/users/{rep.uid}").text for client in (admin, other))

    assert "Locked until" in shown
    assert "2100" in shown
    assert "Rita Rep" in hidden
    assert "Locked until" not in hidden


def test_hashes_and_identifiers_are_in_no_answer_no_filter_and_no_document(api):
    admin = api("administrator")
    admin.post("/api/users", json={"name": "Ada", "email": "ada@crm.test"})

    listed = admin.get("/api/users").json["items"]
    one = admin.get(f"/api/users/{listed[0]['id']}").json

    assert not [name for name in HIDDEN if name in {*one, *listed[0]}]
    assert admin.get("/api/users?fields=password").status_code == 422
    assert admin.get("/api/users?password=x").status_code == 422
    assert admin.get("/api/users?sort=fs_uniquifier").status_code == 422
    assert admin.post("/api/users", json={"name": "E", "email": "e@crm.test", "session_epoch": 3}).status_code == 422


def test_the_document_of_the_api_describes_tokens_and_users(api):
    document = api("reader").get("/api/openapi.json").json

    assert {"/api/tokens", "/api/tokens/{uid}", "/api/users", "/api/users/{uid}/assign_role"} <= set(document["paths"])
    assert set(document["paths"]["/api/tokens"]) >= {"get", "post"}
    assert not [name for name in ("fs_uniquifier", "password_hash", "session_epoch") if name in str(document)]


@pytest.mark.parametrize("path", ["/users", "/teams", "/roles"])
def test_an_admin_has_pages_for_users_teams_and_roles(app, api, person, path, log_in):
    person("administrator", password=PASSWORD)
    client = app.test_client()
    log_in(client, "administrator@crm.test", PASSWORD)

    assert client.get(path).status_code == 200
    assert client.get(f"{path}/new").status_code == 200


def test_a_user_who_is_deactivated_stays_in_the_list(api):
    admin = api("administrator")
    user = admin.post("/api/users", json={"name": "Ada", "email": "ada@crm.test"})

    gone = admin.post(f"/api/users/{user.json['id']}/deactivate", json={}, etag=_etag(user))

    assert (gone.status_code, gone.json["active"]) == (200, False)
    assert admin.delete(f"/api/users/{user.json['id']}", etag=_etag(gone)).status_code == 405
    assert [found["name"] for found in admin.get("/api/users?active=false").json["items"]] == ["Ada"]


def test_an_address_without_a_page_speaks_the_language_of_whoever_is_logged_in(app, log_in, person, statements):
    person("reader", password=PASSWORD, language="fr")
    client = app.test_client()
    log_in(client, "reader@crm.test", PASSWORD)
    english = {"Accept-Language": "en"}

    with statements() as logged_in:
        mine = client.get("/nowhere", headers=english)
    with statements() as nobody:
        theirs = app.test_client().get("/nowhere", headers=english)

    assert (mine.status_code, theirs.status_code) == (404, 404)
    assert 'lang="fr"' in mine.text
    assert "Il n’y a pas de page à cette adresse" in mine.text
    assert 'lang="en"' in theirs.text
    assert "There is no page at this address" in theirs.text
    assert (len(logged_in) <= 2, nobody) == (True, [])
