"""Who sees and changes which rows: own, team with all teams below it, all; and what a narrow wildcard does not give."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import ANONYMOUS, SYSTEM, Actor, Scope
from crm_kernel.access.grants import effective_grants
from crm_kernel.access.policy import allowed, authorize, scope_predicate, visible
from crm_kernel.access.services import create_role, create_team, grant, update_team
from crm_kernel.access.services.roles import BUILTIN
from crm_kernel.errors import Forbidden

TREE = {"north": None, "lille": "north", "roubaix": "lille", "south": None}


@pytest.fixture
def office(unit, person, app):
    """Four teams, a user in each, a note of each user, a note of nobody."""
    note = app.extensions["crm"].registry.get("record_types", "note")
    with unit() as uow:
        teams = {}
        for name, parent in TREE.items():
            teams[name] = create_team(uow, name=name, parent_id=teams.get(parent)).id
        for name, scope in (("owners", Scope.OWN), ("teams", Scope.TEAM), ("all", Scope.ALL)):
            role = create_role(uow, name=name)
            grant(uow, role, "note.read", scope)
            grant(uow, role, "note.update", scope)

    def user(role: str, team: str) -> int:
        key = person(role, email=f"{role}-{team}@crm.test", team_id=teams[team])
        with unit() as uow:
            uow.session.add(note.model(text=f"{role}-{team}", owner_id=key, team_id=teams[team]))
        return key

    with unit() as uow:
        uow.session.add(note.model(text="nobody"))
    return user, note, teams


@pytest.fixture
def seen(unit, actor_of, office):
    def texts(user_id, verb="read"):
        _user, note, _teams = office
        actor = actor_of(user_id)
        with unit() as uow:
            wanted = sa.select(note.model.text).where(visible(actor, note, verb)).order_by(note.model.text)
            return list(uow.session.execute(wanted).scalars())

    return texts


def test_own_shows_what_one_owns_and_not_what_nobody_owns(office, seen):
    user, *_ = office
    mine = user("owners", "lille")
    user("teams", "lille")

    assert seen(mine) == ["owners-lille"]


def test_team_shows_the_own_team_and_every_team_below_it(office, seen):
    user, *_ = office
    boss = user("teams", "north")
    middle = user("teams", "lille")
    for team in ("lille", "roubaix", "south"):
        user("owners", team)

    assert seen(boss) == ["owners-lille", "owners-roubaix", "teams-lille", "teams-north"]
    assert seen(middle) == ["owners-lille", "owners-roubaix", "teams-lille"]


def test_all_shows_everything(office, seen):
    user, *_ = office
    user("owners", "south")

    assert seen(user("all", "north")) == ["all-north", "nobody", "owners-south"]


def test_a_team_that_moves_takes_its_visibility_along_at_once(office, seen, unit):
    from crm_kernel.access.models import Team

    user, _note, teams = office
    boss = user("teams", "north")
    user("owners", "roubaix")
    assert "owners-roubaix" in seen(boss)

    with unit() as uow:
        update_team(uow, uow.session.get(Team, teams["lille"]), {"parent_id": teams["south"]})

    assert "owners-roubaix" not in seen(boss)


def test_a_teams_first_key_is_the_own_team(office, actor_of):
    user, _note, teams = office

    actor = actor_of(user("teams", "north"))

    assert actor.team_ids == (teams["north"], teams["lille"], teams["roubaix"])


def test_without_a_grant_nothing_is_seen_and_nobody_sees_nothing(office, seen, unit, person, app):
    _user, note, _teams = office

    assert seen(person()) == []
    with unit(ANONYMOUS) as uow:
        assert uow.session.execute(sa.select(note.model).where(visible(ANONYMOUS, note))).all() == []


def test_an_actor_without_a_user_never_sees_what_nobody_owns(app):
    note = app.extensions["crm"].registry.get("record_types", "note")
    odd = Actor(kind="token", name="odd", grants={"note.read": Scope.OWN})

    assert isinstance(scope_predicate(odd, note, "read"), sa.sql.elements.False_)


@pytest.mark.parametrize(
    ("role", "own", "team", "foreign"),
    [("owners", True, False, False), ("teams", True, True, False), ("all", True, True, True)],
)
def test_a_write_is_judged_by_the_same_reach(app, office, actor_of, role, own, team, foreign):
    user, note, teams = office
    key = user(role, "lille")
    actor = actor_of(key)
    mine = note.model(owner_id=key, team_id=teams["lille"])
    colleague = note.model(owner_id=key + 1, team_id=teams["roubaix"])
    stranger = note.model(owner_id=key + 1, team_id=teams["south"])

    with app.app_context():
        verdicts = [allowed(actor, "note.update", found) for found in (mine, colleague, stranger)]

    assert verdicts == [own, team, foreign]


def test_a_refusal_names_the_permission_and_the_actor(app):
    with app.app_context(), pytest.raises(Forbidden, match=r"anonymous lacks the permission note\.update"):
        authorize(ANONYMOUS, "note.update")


@pytest.mark.parametrize("role", ["manager", "representative"])
def test_a_narrow_wildcard_makes_nobody_an_administrator(person, actor_of, role):
    actor = actor_of(person(role))

    for permission in (
        "user.create",
        "user.set_password",
        "role.grant",
        "user.assign_role",
        "team.update",
        "user.export",
    ):
        assert actor.scope_of(permission) is None, permission
    assert actor.scope_of("user.read") is Scope.ALL
    assert actor.scope_of("module.enable") is None


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    ("role", "reach"),
    [
        ("administrator", {"customer.delete": Scope.ALL, "product.update": Scope.ALL, "role.grant": Scope.ALL}),
        (
            "manager",
            {
                "customer.read": Scope.ALL,
                "customer.update": Scope.ALL,
                "customer.delete": Scope.TEAM,
                "product.read": Scope.ALL,
                "product.update": None,
                "interaction.create": Scope.ALL,
            },
        ),
        (
            "representative",
            {
                "customer.read": Scope.ALL,
                "customer.update": Scope.TEAM,
                "customer.delete": Scope.OWN,
                "product.read": Scope.ALL,
                "product.update": None,
                "product.export": None,
                "interaction.create": Scope.ALL,
                "interaction.delete": None,
            },
        ),
        ("reader", {"customer.read": Scope.ALL, "customer.update": None, "customer.export": None}),
    ],
)
def test_the_built_in_roles_reach_as_far_as_documented(app, role, reach):
    owned = app.extensions["crm"].registry.get("record_types", "note")
    free = app.extensions["crm"].registry.get("record_types", "role")
    types = [replace(owned, name="customer"), replace(free, name="product"), replace(free, name="role")]
    registry = SimpleNamespace(all=lambda kind: types if kind == "record_types" else [])

    actor = Actor(kind="user", name="x", user_id=1, grants=effective_grants(BUILTIN[role][1], registry))

    assert {permission: actor.scope_of(permission) for permission in reach} == reach


def test_several_roles_add_up_to_the_widest(person, actor_of):
    actor = actor_of(person("representative", "manager"))

    assert actor.scope_of("note.update") is Scope.TEAM
    assert actor.scope_of("interaction.update") is Scope.ALL


def test_a_cycle_of_teams_left_by_hand_ends(unit, person, actor_of):
    from crm_kernel.access.models import Team

    with unit() as uow:
        first = create_team(uow, name="first")
        second = create_team(uow, name="second", parent_id=first.id)
        uow.session.execute(sa.update(Team).where(Team.id == first.id).values(parent_id=second.id))
        keys = (first.id, second.id)

    assert actor_of(person("manager", team_id=keys[0])).team_ids == keys


def test_the_system_may_do_everything(app):
    with app.app_context():
        assert allowed(SYSTEM, "role.grant")
