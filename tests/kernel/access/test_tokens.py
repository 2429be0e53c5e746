"""API tokens: who they act for, how far, and how soon they stop."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import ANONYMOUS, Scope
from crm_kernel.access.models import ApiToken, AppUser
from crm_kernel.access.services import (
    create_token,
    deactivate_user,
    grant,
    revoke,
    revoke_token,
    role_named,
    set_password,
    unassign_role,
)
from crm_kernel.database import db, utcnow
from crm_kernel.errors import Conflict, InvalidInput, Unauthenticated

PASSWORD = "violet harbour pencil"


@pytest.fixture
def make_token(unit):
    def make(user_id, **limits):
        with unit() as uow:
            return create_token(uow, uow.session.get(AppUser, user_id), name="t", **limits).secret

    return make


def _last_used(app):
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(ApiToken.last_used_at)).scalar_one()


def test_a_token_acts_for_its_user(rep, actor_of):
    actor = actor_of(token=rep.token)

    assert (actor.kind, actor.name, actor.user_id, actor.user_uid) == ("token", "Rita Rep", rep.id, rep.uid)
    assert actor.scope_of("note.update") is Scope.OWN
    assert actor.scope_of("customer.read") is Scope.ALL


def test_only_the_hash_of_a_token_is_stored(app, rep):
    with app.app_context(), db.engine.connect() as connection:
        stored = connection.execute(sa.select(ApiToken.__table__)).one()

    assert rep.token.split("_", 2)[2] not in str(tuple(stored))
    assert len(stored.digest) == 64


def test_a_tokens_scopes_limit_what_its_user_may_do_and_never_add_to_it(rep, make_token, actor_of):
    actor = actor_of(token=make_token(rep.id, scopes=["note.*", "role.update"]))

    assert actor.scope_of("note.update") is Scope.OWN
    assert actor.scope_of("customer.read") is None
    assert actor.scope_of("role.update") is None


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "crm_abc",
        "crm_0123456789ab_" + "a" * 43,
        "crm_ü123456789ab_" + "a" * 43,
        "crm_0123456789ab_" + "a" * 5000,
    ],
)
def test_a_token_nobody_has_is_refused(rep, app, token):
    answer = app.test_client().get("/api/tokens", headers={"Authorization": f"Bearer {token}".encode()})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_with_the_right_prefix_and_a_wrong_secret_is_refused(rep, actor_of):
    with pytest.raises(Unauthenticated):
        actor_of(token=rep.token[:-1] + ("a" if rep.token[-1] != "a" else "b"))


def test_a_revoked_token_is_refused_at_once(app, rep, unit):
    client, headers = app.test_client(), {"Authorization": f"Bearer {rep.token}"}
    assert client.get("/api/notes", headers=headers).status_code == 200

    with unit() as uow:
        revoke_token(uow, uow.session.execute(sa.select(ApiToken)).scalar_one())

    assert client.get("/api/notes", headers=headers).status_code == 401


def test_an_expired_token_is_refused(rep, make_token, actor_of, unit):
    token = make_token(rep.id, expires_at=utcnow() + dt.timedelta(hours=1))
    assert actor_of(token=token).user_id == rep.id

    with unit() as uow:
        uow.session.execute(sa.update(ApiToken).values(expires_at=uow.now - dt.timedelta(seconds=1)))

    with pytest.raises(Unauthenticated):
        actor_of(token=token)


def test_the_tokens_of_a_deactivated_user_are_refused(rep, unit, actor_of):
    with unit() as uow:
        deactivate_user(uow, uow.session.get(AppUser, rep.id))

    with pytest.raises(Unauthenticated):
        actor_of(token=rep.token)


def test_a_bad_token_is_refused_even_beside_a_good_session(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, "violet harbour pencil")
    assert client.get("/profile").status_code == 200

    assert client.get("/api/tokens", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_token_wins_over_the_cookie_and_needs_no_csrf_token(app, rep, person, make_token, log_in):
    app.config["WTF_CSRF_ENABLED"] = True
    reader = make_token(person("reader"))
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = rep.identity

    by_cookie = client.post("/api/tokens", json={"name": "x"})
    by_token = client.post("/api/tokens", json={"name": "x"}, headers={"Authorization": f"Bearer {reader}"})

    assert by_cookie.status_code == 400
    assert by_token.status_code == 403  # past CSRF, and refused as the token it is
    # The cookie's representative may create notes, the token's reader may not.
    note = client.post("/api/notes", json={"text": "x"}, headers={"Authorization": f"Bearer {reader}"})
    assert note.status_code == 403


def test_a_call_without_cookie_and_token_is_told_that_it_lacks_a_token(app):
    app.config["WTF_CSRF_ENABLED"] = True

    assert app.test_client().post("/api/tokens", json={"name": "x"}).status_code == 401


def test_a_bearer_request_gets_no_cookie(app, rep):
    answer = app.test_client().get("/api/notes", headers={"Authorization": f"Bearer {rep.token}"})

    assert "Set-Cookie" not in answer.headers


def test_authentication_costs_two_statements_the_first_time_and_one_after(app, rep, actor_of, statements):
    with statements() as first:
        actor_of(token=rep.token)
    with statements() as second:
        actor_of(token=rep.token)

    assert len(first) == 2, first
    assert len(second) == 1, second


def test_a_change_of_roles_holds_from_the_next_request_on(rep, unit, actor_of):
    assert actor_of(token=rep.token).may("note.create")

    with unit() as uow:
        revoke(uow, role_named(uow, "representative"), "*")
    assert not actor_of(token=rep.token).may("note.create")
    with unit() as uow:
        grant(uow, role_named(uow, "representative"), "note.create", Scope.TEAM)
    assert actor_of(token=rep.token).scope_of("note.create") is Scope.TEAM
    with unit() as uow:
        unassign_role(uow, uow.session.get(AppUser, rep.id), role_named(uow, "representative"))
    assert dict(actor_of(token=rep.token).grants) == {}


def test_a_change_that_is_rolled_back_changes_nobodys_access(app, rep, unit, actor_of):
    with pytest.raises(RuntimeError), unit() as uow:  # noqa: PT012 - the failing edge
        revoke(uow, role_named(uow, "representative"), "*")
        raise RuntimeError("the edge fails")

    assert actor_of(token=rep.token).may("note.create")


def test_the_last_use_is_noted_once_a_minute_and_never_by_the_request_itself(app, rep, statements):
    client, headers = app.test_client(), {"Authorization": f"Bearer {rep.token}"}

    client.get("/api/notes", headers=headers)
    first = _last_used(app)
    with statements() as second:
        client.get("/api/notes", headers=headers)

    assert utcnow() - first < dt.timedelta(minutes=1)
    assert _last_used(app) == first
    assert not [statement for statement in second if statement.startswith("UPDATE")]


def test_a_request_succeeds_when_its_last_use_cannot_be_noted(app, rep, monkeypatch, caplog):
    def busy(*_arguments, **_options):
        raise sa.exc.OperationalError("UPDATE", {}, Exception("database is locked"))

    monkeypatch.setattr("crm_kernel.access.marks.writing", busy)

    answer = app.test_client().get("/api/notes", headers={"Authorization": f"Bearer {rep.token}"})

    assert answer.status_code == 200
    assert "was not stored" in caplog.text


def test_nobody_is_anonymous(actor_of):
    assert actor_of() is ANONYMOUS


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "t", "scopes": []}, "scopes"),
        ({"name": "t", "scopes": ["Note read"]}, "scopes"),
        ({"name": "t", "expires_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "expires_at"),
    ],
)
def test_a_wrong_token_is_not_made(uow, person, details, field):
    user = AppUser(email="a@crm.test", name="A", fs_uniquifier="a", active=True)
    uow.session.add(user)
    uow.session.flush()

    with pytest.raises(InvalidInput) as refused:
        create_token(uow, user, **details)

    assert list(refused.value.errors) == [field]


def test_an_inactive_user_gets_no_token_and_a_revoked_one_is_not_revoked_twice(uow):
    user = AppUser(email="a@crm.test", name="A", fs_uniquifier="a", active=True)
    uow.session.add(user)
    uow.session.flush()
    made = create_token(uow, user, name="t")
    revoke_token(uow, made.token)

    with pytest.raises(Conflict):
        revoke_token(uow, made.token)
    deactivate_user(uow, user)
    with pytest.raises(Conflict):
        create_token(uow, user, name="t")


def test_the_secret_does_not_show_when_a_new_token_is_printed(uow):
    user = AppUser(email="a@crm.test", name="A", fs_uniquifier="a", active=True)
    uow.session.add(user)
    uow.session.flush()

    made = create_token(uow, user, name="t")

    assert made.secret not in repr(made)


def test_one_makes_reads_and_revokes_ones_own_tokens_by_api(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, "violet harbour pencil")

    made = client.post("/api/tokens", json={"name": "export", "scopes": ["note.read"]})
    assert made.status_code == 201
    assert made.headers["Location"].endswith(made.json["id"])
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    assert app.test_client().get("/api/notes", headers=bearer).status_code == 200
    read = client.get(f"/api/tokens/{made.json['id']}").json
    assert (read["name"], read["scopes"], "token" in read) == ("export", ["note.read"], False)
    assert client.delete(f"/api/tokens/{made.json['id']}").status_code == 204

    assert [token["name"] for token in client.get("/api/tokens").json["items"]] == ["export", "script"]
    assert client.get(f"/api/tokens/{made.json['id']}").json["revoked_at"] is not None
    assert client.post("/api/tokens", json={"nam": "x"}).json["errors"].keys() == {"name", "nam"}


def _bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def test_a_token_is_created_only_by_whom_has_proved_lately_who_he_is(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    with client.session_transaction() as session:
        session["fs_paa"] -= 601

    by_api = client.post("/api/tokens", json={"name": "mine"})
    by_page = client.post("/profile/tokens", data={"token_name": "mine"})

    assert (by_api.status_code, by_page.status_code) == (403, 302)
    assert "/auth/verify" in by_api.json["detail"]
    assert by_page.location.startswith("/auth/verify?next=/profile")
    assert [token["name"] for token in client.get("/api/tokens").json["items"]] == ["script"]
    client.post("/auth/verify", data={"password": PASSWORD})
    assert client.post("/api/tokens", json={"name": "mine"}).status_code == 201


def test_the_audit_log_says_who_made_and_revoked_which_token(app, rep, log_in, audit):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)

    made = client.post("/api/tokens", json={"name": "till", "scopes": ["note.read"]}).json
    client.delete(f"/api/tokens/{made['id']}")

    found = [row for row in audit("api_token") if str(row.record_uid) == made["id"]]
    assert [(row.action, row.actor) for row in found] == [("created", "Rita Rep"), ("revoked", "Rita Rep")]
    facts = {
        "user": str(rep.uid),
        "name": "till",
        "prefix": made["prefix"],
        "scopes": ["note.read"],
        "expires_at": None,
    }
    assert [row.after for row in found] == [facts, facts]
    assert made["token"] not in str(audit())


def test_a_password_set_by_an_administrator_revokes_the_tokens(app, rep, unit, audit):
    with unit() as uow:
        set_password(uow, uow.session.get(AppUser, rep.id), "quiet orange lantern")

    assert app.test_client().get("/api/notes", headers=_bearer(rep.token)).status_code == 401
    assert [row.action for row in audit("api_token")] == ["created", "revoked"]


@pytest.mark.parametrize(("ticked", "status"), [(["", "1"], 401), ([""], 200), ([], 200)])
def test_who_changes_his_own_password_chooses_what_happens_to_his_tokens(app, rep, log_in, ticked, status):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    new = {"new_password": "quiet orange lantern", "new_password_confirm": "quiet orange lantern"}

    page = client.get("/auth/change").text
    client.post("/auth/change", data={"password": PASSWORD, **new, "revoke_tokens": ticked})

    assert re.search(r'<input type="checkbox"[^>]*name="revoke_tokens"[^>]* checked', page)
    assert app.test_client().get("/api/notes", headers=_bearer(rep.token)).status_code == status


def test_nobody_reads_or_revokes_somebody_elses_token(app, rep, person):
    client = app.test_client()
    other = person("administrator")
    with app.app_context(), db.engine.connect() as connection:
        row = connection.execute(
            sa.select(AppUser.fs_uniquifier, AppUser.session_epoch).where(AppUser.id == other)
        ).one()
    with client.session_transaction() as session:
        session["_user_id"] = f"{row[0]}.{row[1]}"

    assert client.get("/api/tokens").json["items"] == []
    assert client.get(f"/api/tokens/{rep.token_uid}").status_code == 404
    assert client.delete(f"/api/tokens/{rep.token_uid}").status_code == 404
    assert client.post(f"/profile/tokens/{rep.token_uid}/revoke").status_code == 404
