"""Connecting providers: by page, API and command; the secret is sealed, and who may say who becomes what."""

from __future__ import annotations

import html
import json
import shlex

import pytest
import sqlalchemy as sa

from crm_kernel.access.oidc.models import IdentityProvider
from crm_kernel.access.oidc.providers import client_of, provider_named
from crm_kernel.database import db

SECRET = "provider-canary-77ab"
GOOD = {"name": "Staff", "issuer": "https://login.example.com", "client_id": "crm"}


def stored(app):
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(IdentityProvider.__table__)).one()


def test_the_secret_is_sealed_and_in_no_answer(api, crm_app, unit, login):
    admin = api("administrator")
    made = admin.post("/api/identity-providers", GOOD)
    uid = made.json["id"]
    path = f"/api/identity-providers/{uid}"
    answer = admin.post(f"{path}/set_secret", {"client_secret": SECRET}, If_Match=admin.etag(path))

    assert (made.status_code, answer.status_code) == (201, 200)
    assert SECRET not in answer.text + admin.get(f"/api/identity-providers/{uid}").text + str(stored(crm_app))
    assert SECRET not in login("administrator").get(f"/identity-providers/{uid}").text
    assert SECRET not in login("administrator").get("/audit").text
    with unit() as uow:
        assert client_of(provider_named(uow, "Staff")).client_secret == SECRET


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"issuer": "login.example.com"}, "issuer"), ({"issuer": "https://a.test/?x=1"}, "issuer"),
        ({"issuer": "https://u:p@a.test"}, "issuer"), ({"scopes": "email"}, "scopes"),
        ({"default_role": "nothing"}, "default_role"), ({"role_map": "a = nothing"}, "role_map"),
        ({"role_map": "reader"}, "role_map"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(api, wrong, field):
    answer = api("administrator").post("/api/identity-providers", {**GOOD, **wrong})

    assert answer.status_code == 422
    assert field in answer.json["errors"]


def test_only_who_gives_roles_says_who_becomes_what(api):
    narrow = api(grants={"identity_provider.*": "all"})
    made = narrow.post("/api/identity-providers", GOOD)
    path = f"/api/identity-providers/{made.json['id']}"

    assert made.status_code == 201
    assert narrow.post("/api/identity-providers", {**GOOD, "name": "B", "create_users": True}).status_code == 403
    assert narrow.patch(path, {"link_by_email": True}).status_code == 403
    assert narrow.patch(path, {"issuer": "https://evil.test"}).status_code == 403
    assert narrow.patch(path, {"scopes": "openid"}).status_code == 200


def test_providers_are_for_administrators(api, login):
    api("administrator").post("/api/identity-providers", GOOD)

    assert api("reader").get("/api/identity-providers").json["items"] == []
    assert "login.example.com" not in login("representative").get("/identity-providers").text
    assert login("representative").post("/identity-providers/new", data=GOOD).status_code == 403


def test_the_page_says_what_the_provider_must_be_told(login, api):
    uid = api("administrator").post("/api/identity-providers", GOOD).json["id"]

    page = login("administrator").get(f"/identity-providers/{uid}").text

    assert f"/auth/oidc/{uid}/callback" in page
    assert "crm identity-providers secret" in page


def test_the_command_line_connects_one(cli, crm_app, unit):
    added = cli("identity-providers", "add", "Staff", GOOD["issuer"], "crm")
    secret = cli("identity-providers", "secret", "Staff", input=f"{SECRET}\n")
    changed = cli(
        "identity-providers",
        "change",
        "Staff",
        "--create-users",
        "--role-claim",
        "groups",
        "--role",
        "a=reader",
        "--json",
    )
    listed = cli("identity-providers", "list", "--json")

    assert "/callback" in added.stdout
    assert (secret.exit_code, changed.json()["create_users"]) == (0, True)
    assert [row["secret"] for row in listed.json()] == ["set"]
    assert SECRET not in listed.stdout
    assert stored(crm_app).role_map == "a=reader"


def test_the_command_line_asks_a_provider(cli, elsewhere, connect, monkeypatch):
    monkeypatch.setenv("CRM_OUTBOUND_TRUSTED_NETWORKS", "127.0.0.0/8")
    connect(elsewhere)

    found = {
        row["field"]: row["value"] for row in json.loads(cli("identity-providers", "check", "Staff", "--json").stdout)
    }

    assert (found["issuer"], found["keys"]) == (elsewhere.issuer, 1)


def test_a_provider_that_does_not_answer_is_said(cli, unit, crm_app):
    assert cli("identity-providers", "add", "Far", "https://127.0.0.1:1", "crm").exit_code == 0

    found = cli("identity-providers", "check", "Far")

    assert found.exit_code == 4
    assert "cannot be reached" in found.stderr


def test_nobody_hands_on_by_a_provider_a_role_that_is_more_than_he_has(api):
    narrow = api(grants={"identity_provider.*": "all", "user.assign_role": "all", "*.read": "all"})
    path = f"/api/identity-providers/{narrow.post('/api/identity-providers', GOOD).json['id']}"

    assert narrow.patch(path, {"default_role": "administrator"}).status_code == 403
    assert narrow.patch(path, {"role_map": "staff = reader\nboss = administrator"}).status_code == 403
    assert narrow.post("/api/identity-providers", {**GOOD, "name": "B", "default_role": "manager"}).status_code == 403
    assert narrow.patch(path, {"default_role": "reader", "create_users": True}).status_code == 200


def test_a_switch_alone_hands_on_no_role_either(api):
    made = api("administrator").post("/api/identity-providers", {**GOOD, "default_role": "administrator"})
    narrow = api(grants={"identity_provider.*": "all", "user.assign_role": "all"})
    path = f"/api/identity-providers/{made.json['id']}"

    assert narrow.patch(path, {"create_users": True}).status_code == 403
    assert narrow.patch(path, {"scopes": "openid"}).status_code == 200


def test_only_who_may_do_everything_says_whom_a_provider_means(api):
    narrow = api(grants={"identity_provider.*": "all", "user.assign_role": "all"})
    path = f"/api/identity-providers/{narrow.post('/api/identity-providers', GOOD).json['id']}"

    assert narrow.patch(path, {"link_by_email": True}).status_code == 403
    assert narrow.patch(path, {"issuer": "https://evil.test"}).status_code == 403
    assert narrow.post("/api/identity-providers", {**GOOD, "name": "B", "link_by_email": True}).status_code == 403
    assert api("administrator").patch(path, {"link_by_email": True}).status_code == 200


def test_only_who_gives_roles_says_what_counts_as_a_second_factor(api):
    narrow = api(grants={"identity_provider.*": "all"})
    path = f"/api/identity-providers/{narrow.post('/api/identity-providers', GOOD).json['id']}"

    assert narrow.patch(path, {"factor_values": "pwd"}).status_code == 403
    assert narrow.post("/api/identity-providers", {**GOOD, "name": "B", "factor_values": "pwd"}).status_code == 403
    assert api("administrator").patch(path, {"factor_values": "mfa"}).status_code == 200


def test_a_name_with_an_apostrophe_stays_one_word_of_the_command(login, api):
    name = "Staff'; reboot #"
    uid = api("administrator").post("/api/identity-providers", {**GOOD, "name": name}).json["id"]

    page = html.unescape(login("administrator").get(f"/identity-providers/{uid}").text)

    assert f"crm identity-providers secret {shlex.quote(name)}" in page
    assert f"crm identity-providers check {shlex.quote(name)}" in page


def test_a_secret_that_could_not_be_opened_again_is_refused_by_its_field(api):
    administrator = api("administrator")
    path = f"/api/identity-providers/{administrator.post('/api/identity-providers', GOOD).json['id']}"

    secret = {"client_secret": "é" * 1_900}
    answer = administrator.post(f"{path}/set_secret", secret, If_Match=administrator.etag(path))

    assert (answer.status_code, list(answer.json["errors"])) == (422, ["client_secret"])


@pytest.mark.parametrize("named", [{"role_map": "sales = Sellers"}, {"default_role": "Sellers"}])
def test_a_role_that_a_provider_names_keeps_its_name(api, named):
    administrator = api("administrator")
    role = f"/api/roles/{administrator.post('/api/roles', {'name': 'Sellers'}).json['id']}"
    provider = f"/api/identity-providers/{administrator.post('/api/identity-providers', {**GOOD, **named}).json['id']}"

    refused = [administrator.patch(role, {"name": "Vendors"}), administrator.delete(role)]
    described = administrator.patch(role, {"name": "Sellers", "description": "They sell."})

    assert [answer.status_code for answer in refused] == [409, 409]
    assert all("the role Sellers to new users: Staff" in answer.text for answer in refused)
    assert described.status_code == 200
    administrator.patch(provider, dict.fromkeys(named, ""))
    assert administrator.patch(role, {"name": "Vendors"}).status_code == 200
