"""Nobody acts on the account of somebody who may do more than he: password, address, factors, sessions, tokens, roles."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.explain import explain
from crm_kernel.access.factors import services as factors
from crm_kernel.access.models import ApiToken, AppUser, AuditLog, Role, UserSession, WebAuthnCredential
from crm_kernel.access.oidc.models import IdentityProvider
from crm_kernel.access.oidc.people import link, unlink
from crm_kernel.access.record import record_types as access_types
from crm_kernel.access.services import (
    activate_user,
    assign_role,
    create_role,
    create_team,
    create_token,
    create_user,
    deactivate_user,
    delete_role,
    end_sessions,
    grant,
    revoke,
    revoke_token,
    role_named,
    set_password,
    unassign_role,
    update_role,
    update_team,
    update_user,
)
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.access.sessions import end_session
from crm_kernel.database import db
from crm_kernel.errors import Forbidden

PASSWORD = "violet harbour pencil"

#: Everything that changes the account of a user.
ON_A_USER = {
    "set_password": lambda uow, user: set_password(uow, user, PASSWORD),
    "update_user": lambda uow, user: update_user(uow, user, {"email": "mine@crm.test"}),
    "deactivate_user": deactivate_user,
    "activate_user": activate_user,
    "end_sessions": end_sessions,
    "end_session": lambda uow, user: end_session(uow, user, uow.session.scalar(sa.select(UserSession.uid))),
    "assign_role": lambda uow, user: assign_role(uow, user, role_named(uow, "Helpers")),
    "unassign_role": lambda uow, user: unassign_role(uow, user, role_named(uow, "administrator")),
    "create_token": lambda uow, user: create_token(uow, user, name="mine"),
    "revoke_token": lambda uow, user: revoke_token(uow, uow.session.scalars(sa.select(ApiToken)).one()),
    "reset_second_factor": factors.reset_second_factor,
    "enable_totp": lambda uow, user: factors.enable_totp(uow, user, b"x" * 20, "000000"),
    "disable_totp": factors.disable_totp,
    "new_recovery_codes": factors.new_recovery_codes,
    "add_passkey": lambda uow, user: factors.add_passkey(uow, user, _passkey(b"two")),
    "rename_passkey": lambda uow, user: factors.rename_passkey(uow, user, _key(uow), "Mine"),
    "remove_passkey": lambda uow, user: factors.remove_passkey(uow, user, _key(uow)),
    "link": lambda uow, user: link(uow, user, IdentityProvider(id=1, name="Staff", issuer="https://i.test"), "me"),
    "unlink": lambda uow, user: unlink(uow, user, user.uid),
}

#: Everything that takes from a role.
ON_A_ROLE = {
    "no second factor": lambda uow, role: update_role(uow, role, {"second_factor": False}),
    "another description": lambda uow, role: update_role(uow, role, {"description": "Nothing much."}),
    "delete": delete_role,
    "narrow": lambda uow, role: grant(uow, role, "note.read", Scope.OWN),
    "revoke": lambda uow, role: revoke(uow, role, "note.read"),
    "restrict": lambda uow, role: restrict_field(uow, role, "note", "stars", "hidden"),
}


@pytest.fixture
def people(unit) -> SimpleNamespace:
    """An administrator with everything that an account has, and a helper who may do everything with users and roles."""
    with unit() as uow:
        boss = create_user(uow, email="boss@crm.test", name="Boss", password=PASSWORD, roles=["administrator"])
        create_user(uow, email="boss2@crm.test", name="Boss 2", roles=["administrator"])
        boss.tf_totp_secret, boss.tf_primary_method = "sealed", factors.TOTP
        uow.session.add(UserSession(user_id=boss.id, digest="d", identity=boss.get_id(), method="password"))
        factors.add_passkey(uow, boss, _passkey(b"one"))
        create_token(uow, boss, name="script")
        helpers = create_role(uow, name="Helpers")
        for pattern in ("user.*", "role.*", "team.*"):
            grant(uow, helpers, pattern)
        helper = create_user(uow, email="helper@crm.test", name="Helper", password=PASSWORD, roles=["Helpers"])
        colleague = create_user(uow, email="colleague@crm.test", name="Colleague", roles=["Helpers"])
        return SimpleNamespace(boss=boss.id, helper=helper.id, colleague=colleague.id, boss_uid=boss.uid)


def _passkey(name: bytes) -> WebAuthnCredential:
    return WebAuthnCredential(credential_id=name, public_key=b"k", synced=False, name="Key")


def _key(uow):
    return uow.session.scalars(sa.select(WebAuthnCredential.uid)).first()


def _acting(unit, user_id: int, **limits) -> Actor:
    with unit() as uow:
        return actor_for(uow, uow.session.get_one(AppUser, user_id), **limits)


def _contents(app) -> list:
    tables = [model.__table__ for model in (AppUser, ApiToken, UserSession, WebAuthnCredential, AuditLog, Role)]
    with app.app_context(), db.engine.connect() as connection:
        return [connection.execute(sa.select(table).order_by(table.c.id)).all() for table in tables]


@pytest.mark.parametrize("act", ON_A_USER.values(), ids=list(ON_A_USER))
def test_nobody_acts_on_the_account_of_somebody_who_may_do_more(app, unit, people, act):
    helper, before = _acting(unit, people.helper), _contents(app)

    with pytest.raises(Forbidden, match="Boss may do what Helper may not"), unit(helper) as uow:
        act(uow, uow.session.get_one(AppUser, people.boss))

    assert _contents(app) == before


def test_a_helper_helps_those_who_may_do_no_more_than_he(unit, people):
    helper = _acting(unit, people.helper)

    with unit(helper) as uow:
        user = uow.session.get_one(AppUser, people.colleague)
        update_user(uow, user, {"email": "new@crm.test"})
        set_password(uow, user, PASSWORD)
        unassign_role(uow, user, role_named(uow, "Helpers"))
        assign_role(uow, user, role_named(uow, "Helpers"))
        deactivate_user(uow, user)
        activate_user(uow, user)

        assert (user.email, user.active) == ("new@crm.test", True)


def test_an_administrator_acts_on_another_and_the_system_on_everybody(unit, people):
    with unit() as uow:
        other = create_user(uow, email="other@crm.test", name="Other", roles=["administrator"])
        other_id = other.id

    with unit(_acting(unit, people.boss)) as uow:
        set_password(uow, uow.session.get_one(AppUser, other_id), PASSWORD)
    with unit(SYSTEM) as uow:
        other = uow.session.get_one(AppUser, other_id)
        deactivate_user(uow, other)

        assert (other.active, other.password is None) == (False, False)


def test_a_token_does_with_its_own_users_account_only_what_its_limits_cover(unit, people):
    limited = _acting(unit, people.boss, scopes=("user.*",))
    token = Actor(**{**{n: getattr(limited, n) for n in Actor.__slots__}, "kind": "token", "token_id": 1})

    with pytest.raises(Forbidden), unit(token) as uow:
        update_user(uow, uow.session.get_one(AppUser, people.boss), {"email": "mine@crm.test"})


def test_everybody_changes_his_own_account_whatever_he_may(unit, people):
    with unit(_acting(unit, people.colleague)) as uow:
        colleague = uow.session.get_one(AppUser, people.colleague)
        update_user(uow, colleague, {"name": "Cleo"})

        assert colleague.name == "Cleo"


@pytest.mark.parametrize("verb", [action.name for action in access_types()[0].actions] + ["update"])
def test_what_is_explained_is_what_the_services_do(unit, people, verb):
    helper = people.helper
    with unit() as uow:
        uids = [uow.session.get_one(AppUser, key).uid for key in (people.boss, people.colleague, helper)]

    with unit() as uow:
        found = [explain(uow, uow.session.get_one(AppUser, helper), f"user.{verb}", uid) for uid in uids]

    assert [one.allowed for one in found] == [False, True, True]
    limits = [(step.answer, step.text) for one in found for step in one.steps if step.rule == "limit"]
    assert limits[0][0] is False
    assert "Boss may do what Helper may not" in limits[0][1]
    assert limits[1:] == [(True, "Does not refuse it.")] * 2


def test_what_changes_nothing_is_explained_without_a_limit(unit, people):
    with unit() as uow:
        found = explain(uow, uow.session.get_one(AppUser, people.helper), "user.read", people.boss_uid)

    assert found.allowed
    assert "limit" not in [step.rule for step in found.steps]


@pytest.mark.parametrize(
    ("verb", "allowed"), [("update", False), ("delete", False), ("restrict_field", False), ("revoke", True)]
)
def test_what_a_role_gives_beyond_ones_own_is_explained(unit, people, verb, allowed):
    with unit() as uow:
        uid = role_named(uow, "administrator").uid

        assert explain(uow, uow.session.get_one(AppUser, people.helper), f"role.{verb}", uid).allowed is allowed
        assert uow.actor is SYSTEM


@pytest.mark.parametrize("act", ON_A_ROLE.values(), ids=list(ON_A_ROLE))
def test_nobody_takes_from_a_role_that_gives_more_than_he_has(unit, people, act):
    with unit() as uow:
        role = create_role(uow, name="Auditors", second_factor=True)
        grant(uow, role, "note.read", Scope.ALL)
        grant(uow, role, "user.read", Scope.ALL)

    with pytest.raises(Forbidden), unit(_acting(unit, people.helper)) as uow:
        act(uow, role_named(uow, "Auditors"))


def test_the_api_refuses_to_take_an_administrator_over(app, unit, people, log_in):
    client = app.test_client()
    log_in(client, "helper@crm.test", PASSWORD)
    path = f"/api/users/{people.boss_uid}"
    match = {"If-Match": client.get(path).headers["ETag"]}

    answers = [
        client.post(f"{path}/set_password", json={"password": PASSWORD}, headers=match),
        client.patch(path, json={"email": "mine@crm.test"}, headers=match),
        client.post(f"{path}/reset_second_factor", json={}, headers=match),
        client.post(f"{path}/deactivate", json={}, headers=match),
        client.post(f"{path}/sign_out", json={}, headers=match),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert "Boss may do what Helper may not" in answers[0].text


def test_what_is_hidden_from_somebody_is_not_read_through_another_account(unit, people):
    blind = Actor(
        kind="user",
        name="Blind",
        user_id=0,
        grants={"user.*": Scope.ALL, "note.*": Scope.ALL},
        field_rules={"note": {"stars": "hidden"}},
    )
    with unit() as uow:
        role = create_role(uow, name="Readers of notes")
        grant(uow, role, "note.read")
        create_user(uow, email="sees@crm.test", name="Sees", roles=["Readers of notes"])

    with pytest.raises(Forbidden), unit(blind) as uow:
        set_password(uow, uow.session.scalars(sa.select(AppUser).where(AppUser.name == "Sees")).one(), PASSWORD)


@pytest.fixture
def teams(unit) -> SimpleNamespace:
    """Two teams; a lead of the first who may do everything with users and teams, and reads and gives his team's notes."""
    with unit() as uow:
        north, south = (create_team(uow, name=name) for name in ("North", "South"))
        role = create_role(uow, name="Leads")
        for pattern in ("user.*", "role.*", "team.*"):
            grant(uow, role, pattern)
        grant(uow, role, "note.*", Scope.TEAM)
        members = create_role(uow, name="Members")
        grant(uow, members, "note.read", Scope.TEAM)
        lead = create_user(uow, email="lead@crm.test", name="Lead", team_id=north.id, roles=["Leads"])
        near = create_user(uow, email="near@crm.test", name="Near", team_id=north.id, roles=["Members"])
        far = create_user(uow, email="far@crm.test", name="Far", team_id=south.id, roles=["Members"])
        return SimpleNamespace(north=north.id, south=south.id, lead=lead.id, near=near.id, far=far.id)


def test_who_reaches_one_team_takes_over_nobody_of_another(unit, teams):
    lead = _acting(unit, teams.lead)

    with unit(lead) as uow:
        set_password(uow, uow.session.get_one(AppUser, teams.near), PASSWORD)
    with pytest.raises(Forbidden), unit(lead) as uow:
        set_password(uow, uow.session.get_one(AppUser, teams.far), PASSWORD)


@pytest.mark.parametrize(
    "act",
    [
        lambda uow, t: update_user(uow, uow.session.get_one(AppUser, t.lead), {"team_id": t.south}),
        lambda uow, t: update_user(uow, uow.session.get_one(AppUser, t.near), {"team_id": t.south}),
        lambda uow, t: create_user(uow, email="x@crm.test", name="X", team_id=t.south, roles=["Members"]),
        lambda uow, t: update_team(uow, _team(uow, t.south), {"parent_id": t.north}),
    ],
    ids=["himself", "one of his", "a new one", "the team"],
)
def test_who_reaches_one_team_makes_nobody_reach_another(unit, teams, act):
    with pytest.raises(Forbidden, match="team that he does not reach"), unit(_acting(unit, teams.lead)) as uow:
        act(uow, teams)


def _team(uow, key: int):
    from crm_kernel.access.models import Team

    return uow.session.get_one(Team, key)
