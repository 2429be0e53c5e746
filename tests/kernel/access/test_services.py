"""Users, teams and roles: what their services refuse, and that a refusal leaves the database as it was."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Scope
from crm_kernel.access.models import AppUser, Role, RolePermission, Team, UserRole
from crm_kernel.access.passwords import password_problems
from crm_kernel.access.services import (
    activate_user,
    assign_role,
    create_role,
    create_team,
    create_user,
    deactivate_user,
    delete_role,
    delete_team,
    ensure_builtin_roles,
    grant,
    revoke,
    role_named,
    set_password,
    unassign_role,
    update_role,
    update_team,
    update_user,
    user_by_email,
)
from crm_kernel.database import db
from crm_kernel.errors import Conflict, InvalidInput, NotFound

PASSWORD = "violet harbour pencil"


def _refused(call, *arguments, **details):
    with pytest.raises(InvalidInput) as refused:
        call(*arguments, **details)
    return sorted(refused.value.errors)


def test_a_user_is_stored_with_a_normal_address_and_an_argon2_hash(uow):
    user = create_user(uow, email=" Ada.LOVELACE@Crm.Test ", name=" Ada ", password=PASSWORD, timezone="Europe/Paris")

    assert (user.email, user.name, user.active) == ("ada.lovelace@crm.test", "Ada", True)
    assert user.password.startswith("$argon2id$")
    assert user_by_email(uow, "ADA.lovelace@crm.test") is user


def test_all_errors_of_a_new_user_come_at_once(uow):
    found = _refused(
        create_user,
        uow,
        email="no address",
        name="",
        password="short",
        team_id=99,
        language="xx",
        timezone="Mars/Olympus",
        roles=["nonsense"],
    )

    assert found == ["email", "language", "name", "password", "roles", "team", "timezone"]


def test_an_address_is_used_once(uow):
    create_user(uow, email="ada@crm.test", name="Ada")

    assert _refused(create_user, uow, email="ADA@crm.test", name="Other") == ["email"]


def test_a_refused_user_leaves_the_database_unchanged(app, unit):
    def counts():
        with app.app_context(), db.engine.connect() as connection:
            return [connection.execute(sa.select(sa.func.count()).select_from(m)).scalar() for m in (AppUser, UserRole)]

    before = counts()
    with pytest.raises(InvalidInput), unit() as uow:  # noqa: PT012 - the refused edge
        create_user(uow, email="ada@crm.test", name="Ada", roles=["reader"])
        create_user(uow, email="ada@crm.test", name="Ada", roles=["reader"])

    assert counts() == before


def test_a_user_changes(uow):
    team = create_team(uow, name="North")
    user = create_user(uow, email="ada@crm.test", name="Ada")

    update_user(uow, user, {"email": "Ada2@crm.test", "name": "Ada L", "team_id": team.id, "language": "fr"})

    assert (user.email, user.name, user.team_id, user.language) == ("ada2@crm.test", "Ada L", team.id, "fr")


def test_a_user_does_not_change_to_nonsense(uow):
    create_user(uow, email="bob@crm.test", name="Bob")
    user = create_user(uow, email="ada@crm.test", name="Ada")

    assert _refused(update_user, uow, user, {"password": "x", "session_epoch": 3}) == ["password", "session_epoch"]
    wrong = {"email": "bob@crm.test", "name": "", "team_id": 99, "timezone": "x", "language": "xx"}
    assert _refused(update_user, uow, user, wrong) == ["email", "language", "name", "team", "timezone"]
    assert user.name == "Ada"


def test_a_user_keeps_his_own_address_when_he_is_saved_again(uow):
    user = create_user(uow, email="ada@crm.test", name="Ada")

    update_user(uow, user, {"email": "ada@crm.test", "name": "Ada"})

    assert user.email == "ada@crm.test"


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "password",
    [
        "elevenchars",
        "x" * 257,
        "someone@crm.test",
        "SOMEONE@CRM.TEST",
        "password12345",
        "Passwordpassword!",
        "123456789012",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "qwertyuiopasdfgh",
        "motdepasse2026!",
        "210987654321",
    ],
)
def test_a_password_that_is_short_known_or_the_address_is_refused(app, password):
    with app.app_context():
        assert len(password_problems(password, email="someone@crm.test")) == 1


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "password", ["violet harbour pencil", "Zwölf Boxkämpfer jagen", "x7#kQ!mmPz2v", "2026-08-14 rue de Lille"]
)
def test_a_password_of_unrelated_words_is_good(app, password):
    with app.app_context():
        assert password_problems(password, email="someone@crm.test") == []


def test_a_new_password_ends_sessions_reset_links_and_locks(uow):
    user = create_user(uow, email="ada@crm.test", name="Ada", password=PASSWORD)
    user.failed_logins, user.locked_until = 3, uow.now
    before = (user.get_id(), user.password, user.fs_uniquifier)

    set_password(uow, user, "quiet orange lantern")

    assert not set(before) & {user.get_id(), user.password, user.fs_uniquifier}
    assert (user.failed_logins, user.locked_until) == (0, None)
    assert _refused(set_password, uow, user, "short") == ["password"]


def test_a_user_is_deactivated_and_activated_once(uow):
    user = create_user(uow, email="ada@crm.test", name="Ada")

    with pytest.raises(Conflict, match="active already"):
        activate_user(uow, user)
    deactivate_user(uow, user)
    with pytest.raises(Conflict, match="inactive already"):
        deactivate_user(uow, user)
    activate_user(uow, user)
    assert user.active


def test_the_last_active_administrator_stays(uow):
    first = create_user(uow, email="a@crm.test", name="A", roles=["administrator"])
    second = create_user(uow, email="b@crm.test", name="B", roles=["administrator"])
    deactivate_user(uow, second)

    with pytest.raises(Conflict, match="last active administrator"):
        deactivate_user(uow, first)
    with pytest.raises(Conflict, match="last active administrator"):
        unassign_role(uow, first, role_named(uow, "administrator"))
    activate_user(uow, second)
    unassign_role(uow, first, role_named(uow, "administrator"))


def test_an_unknown_address_says_how_to_list_the_users(uow):
    with pytest.raises(NotFound, match="crm users list"):
        user_by_email(uow, "nobody@crm.test")
    assert _refused(user_by_email, uow, "nonsense") == ["email"]


def test_a_team_has_a_name_of_its_own_and_a_parent_that_exists(uow):
    create_team(uow, name="North")

    assert _refused(create_team, uow, name="north") == ["name"]
    assert _refused(create_team, uow, name=" ", parent_id=99) == ["name", "parent"]


def test_a_team_never_stands_below_itself(uow):
    top = create_team(uow, name="Top")
    middle = create_team(uow, name="Middle", parent_id=top.id)
    low = create_team(uow, name="Low", parent_id=middle.id)

    assert _refused(update_team, uow, top, {"parent_id": low.id}) == ["parent"]
    assert _refused(update_team, uow, top, {"parent_id": top.id}) == ["parent"]
    assert _refused(update_team, uow, top, {"color": "red"}) == ["color"]
    update_team(uow, low, {"parent_id": top.id, "name": "Lower"})
    assert (low.parent_id, low.name) == (top.id, "Lower")


def test_a_team_with_members_or_teams_below_it_stays(uow):
    top = create_team(uow, name="Top")
    low = create_team(uow, name="Low", parent_id=top.id)
    user = create_user(uow, email="ada@crm.test", name="Ada", team_id=low.id)

    with pytest.raises(Conflict, match="1 teams"):
        delete_team(uow, top)
    with pytest.raises(Conflict, match="1 members"):
        delete_team(uow, low)
    update_user(uow, user, {"team_id": None})
    delete_team(uow, low)
    delete_team(uow, top)
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Team)).scalar() == 0


def test_a_role_grants_what_it_is_told_and_as_far(uow):
    role = create_role(uow, name="Clerk", description="Writes notes")

    grant(uow, role, "note.*", Scope.OWN)
    grant(uow, role, "note.*", Scope.TEAM)

    grants = uow.session.execute(sa.select(RolePermission).where(RolePermission.role_id == role.id)).scalars().all()
    assert [(found.permission, found.scope) for found in grants] == [("note.*", 2)]
    revoke(uow, role, "note.*")
    with pytest.raises(NotFound, match="no grant"):
        revoke(uow, role, "note.*")


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "permission", ["", "Note.read", "note..read", "note read", "nonsense.read", "note.raed", "*.nonsense"]
)
def test_a_permission_nobody_knows_is_not_granted(uow, permission):
    role = create_role(uow, name="Clerk")

    assert _refused(grant, uow, role, permission) == ["permission"]


def test_a_role_has_a_name_of_its_own(uow):
    role = create_role(uow, name="Clerk")

    assert _refused(create_role, uow, name="CLERK") == ["name"]
    assert _refused(update_role, uow, role, {"name": "reader"}) == ["name"]
    assert _refused(update_role, uow, role, {"builtin": True}) == ["builtin"]
    update_role(uow, role, {"name": "Clerks", "description": "d"})
    assert (role.name, role.description) == ("Clerks", "d")


def test_a_built_in_role_keeps_its_name_and_stays(uow):
    role = role_named(uow, "reader")

    with pytest.raises(Conflict, match="built in"):
        update_role(uow, role, {"name": "viewer"})
    with pytest.raises(Conflict, match="built in"):
        delete_role(uow, role)


def test_a_role_that_somebody_holds_stays(uow):
    role = create_role(uow, name="Clerk")
    grant(uow, role, "note.read")
    user = create_user(uow, email="ada@crm.test", name="Ada", roles=["Clerk"])

    with pytest.raises(Conflict, match="1 users hold"):
        delete_role(uow, role)
    unassign_role(uow, user, role)
    with pytest.raises(NotFound, match="does not hold"):
        unassign_role(uow, user, role)
    delete_role(uow, role)
    assert uow.session.execute(sa.select(Role).where(Role.name == "Clerk")).first() is None


def test_giving_a_role_twice_changes_nothing(uow):
    user = create_user(uow, email="ada@crm.test", name="Ada", roles=["reader"])
    before = user.session_epoch

    assign_role(uow, user, role_named(uow, "reader"))

    assert user.session_epoch == before


def test_an_unknown_role_is_named_with_those_there_are(uow):
    with pytest.raises(NotFound, match="administrator, manager, reader, representative"):
        role_named(uow, "nonsense")


def test_the_built_in_roles_are_made_once_and_keep_what_an_admin_changed(uow):
    revoke(uow, role_named(uow, "reader"), "*.read")

    assert ensure_builtin_roles(uow) == []
    assert uow.session.execute(sa.select(RolePermission).join(Role).where(Role.name == "reader")).first() is None
    assert uow.actor is SYSTEM
