"""Second factors: set up after a fresh proof, asked for at log-in, each code good once, lost ones replaced."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access.factors import services, totp
from crm_kernel.access.login import MAX_FAILED_LOGINS
from crm_kernel.access.models import AppUser, AuditLog, Role, UserSession
from crm_kernel.access.services import set_password
from crm_kernel.access.user_sessions import expire_sessions
from crm_kernel.database import db, utcnow

PASSWORD = "violet harbour pencil"


@pytest.fixture
def secret(unit, rep):
    """A secret that Rita's app shares with us, and her recovery codes."""
    made = totp.new_secret()
    with unit() as uow:
        user = uow.session.get(AppUser, rep.id)
        codes = services.enable_totp(uow, user, made, totp.code_at(made, utcnow() - dt.timedelta(seconds=30)))
    return made, codes


@pytest.fixture
def rita(app, rep, log_in):
    """Rita's browser, logged in by password."""
    client = app.test_client()
    assert log_in(client, rep.email, PASSWORD).status_code == 302
    return client


def _row(app, user_id):
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(AppUser.__table__).where(AppUser.id == user_id)).one()


def _letters(page):
    return re.search(r"<code>([A-Z2-7 ]{20,})</code>", page)[1]


def _decoded(letters):
    import base64

    return base64.b32decode(letters.replace(" ", ""))


def test_the_log_in_asks_for_a_code_and_opens_nothing_before(app, rep, secret, log_in):
    client = app.test_client()

    first = log_in(client, rep.email, PASSWORD)
    before = client.get("/profile")
    second = client.post("/auth/second-factor", data={"code": totp.code_at(secret[0], utcnow())})

    assert first.location == "/auth/second-factor"
    assert before.status_code == 302
    assert second.location == "/"
    assert client.get("/profile").status_code == 200


def test_a_code_is_good_once(app, rep, secret, log_in):
    code = totp.code_at(secret[0], utcnow())
    answers = []
    for _number in range(2):
        client = app.test_client()
        log_in(client, rep.email, PASSWORD)
        answers.append(client.post("/auth/second-factor", data={"code": code}).status_code)

    assert answers == [302, 200]


@pytest.mark.parametrize("code", ["", "123", "abcdef", "0000000000000", "٣٤٥٦٧٨", "a" * 5000])
def test_a_wrong_code_is_refused_and_counted(app, rep, secret, log_in, code):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    before = _row(app, rep.id).failed_logins

    answer = client.post("/auth/second-factor", data={"code": code})

    assert answer.status_code == 200
    assert "does not fit" in answer.text
    assert _row(app, rep.id).failed_logins == before + 1
    assert client.get("/profile").status_code == 302


def test_an_account_locks_after_too_many_codes_and_then_takes_no_right_one(app, rep, secret, log_in, unit):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    with unit() as uow:
        values = {"failed_logins": MAX_FAILED_LOGINS - 1}
        uow.session.execute(sa.update(AppUser).where(AppUser.id == rep.id).values(values))

    client.post("/auth/second-factor", data={"code": "000000"})
    answer = client.post("/auth/second-factor", data={"code": totp.code_at(secret[0], utcnow())})

    assert _row(app, rep.id).locked_until is not None
    assert answer.status_code == 200


def test_a_recovery_code_logs_in_once(app, rep, secret, log_in):
    _secret, codes = secret
    answers = []
    for _number in range(2):
        client = app.test_client()
        log_in(client, rep.email, PASSWORD)
        answers.append(client.post("/auth/second-factor", data={"code": codes[3].upper()}).status_code)

    assert answers == [302, 200]
    assert len(_row(app, rep.id).mf_recovery_codes) == services.RECOVERY_CODES - 1


def test_a_recovery_code_is_taken_where_the_app_was_kept_with_another_key(app, rep, secret, unit, log_in, caplog):
    _secret, codes = secret
    with unit() as uow:
        uow.session.get(AppUser, rep.id).tf_totp_secret = "A" * 80
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)

    wrong = client.post("/auth/second-factor", data={"code": "123456"})
    right = client.post("/auth/second-factor", data={"code": codes[3]})

    assert (wrong.status_code, right.status_code) == (200, 302)
    assert f"the authenticator app of user {rep.uid} cannot be read" in caplog.text


def test_neither_the_secret_nor_a_code_is_stored_readable(app, rep, secret):
    row = _row(app, rep.id)

    assert totp.written(secret[0]).replace(" ", "") not in row.tf_totp_secret
    assert not set(secret[1]) & set(row.mf_recovery_codes)


def test_an_app_is_set_up_with_its_first_code_and_gives_recovery_codes(app, rita, rep):
    assert rita.post("/profile/security/totp/start").location == "/profile/security/totp"
    page = rita.get("/profile/security/totp").text
    made = _decoded(_letters(page))
    assert "data:image/svg+xml" in page

    wrong = rita.post("/profile/security/totp", data={"code": "000000"})
    assert wrong.status_code == 422
    assert _row(app, rep.id).tf_primary_method is None
    done = rita.post("/profile/security/totp", data={"code": totp.code_at(made, utcnow())})

    assert len(re.findall(r"<code>[a-z2-7]{5}-[a-z2-7]{5}</code>", done.text)) == services.RECOVERY_CODES
    assert _row(app, rep.id).tf_primary_method == "totp"


def test_a_change_of_factors_asks_first_who_one_is(app, rita, rep):
    with rita.session_transaction() as session:
        session["fs_paa"] = 0

    refused = rita.post("/profile/security/totp/start")
    rita.post("/auth/verify", data={"password": "wrong wrong wrong", "next": "/profile/security"})
    still = rita.post("/profile/security/totp/start")
    proved = rita.post("/auth/verify", data={"password": PASSWORD, "next": "/profile/security"})

    assert refused.location == still.location == "/auth/verify?next=/profile/security"
    assert proved.location == "/profile/security"
    assert rita.post("/profile/security/totp/start").location == "/profile/security/totp"


def test_a_removed_app_is_not_asked_for(app, rita, rep, secret, log_in):
    assert rita.post("/profile/security/totp/remove").location == "/profile/security"

    assert log_in(app.test_client(), rep.email, PASSWORD).location == "/"


def test_an_administrator_resets_a_lost_factor_and_the_sessions_end(app, rita, rep, secret, unit, log_in):
    with unit() as uow:
        services.reset_second_factor(uow, uow.session.get(AppUser, rep.id))

    assert rita.get("/profile").status_code == 302
    assert log_in(app.test_client(), rep.email, PASSWORD).location == "/"
    with unit() as uow:
        actions = set(uow.session.scalars(sa.select(AuditLog.action).where(AuditLog.record_type == "user")))
    assert {"second_factor_added", "second_factor_reset"} <= actions


def test_who_must_have_a_factor_reaches_only_the_page_that_sets_one_up(app, rita, rep, unit):
    with unit() as uow:
        role = uow.session.scalars(sa.select(Role).where(Role.name == "representative")).one()
        role.second_factor = True

    assert rita.get("/profile").location == "/profile/security"
    assert rita.get("/api/tokens").status_code == 403
    assert rita.get("/profile/security").status_code == 200
    rita.post("/profile/security/totp/start")
    made = _decoded(_letters(rita.get("/profile/security/totp").text))
    rita.post("/profile/security/totp", data={"code": totp.code_at(made, utcnow())})

    assert rita.get("/profile").status_code == 200


def test_the_second_step_dies_with_the_password(app, rep, secret, log_in, unit):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    with unit() as uow:
        uow.session.get(AppUser, rep.id).session_epoch += 1

    answer = client.post("/auth/second-factor", data={"code": totp.code_at(secret[0], utcnow())})

    assert answer.location == "/auth/login"


@pytest.mark.parametrize(
    "address", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "evil"]
)
def test_a_log_in_leads_to_no_other_site(app, rep, log_in, address):
    client = app.test_client()
    answer = client.post("/auth/login", data={"email": rep.email, "password": PASSWORD, "next": address})

    assert answer.location == "/"


def test_a_log_in_checks_the_password_with_no_transaction_open(app, rep, log_in, monkeypatch):
    from flask import g

    from crm_kernel.access.signin import password

    seen = []
    check = password.fits

    def watched(candidate, text):
        seen.append(g.get("crm_uow"))
        return check(candidate, text)

    monkeypatch.setattr(password, "fits", watched)
    log_in(app.test_client(), rep.email, PASSWORD)

    assert seen == [None]


def test_the_code_of_rfc_6238(app):
    secret = b"12345678901234567890"

    codes = [totp.code_at(secret, dt.datetime.fromtimestamp(at, dt.UTC)) for at in (59, 1111111109, 20000000000)]

    assert codes == ["287082", "081804", "353130"]


def test_sessions_are_listed_and_ended_one_by_one(app, rep, log_in):
    here, there = app.test_client(), app.test_client()
    here.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/140.0"
    there.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1"
    for client in (here, there):
        log_in(client, rep.email, PASSWORD)

    page = here.get("/profile/security").text
    assert "Firefox, Windows" in page
    assert "Safari, iPhone" in page
    [end] = re.findall(r'action="(/profile/security/sessions/[0-9a-f-]{36}/end)"', page)
    here.post(end)

    assert there.get("/profile").status_code == 302
    assert here.get("/profile").status_code == 200


def test_ending_all_others_leaves_this_one(app, rep, log_in):
    clients = [app.test_client() for _number in range(3)]
    for client in clients:
        log_in(client, rep.email, PASSWORD)

    clients[0].post("/profile/security/sessions/end-others")

    assert [client.get("/profile").status_code for client in clients] == [200, 302, 302]


def test_nobody_ends_somebody_elses_session(app, rep, person, log_in, unit):
    person("reader", email="other@crm.test", password=PASSWORD)
    mine, theirs = app.test_client(), app.test_client()
    log_in(mine, rep.email, PASSWORD)
    log_in(theirs, "other@crm.test", PASSWORD)
    with unit() as uow:
        other = uow.session.scalars(sa.select(UserSession.uid).where(UserSession.user_id != rep.id)).one()

    assert mine.post(f"/profile/security/sessions/{other}/end").status_code == 404
    assert theirs.get("/profile").status_code == 200


def test_a_session_that_was_logged_out_is_dead_even_if_its_cookie_comes_back(app, rep, log_in):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    with client.session_transaction() as session:
        kept = dict(session)
    client.post("/auth/logout")
    with client.session_transaction() as session:
        session.update(kept)

    assert client.get("/profile").status_code == 302


def test_a_log_in_ends_fourteen_days_after_it_began_also_while_it_is_used(app, rep, log_in, unit):
    client, other = app.test_client(), app.test_client()
    log_in(client, rep.email, PASSWORD)

    _age(unit, dt.timedelta(days=14) - dt.timedelta(minutes=5))
    assert client.get("/profile").status_code == 200
    _age(unit, dt.timedelta(days=14))
    with client.session_transaction() as session:
        session["touched"] = "signed anew"
    log_in(other, rep.email, PASSWORD)

    assert client.get("/profile").status_code == 302
    assert client.get("/api/users").status_code == 401
    page = other.get("/profile/security").text
    assert len(re.findall(r'action="/profile/security/sessions/[0-9a-f-]{36}/end"', page)) == 0


def _age(unit, age):
    with unit() as uow:
        uow.session.execute(sa.update(UserSession).values(created_at=uow.now - age, seen_at=uow.now))


def test_last_seen_is_written_once_in_five_minutes(app, rep, log_in, unit, statements):
    client = app.test_client()
    log_in(client, rep.email, PASSWORD)
    with unit() as uow:
        uow.session.execute(sa.update(UserSession).values(seen_at=uow.now - dt.timedelta(minutes=6)))

    with statements() as found:
        for _number in range(3):
            client.get("/profile")

    assert sum(statement.startswith("UPDATE user_session") for statement in found) == 1


def test_an_administrator_ends_one_session_of_a_user_on_his_page(app, rep, rita, log_in, unit, person, audit):
    other = app.test_client()
    log_in(other, rep.email, PASSWORD)
    administrator = person("administrator", email="admin@crm.test")
    with unit() as uow:
        first, second = (row.uid for row in uow.session.scalars(sa.select(UserSession).order_by(UserSession.id)))
        set_password(uow, uow.session.get(AppUser, administrator), PASSWORD)
    admin = app.test_client()
    log_in(admin, "admin@crm.test", PASSWORD)

    answer = admin.post(f"/users/{rep.uid}/sessions/{first}/end")

    assert (answer.status_code, answer.location) == (303, f"/users/{rep.uid}")
    assert (rita.get("/profile").status_code, other.get("/profile").status_code) == (302, 200)
    assert str(second) in admin.get(f"/users/{rep.uid}").text
    found = [row for row in audit("user") if row.action == "session_ended"]
    assert [(row.record_uid, row.after, row.actor) for row in found] == [(rep.uid, {"session": str(first)}, "admin")]


def test_nobody_else_ends_sessions_of_others(app, rep, rita, person, log_in, unit):
    someone = person("reader", email="reader@crm.test")
    with unit() as uow:
        uid = uow.session.scalars(sa.select(UserSession.uid)).one()
        set_password(uow, uow.session.get(AppUser, someone), PASSWORD)
    reader = app.test_client()
    log_in(reader, "reader@crm.test", PASSWORD)

    assert reader.post(f"/users/{rep.uid}/sessions/{uid}/end").status_code == 403
    assert rita.get("/profile").status_code == 200


def test_sessions_that_are_long_over_are_deleted_and_the_others_stay(app, rep, unit):
    days = (1, 89, 91, 103, 105)
    with unit() as uow:
        for number in days:
            seen = uow.now - dt.timedelta(days=number)
            common = {"user_id": rep.id, "identity": "x", "method": "password", "seen_at": seen}
            uow.session.add(UserSession(digest=f"ended-{number}", ended_at=seen, **common))
            uow.session.add(UserSession(digest=f"open-{number}", **common))

    with unit() as uow:
        assert expire_sessions(uow, {})["deleted"] == 4
        assert expire_sessions(uow, {}) is None

    with unit() as uow:
        left = set(uow.session.scalars(sa.select(UserSession.digest)))
    assert left == {"ended-1", "ended-89", "open-1", "open-89", "open-91", "open-103"}


@pytest.mark.parametrize(
    ("method", "locale", "expected"),
    [
        ("password+totp", "en", "Password, Authenticator app"),
        ("password+recovery", "fr", "Mot de passe, Code de secours"),
        ("oidc+mfa", "en", "Log-in provider, Second factor at the provider"),
    ],
)
def test_a_session_says_in_words_how_it_was_proven(crm_app, method, locale, expected):
    from flask_babel import force_locale

    from crm_kernel.access.sessions import proof_text

    with crm_app.test_request_context(), force_locale(locale):
        assert proof_text(method) == expected
