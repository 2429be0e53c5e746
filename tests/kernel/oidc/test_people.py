"""Whom a provider means: linked accounts, verified addresses where that is allowed, new users with a role, nobody else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.factors import services, totp
from crm_kernel.access.models import AppUser, Role, UserRole
from crm_kernel.access.oidc.people import roles_for
from crm_kernel.access.services import deactivate_user, role_named, set_password, update_role
from crm_kernel.database import db, utcnow
from crm_kernel.testing.people import browser

pytestmark = pytest.mark.usefixtures("trusting")

PASSWORD = "violet harbour pencil"


def roles_of(app, email):
    with app.app_context(), db.engine.connect() as connection:
        held = sa.select(Role.name).join(UserRole, UserRole.role_id == Role.id)
        found = held.join(AppUser, AppUser.id == UserRole.user_id).where(AppUser.email == email)
        return sorted(connection.scalars(found))


def proved(app, unit, rita):
    """Return Rita's browser, in which she has just proved who she is."""
    import time

    with unit() as uow:
        user = uow.session.get(AppUser, rita.id)
        client = browser(app, user)
    with client.session_transaction() as session:
        session["fs_paa"] = time.time()
    return client


def test_the_log_in_page_offers_the_providers(client, elsewhere, connect):
    uid = connect(elsewhere, name="Staff & Co")

    page = client.get("/auth/login?next=/customers").text

    assert "Log in with Staff &amp; Co" in page
    assert f'href="/auth/oidc/{uid}?next=/customers"' in page


@pytest.mark.usefixtures("rita")
@pytest.mark.parametrize("verified", [True, False, None, "true"])
def test_an_address_alone_links_nobody(client, elsewhere, connect, go, sessions, identities, verified):
    elsewhere.claims = {"sub": "u-9", "email": "rita@crm.test", "email_verified": verified}

    answer = go(client, connect(elsewhere))

    assert answer.status_code == 403
    assert "Nobody here is linked with your account of Staff" in answer.text
    assert (sessions(), identities()) == ([], [])


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_links_nobody_where_addresses_do(
    client, elsewhere, connect, go, rita, identities, verified
):
    elsewhere.claims = {"sub": "u-9", "email": rita.email, "email_verified": verified}

    assert go(client, connect(elsewhere, link_by_email=True)).status_code == 403
    assert identities() == []


def test_a_verified_address_links_its_user_once_where_that_is_allowed(
    client, elsewhere, connect, go, rita, identities, audited
):
    uid = connect(elsewhere, link_by_email=True)
    elsewhere.claims = {"sub": "u-9", "email": "Rita@CRM.test", "email_verified": True}
    assert go(client, uid).status_code == 302
    client.post("/auth/logout")
    elsewhere.claims = {"sub": "u-9", "email": "renamed@crm.test"}

    assert go(client, uid).status_code == 302
    assert "Rita" in client.get("/profile").text
    assert identities() == ["u-9"]
    assert [after for action, after in audited() if action == "identity_linked"] == [
        {"provider": "Staff", "subject": "u-9"}
    ]


def test_an_address_is_read_at_the_userinfo_endpoint_when_the_token_has_none(client, elsewhere, connect, go, rita):
    elsewhere.claims = {"sub": "u-9", "email": rita.email, "email_verified": True}
    elsewhere.tells_later = True

    assert go(client, connect(elsewhere, link_by_email=True)).status_code == 302
    assert "/userinfo" in elsewhere.asked


def test_a_deactivated_user_is_refused(client, elsewhere, connect, linked, go, rita, unit, sessions):
    uid = connect(elsewhere)
    linked()
    with unit() as uow:
        deactivate_user(uow, uow.session.get(AppUser, rita.id))

    answer = go(client, uid)

    assert (answer.status_code, sessions()) == (403, [])
    assert "deactivated" in answer.text


def test_the_same_subject_of_another_issuer_is_somebody_else(client, elsewhere, connect, linked, go, unit, sessions):
    from crm_kernel.access.oidc.models import UserIdentity

    uid = connect(elsewhere)
    linked()
    with unit() as uow:
        uow.session.execute(sa.update(UserIdentity).values(issuer="https://other.test"))

    assert go(client, uid).status_code == 403
    assert sessions() == []


def test_somebody_new_becomes_a_user_with_the_roles_of_his_claim(client, crm_app, elsewhere, connect, go):
    uid = connect(
        elsewhere,
        create_users=True,
        role_claim="realm.groups",
        role_map="cn=boss,dc=x = manager\nsales = representative",
    )
    elsewhere.claims = {
        "sub": "u-5", "name": "Nina New", "email": "nina@crm.test", "email_verified": True,
        "realm": {"groups": ["cn=boss,dc=x", "other"]},
    }  # fmt: skip

    assert go(client, uid).status_code == 302
    assert "Nina New" in client.get("/profile").text
    assert roles_of(crm_app, "nina@crm.test") == ["manager"]


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({"create_users": False, "default_role": "reader"}, {"email_verified": True}),
        ({"create_users": True}, {"email_verified": True}),
        ({"create_users": True, "role_claim": "groups", "role_map": "a = reader"}, {"email_verified": True}),
        ({"create_users": True, "default_role": "reader"}, {"email_verified": False}),
        ({"create_users": True, "default_role": "reader"}, {"email_verified": True, "email": "no address"}),
        ({"create_users": True, "default_role": "reader"}, {"email_verified": True, "email": "rita@crm.test"}),
    ],
)
@pytest.mark.usefixtures("rita")
def test_nobody_becomes_a_user_without_a_role_a_verified_address_and_permission(
    client, crm_app, elsewhere, connect, go, sessions, settings, claims
):
    elsewhere.claims = {"sub": "u-5", "name": "Nina", "email": "nina@crm.test", **claims}

    assert go(client, connect(elsewhere, **settings)).status_code == 403
    assert sessions() == []
    assert roles_of(crm_app, "nina@crm.test") == []


@pytest.fixture
def with_app(unit, rita):
    """Give Rita an authenticator app; its secret."""
    secret = totp.new_secret()
    with unit() as uow:
        user = uow.session.get(AppUser, rita.id)
        import datetime as dt

        services.enable_totp(uow, user, secret, totp.code_at(secret, utcnow() - dt.timedelta(seconds=30)))
    return secret


def test_the_second_factor_is_asked_for_here_unless_the_provider_vouches(
    client, elsewhere, connect, linked, go, with_app, sessions
):
    uid = connect(elsewhere, factor_values="mfa otp")
    linked()
    elsewhere.lies = {"amr": ["pwd"]}

    first = go(client, uid, next="/profile")
    assert (first.location, sessions()) == ("/auth/second-factor", [])
    done = client.post("/auth/second-factor", data={"code": totp.code_at(with_app, utcnow())})

    assert (done.location, sessions()) == ("/profile", ["oidc+totp"])


@pytest.mark.parametrize("said", [{"amr": ["pwd", "otp"]}, {"acr": "mfa"}])
def test_a_provider_that_has_asked_for_one_is_trusted_where_its_setting_says_so(
    client, elsewhere, connect, linked, go, with_app, sessions, said
):
    uid = connect(elsewhere, factor_values="mfa otp")
    linked()
    elsewhere.lies = said

    assert go(client, uid).status_code == 302
    assert sessions() == ["oidc+mfa"]


def test_what_a_provider_says_of_factors_counts_for_nothing_without_a_setting(
    client, elsewhere, connect, linked, go, with_app, sessions
):
    uid = connect(elsewhere)
    linked()
    elsewhere.lies = {"amr": ["mfa"], "acr": ""}

    assert go(client, uid).location == "/auth/second-factor"
    assert sessions() == []


def test_a_role_that_asks_for_a_second_factor_is_content_with_the_providers(
    client, crm_app, elsewhere, connect, linked, go, unit
):
    uid = connect(elsewhere, factor_values="mfa")
    linked()
    with unit() as uow:
        update_role(uow, role_named(uow, "representative"), {"second_factor": True})
    go(client, uid)
    without = client.get("/customers").status_code
    client.post("/auth/logout")
    elsewhere.lies = {"amr": ["mfa"]}
    go(client, uid)

    assert without != 200
    assert client.get("/customers").status_code == 200


def test_a_user_links_an_account_after_he_has_said_that_he_wants_it(
    crm_app, unit, elsewhere, connect, go, rita, identities
):
    uid, client = connect(elsewhere), proved(crm_app, unit, rita)

    asked = go(client, uid, **{"for": "link"})
    before = identities()
    done = client.post("/profile/security/identities")

    assert "Shall the account rita@crm.test of Staff log you in" in asked.text
    assert (before, done.status_code, identities()) == ([], 303, ["u-1"])
    assert client.post("/profile/security/identities").status_code == 303
    assert "Accounts elsewhere" in client.get("/profile/security").text


def test_linking_asks_first_who_one_is(crm_app, unit, elsewhere, connect, rita):
    uid = connect(elsewhere)
    with unit() as uow:
        client = browser(crm_app, uow.session.get(AppUser, rita.id))

    assert client.get(f"/auth/oidc/{uid}?for=link").location.startswith("/auth/verify")


def test_an_account_of_somebody_else_is_not_linked(crm_app, unit, login, elsewhere, connect, linked, go):
    import time

    uid, other = connect(elsewhere), login("reader")
    linked()
    with other.session_transaction() as session:
        session["fs_paa"] = time.time()

    answer = go(other, uid, **{"for": "link"})

    assert answer.status_code == 403
    assert "is linked with another user here" in answer.text


def test_the_last_way_to_log_in_is_not_taken_away(crm_app, unit, elsewhere, connect, linked, rita, identities):
    connect(elsewhere)
    linked()
    client = proved(crm_app, unit, rita)
    with unit() as uow:
        from crm_kernel.access.oidc.models import UserIdentity

        uid = uow.session.scalars(sa.select(UserIdentity.uid)).one()

    kept = client.post(f"/profile/security/identities/{uid}/remove")
    with unit() as uow:
        set_password(uow, uow.session.get(AppUser, rita.id), PASSWORD)
    gone = proved(crm_app, unit, rita).post(f"/profile/security/identities/{uid}/remove")

    assert (kept.status_code, gone.status_code, identities()) == (409, 303, [])


def test_who_has_no_password_proves_at_the_provider_who_he_is(crm_app, unit, elsewhere, connect, linked, go, rita):
    uid = connect(elsewhere)
    linked()
    with unit() as uow:
        client = browser(crm_app, uow.session.get(AppUser, rita.id))
    assert "Confirm at Staff" in client.get("/auth/verify").text

    answer = go(client, uid, **{"for": "again", "next": "/profile/security"})

    assert answer.location == "/profile/security"
    assert client.post("/profile/security/totp/start").location == "/profile/security/totp"


def test_a_proof_of_long_ago_is_none(crm_app, unit, elsewhere, connect, linked, go, rita):
    uid = connect(elsewhere)
    linked()
    with unit() as uow:
        client = browser(crm_app, uow.session.get(AppUser, rita.id))
    elsewhere.lies = {"auth_time": 1_700_000_000}

    assert go(client, uid, **{"for": "again"}).status_code == 403


def test_after_log_out_the_way_out_of_the_provider_is_offered(client, elsewhere, connect, linked, go):
    uid = connect(elsewhere)
    linked()
    go(client, uid)
    client.post("/auth/logout")

    page = client.get("/auth/login").text
    left = client.get(f"/auth/oidc/{uid}/logout")

    assert "Log out there too" in page
    assert left.location.startswith(f"{elsewhere.issuer}/logout?client_id=crm&post_logout_redirect_uri=")
    assert "Log out there too" not in client.get("/auth/login").text


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({"groups": "a"}, ["reader"]),
        ({"groups": ["b", "a", "c"]}, ["manager", "reader"]),
        ({"groups": ["c"]}, ["other"]),
        ({"groups": {"a": 1}}, ["other"]),
        ({}, ["other"]),
    ],
)
def test_roles_follow_the_lines(claims, roles):
    from crm_kernel.access.oidc.models import IdentityProvider

    provider = IdentityProvider(role_claim="groups", role_map="a = reader\nb = manager", default_role="other")

    assert roles_for(provider, claims) == roles
