"""Forgotten passwords, the profile page, and what the walls against guessing do under parallel tries."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import ApiToken, AppUser
from crm_kernel.access.reset import reset_link
from crm_kernel.access.services import set_password
from crm_kernel.access.setup import FOREIGN_PERMISSIONS
from crm_kernel.access.signin import password
from crm_kernel.database import db

PASSWORD = "violet harbour pencil"
NEW = "quiet orange lantern"


@pytest.fixture
def link(unit, rep):
    """Give the path of a reset link of the representative."""
    with unit() as uow:
        found = reset_link(uow.session.get(AppUser, rep.id))
    assert found.startswith("https://crm.test/auth/reset/")
    return found.removeprefix("https://crm.test")


@pytest.fixture
def signed_in(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    return client


def test_a_reset_link_sets_a_password_once(app, rep, link, log_in):
    client = app.test_client()
    assert "Set a new password" in client.get(link).text

    answer = client.post(link, data={"password": NEW, "password_confirm": NEW})

    assert (answer.status_code, answer.location) == (302, "/auth/login")
    assert log_in(app.test_client(), rep.email, NEW).status_code == 302
    again = client.post(link, data={"password": PASSWORD, "password_confirm": PASSWORD})
    assert again.location.endswith("/auth/reset")
    assert log_in(app.test_client(), rep.email, PASSWORD).status_code == 200


def test_a_reset_ends_sessions_and_lifts_a_lock(app, rep, link, signed_in, unit, log_in):
    with unit() as uow:
        uow.session.execute(sa.update(AppUser).values(locked_until=sa.literal(uow.now.replace(year=2100))))

    app.test_client().post(link, data={"password": NEW, "password_confirm": NEW})

    assert signed_in.get("/profile").status_code == 302
    assert log_in(app.test_client(), rep.email, NEW).status_code == 302


def test_a_reset_revokes_the_api_tokens(app, rep, link, audit):
    assert app.test_client().post(link, data={"password": NEW, "password_confirm": NEW}).status_code == 302

    bearer = {"Authorization": f"Bearer {rep.token}"}
    assert app.test_client().get("/api/notes", headers=bearer).status_code == 401
    assert [row.action for row in audit("api_token")] == ["created", "revoked"]


def test_a_reset_link_dies_with_the_password_it_was_made_for(app, rep, link, unit):
    with unit() as uow:
        set_password(uow, uow.session.get(AppUser, rep.id), NEW)

    assert app.test_client().get(link).status_code == 302


def test_a_reset_refuses_a_weak_password(app, link):
    answer = app.test_client().post(link, data={"password": "rep@crm.test", "password_confirm": "rep@crm.test"})

    assert "must not be the e-mail" in answer.text


def test_a_forged_reset_link_leads_nowhere(app, link):
    forged = link[:-3] + ("abc" if not link.endswith("abc") else "xyz")

    assert app.test_client().get(forged).location.endswith("/auth/reset")


def test_without_mail_the_page_says_who_can_help(app):
    page = app.test_client().get("/auth/reset").text

    assert "crm users reset-link" in page
    assert 'name="email"' not in page


def test_a_profile_saves_what_is_right_and_shows_what_is_wrong(app, rep, signed_in):
    wrong = signed_in.post("/profile", data={"name": " ", "language": "fr", "timezone": "Mars/Olympus"})
    assert wrong.status_code == 422
    assert "Mars/Olympus" in wrong.text
    assert "A name is needed" in wrong.text

    right = signed_in.post("/profile", data={"name": "Rita R", "language": "fr", "timezone": "Europe/Paris"})

    assert right.status_code == 302
    with app.app_context(), db.engine.connect() as connection:
        row = connection.execute(sa.select(AppUser.name, AppUser.language, AppUser.timezone)).one()
    assert tuple(row) == ("Rita R", "fr", "Europe/Paris")


def test_a_profile_saved_over_somebody_elses_change_is_refused(signed_in):
    stale = {"name": "Rita R", "language": "en", "timezone": "UTC", "version": "0"}

    assert signed_in.post("/profile", data=stale).status_code == 412


def test_the_profile_page_makes_a_token_shows_it_once_and_revokes_it(app, rep, signed_in):
    made = signed_in.post(
        "/profile/tokens", data={"token_name": "till", "scopes": "note.read, note.create", "expires_on": "2099-01-31"}
    )
    secret = re.search(r">(crm_\w{12}_[^<…]{43})<", made.text)[1]
    assert made.headers["Cache-Control"] == "no-store"
    assert app.test_client().get("/api/notes", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    page = signed_in.get("/profile").text
    assert secret not in page
    assert "note.read, note.create" in page

    with app.app_context(), db.engine.connect() as connection:
        uid = connection.execute(sa.select(ApiToken.uid).where(ApiToken.name == "till")).scalar_one()
    assert signed_in.post(f"/profile/tokens/{uid}/revoke").status_code == 302

    assert app.test_client().get("/api/notes", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert "Revoked" in signed_in.get("/profile").text
    assert signed_in.post(f"/profile/tokens/{uid}/revoke").status_code == 409


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"token_name": ""}, "A name is needed"),
        ({"token_name": "t", "scopes": "Nonsense!"}, "expected a permission"),
        ({"token_name": "t", "expires_on": "tomorrow"}, "expected a date"),
        ({"token_name": "t", "expires_on": "2020-01-01"}, "expected a time to come"),
        ({"token_name": "t", "expires_on": "9999-12-31"}, "expected 1000 to 3000"),
    ],
)
def test_a_wrong_token_is_explained_on_the_page(app, rep, signed_in, details, said):
    answer = signed_in.post("/profile/tokens", data=details)

    assert answer.status_code == 422
    assert said in answer.text


def test_a_token_makes_no_other_token(app, rep):
    headers = {"Authorization": f"Bearer {rep.token}"}
    client = app.test_client()

    assert client.post("/api/tokens", json={"name": "wider"}, headers=headers).status_code == 403
    assert client.post("/profile/tokens", data={"token_name": "wider"}, headers=headers).status_code == 403
    assert client.delete(f"/api/tokens/{rep.token_uid}", headers=headers).status_code == 403


def test_a_token_neither_sees_nor_changes_the_profile_and_lists_no_tokens(app, rep, unit):
    headers = {"Authorization": f"Bearer {rep.token}"}
    client = app.test_client()
    data = {"name": "Mallory", "language": "en", "timezone": "UTC"}

    assert client.post("/profile", data=data, headers=headers).status_code == 403
    assert client.get("/profile", headers=headers).status_code == 403
    assert client.get("/api/tokens", headers=headers).status_code == 403
    assert client.get(f"/api/tokens/{rep.token_uid}", headers=headers).status_code == 403
    with unit() as uow:
        assert uow.session.get(AppUser, rep.id).name == "Rita Rep"


def test_a_token_changes_no_password(app, rep):
    headers = {"Authorization": f"Bearer {rep.token}"}
    data = {"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW}

    answer = app.test_client().post("/auth/change", data=data, headers=headers)

    assert answer.status_code == 302
    assert "/auth/login" in answer.location


def test_parallel_guesses_are_counted_exactly(app, rep, log_in, monkeypatch):
    checked = []
    fits = password.fits
    monkeypatch.setattr(
        password, "fits", lambda found, text: (found.password_hash and checked.append(1)) or fits(found, text)
    )
    for limiter in app.extensions["limiter"]:
        monkeypatch.setattr(limiter, "enabled", False)

    with ThreadPoolExecutor(12) as pool:
        codes = list(
            pool.map(lambda _: log_in(app.test_client(), rep.email, "wrong guess number").status_code, range(30))
        )

    assert codes == [200] * 30
    assert len(checked) == 10
    assert log_in(app.test_client(), rep.email, PASSWORD).status_code == 200


@pytest.mark.crm_databases("sqlite")
def test_every_view_of_flask_security_has_a_permission_and_no_other_is_listed(app):
    found = {endpoint for endpoint in app.view_functions if endpoint.startswith("security.")}

    # Four views stand under the library's names and are our own, with their permission on them.
    ours = {"security.login", "security.verify", "security.change_password", "security.forgot_password"}
    assert found - ours == set(FOREIGN_PERMISSIONS)
    assert all(hasattr(app.view_functions[name].__wrapped__, "crm_permission") for name in ours)


@pytest.mark.crm_databases("sqlite")
def test_cookies_are_sent_over_https_only_unless_the_configuration_says_otherwise(app):
    from crm_kernel.access.setup import configure

    assert app.config["SESSION_COOKIE_SECURE"] is False
    runtime = app.extensions["crm"]
    kept, before = runtime.config, dict(app.config)
    runtime.config = kept.replace(secure_cookies=True)
    configure(app)
    secure = app.config["SESSION_COOKIE_SECURE"], app.config["REMEMBER_COOKIE_SECURE"]
    runtime.config = kept
    app.config.update(before)

    assert secure == (True, True)
