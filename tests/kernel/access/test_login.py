"""Log-in, log-out, passwords and sessions through the pages."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import urljoin, urlsplit

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser
from crm_kernel.access.services import assign_role, deactivate_user, role_named, set_password
from crm_kernel.database import db, utcnow

PASSWORD = "violet harbour pencil"
WRONG = "violet harbour penzil"


def _row(app, user_id):
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(AppUser.__table__).where(AppUser.id == user_id)).one()


def _message(page):
    return re.search(r"<strong>(.+?)</strong>", page)[1]


def test_a_user_logs_in_whatever_the_case_of_his_address_and_sees_his_profile(app, rep, log_in):
    client = app.test_client()

    answer = log_in(client, "REP@crm.Test", PASSWORD)

    assert (answer.status_code, answer.location) == (302, "/")
    page = client.get("/profile")
    assert page.status_code == 200
    assert "Rita Rep" in page.text
    assert "representative" in page.text


def test_a_good_log_in_is_noted_and_forgets_failed_ones(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, WRONG)
    assert _row(app, rep.id).failed_logins == 1

    log_in(client, rep.email, PASSWORD)

    row = _row(app, rep.id)
    assert row.failed_logins == 0
    assert utcnow() - row.last_login_at < dt.timedelta(minutes=1)


def test_a_wrong_password_an_unknown_and_an_inactive_user_get_the_same_answer(app, rep, unit, person, log_in):
    client = app.test_client()
    person("reader", email="gone@crm.test", password=PASSWORD)
    with unit() as uow:
        deactivate_user(
            uow, uow.session.execute(sa.select(AppUser).where(AppUser.email == "gone@crm.test")).scalar_one()
        )

    answers = [
        log_in(client, rep.email, WRONG),
        log_in(client, "nobody@crm.test", PASSWORD),
        log_in(client, "gone@crm.test", PASSWORD),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({_message(answer.text) for answer in answers}) == 1
    assert client.get("/profile").status_code == 302


def test_the_sixth_wrong_try_in_a_minute_is_refused(app, rep, log_in):
    client = app.test_client()

    codes = [log_in(client, rep.email, WRONG).status_code for _ in range(5)]
    sixth = log_in(client, rep.email, PASSWORD)

    assert codes == [200] * 5
    assert sixth.status_code == 429
    assert int(sixth.headers["Retry-After"]) <= 60
    assert log_in(client, "other@crm.test", PASSWORD).status_code == 200


def test_good_log_ins_are_not_limited(app, rep, log_in):
    codes = [log_in(app.test_client(), rep.email, PASSWORD).status_code for _ in range(7)]

    assert codes == [302] * 7


def test_the_tenth_wrong_password_locks_the_account_even_for_the_right_one(app, rep, log_in, caplog):
    client = app.test_client()
    for _ in range(10):
        for limiter in app.extensions["limiter"]:
            limiter.reset()
        log_in(client, rep.email, WRONG)

    for limiter in app.extensions["limiter"]:
        limiter.reset()
    answer = log_in(client, rep.email, PASSWORD)

    assert answer.status_code == 200
    assert _row(app, rep.id).locked_until > utcnow() + dt.timedelta(minutes=14)


def test_a_lock_ends_by_itself(app, rep, unit, log_in):
    with unit() as uow:
        uow.session.execute(sa.update(AppUser).values(locked_until=uow.now - dt.timedelta(seconds=1)))

    assert log_in(app.test_client(), rep.email, PASSWORD).status_code == 302


def test_without_its_csrf_token_a_log_in_is_refused(app, rep, log_in, csrf_of):
    app.config["WTF_CSRF_ENABLED"] = True
    client = app.test_client()
    token = csrf_of(client.get("/auth/login").text)

    assert log_in(client, rep.email, PASSWORD).status_code == 400
    assert log_in(client, rep.email, PASSWORD, csrf_token=token).status_code == 302


def test_the_csrf_token_of_before_the_log_in_is_not_that_of_after(app, rep, log_in, csrf_of):
    app.config["WTF_CSRF_ENABLED"] = True
    client = app.test_client()
    log_in(client, rep.email, PASSWORD, csrf_token=csrf_of(client.get("/auth/login").text))

    with client.session_transaction() as session:
        assert "csrf_token" not in session


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(app, rep, log_in):
    answer = log_in(app.test_client(), rep.email, PASSWORD)

    cookie = next(header for header in answer.headers.getlist("Set-Cookie") if header.startswith("crm_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "target",
    ["https://evil.test/", "//evil.test", "/\\evil.test", "///evil.test", "https:evil.test", "\thttps://evil.test"],
)
def test_a_log_in_never_leads_to_another_site(app, rep, log_in, target):
    client = app.test_client()

    answer = client.post(f"/auth/login?next={target}", data={"email": rep.email, "password": PASSWORD, "next": target})

    location = urljoin("http://localhost/auth/login", answer.location or "")
    assert urlsplit(location).netloc == "localhost"
    assert "\\" not in location


def test_a_log_in_leads_to_the_page_that_was_asked_for(app, rep):
    client = app.test_client()
    sent_away = client.get("/profile")
    assert sent_away.status_code == 302

    answer = client.post(
        sent_away.location,
        data={"email": rep.email, "password": PASSWORD, "next": re.search("next=(.+)", sent_away.location)[1]},
    )

    assert answer.location.replace("%2F", "/").endswith("/profile")


def test_a_log_out_needs_a_post_and_ends_the_session(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)

    assert client.get("/auth/logout").status_code == 405
    assert client.get("/profile").status_code == 200
    assert client.post("/auth/logout").status_code == 302
    assert client.get("/profile").status_code == 302


def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(app, rep, log_in):
    here, there = app.test_client(), app.test_client()
    log_in(here, rep.email, PASSWORD)
    log_in(there, rep.email, PASSWORD)

    new = {"new_password": "quiet orange lantern", "new_password_confirm": "quiet orange lantern"}
    assert here.get("/auth/change").status_code == 200
    answer = here.post("/auth/change", data={"password": PASSWORD, **new})

    assert answer.status_code == 302
    assert here.get("/profile").status_code == 200
    assert there.get("/profile").status_code == 302
    assert log_in(app.test_client(), rep.email, "quiet orange lantern").status_code == 302


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("short", "at least 12 characters"),
        ("rep@crm.test", "must not be the e-mail"),
        ("password123456", "attackers try"),
    ],
)
def test_a_weak_new_password_is_refused_with_the_reason(app, rep, log_in, new, reason):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    before = _row(app, rep.id).password_hash

    answer = client.post("/auth/change", data={"password": PASSWORD, "new_password": new, "new_password_confirm": new})

    assert reason in answer.text
    assert _row(app, rep.id).password_hash == before


@pytest.mark.parametrize("change", ["password", "role", "inactive"])
def test_an_admin_ends_a_session_at_once(app, rep, unit, log_in, change):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    assert client.get("/profile").status_code == 200

    with unit() as uow:
        user = uow.session.get(AppUser, rep.id)
        if change == "password":
            set_password(uow, user, "quiet orange lantern")
        elif change == "role":
            assign_role(uow, user, role_named(uow, "reader"))
        else:
            deactivate_user(uow, user)

    assert client.get("/profile").status_code == 302


def test_a_get_of_the_log_in_page_runs_no_statement_and_one_by_a_session_one_or_two(app, rep, log_in, statements):
    client = app.test_client()
    with statements() as anonymous:
        client.get("/auth/login")
    log_in(client, rep.email, PASSWORD)
    client.get("/auth/login")

    with statements() as known:
        client.get("/api/tokens")

    assert anonymous == []
    assert len(known) == 2, known  # who asks, and the tokens


def test_the_pages_speak_the_browsers_language_without_losing_a_value(app, rep, log_in):
    client = app.test_client()

    page = client.post("/auth/login", data={"email": rep.email, "password": WRONG}, headers={"Accept-Language": "fr"})

    assert page.status_code == 200
    assert 'value="rep@crm.test"' in page.text
    assert WRONG not in page.text


def test_a_password_is_checked_and_hashed_with_no_transaction_open(app, rep, log_in, monkeypatch):
    from flask import g

    from crm_kernel.access.signin import change

    client, seen = app.test_client(), []
    log_in(client, rep.email, PASSWORD)

    def watched(real):
        def run(*arguments):
            seen.append("crm_uow" in g)
            return real(*arguments)

        return run

    monkeypatch.setattr(change, "fits", watched(change.fits))
    monkeypatch.setattr(change, "hash_password", watched(change.hash_password))
    new = {"new_password": "quiet orange lantern", "new_password_confirm": "quiet orange lantern"}

    assert client.post("/auth/change", data={"password": PASSWORD, **new}).status_code == 302
    assert seen == [False, False]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "That did not fit"),
        ({"new_password_confirm": "another"}, "not the same"),
        ({"new_password": PASSWORD, "new_password_confirm": PASSWORD}, "This is the password you have"),
    ],
)
def test_a_change_of_password_says_what_is_wrong_and_changes_nothing(app, rep, log_in, fields, words):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    before = _row(app, rep.id).password_hash
    new = {"new_password": "quiet orange lantern", "new_password_confirm": "quiet orange lantern"}

    answer = client.post("/auth/change", data={"password": PASSWORD, **new, **fields})

    assert words in answer.text
    assert _row(app, rep.id).password_hash == before


def test_wrong_current_passwords_are_counted_with_those_of_the_log_in(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)

    client.post("/auth/change", data={"password": "wrong", "new_password": "x", "new_password_confirm": "x"})

    assert _row(app, rep.id).failed_logins == 1


def test_a_password_that_was_changed_meanwhile_is_not_overwritten(app, rep, unit, log_in, monkeypatch):
    from crm_kernel.access.signin import change

    client, real = app.test_client(), change.hash_password
    log_in(client, rep.email, PASSWORD)

    def meanwhile(text):
        with unit() as uow:
            uow.session.get(AppUser, rep.id).password = "another"
        return real(text)

    monkeypatch.setattr(change, "hash_password", meanwhile)
    new = {"new_password": "quiet orange lantern", "new_password_confirm": "quiet orange lantern"}

    assert client.post("/auth/change", data={"password": PASSWORD, **new}).status_code == 409
    assert _row(app, rep.id).password_hash == "another"
