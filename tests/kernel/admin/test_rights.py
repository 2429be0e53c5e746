"""The matrix of rights and the editor of a role: who gains and who loses, and what nobody may give or take."""

from __future__ import annotations

import html
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.grants import read_reach
from crm_kernel.access.models import AppUser, AuditLog, FieldRule, Role, RolePermission, UserRole
from crm_kernel.access.services import assign_role, create_role, grant, revoke, role_named
from crm_kernel.access.services.field_rules import free_field, restrict_field
from crm_kernel.access.services.limits import covers
from crm_kernel.errors import Conflict, Forbidden
from crm_kernel.testing.people import add_user
from crm_kernel.web.admin.rights.changes import apply, outcome_of


@pytest.fixture
def path_of(unit):
    """The address of a role's editor: ``path_of("reader")``."""

    def find(name):
        with unit() as uow:
            return f"/admin/rights/{uow.session.scalars(sa.select(Role.uid).where(Role.name == name)).one()}"

    return find


@pytest.fixture
def grants(unit):
    """What a role says itself: ``grants("reader")`` → pattern → scope."""

    def read(name):
        query = sa.select(RolePermission.permission, RolePermission.scope).join(Role).where(Role.name == name)
        with unit() as uow:
            return dict(uow.session.execute(query).all())

    return read


def test_the_matrix_says_how_far_roles_really_reach(admin):
    page = admin.get("/admin/rights").text

    row = re.search(r"<tr[^>]*><th[^>]*>[^<]*<code>customer.update</code>.*?</tr>", page, re.S)[0]
    said = re.findall(r'data-label="(\w+)">(.*?)</td>', row, re.S)
    assert [(role, re.sub(r"<[^>]+>", "", cell).strip()) for role, cell in said] == [
        ("administrator", "All records"),
        ("manager", "All records"),
        ("reader", "–"),
        ("representative", "Records of the team"),
    ]
    assert admin.get("/admin/rights?module=nothing").status_code == 404


def test_the_preview_counts_who_gains_and_who_loses_with_their_other_roles(admin, send, path_of, grants, unit):
    with unit() as uow:
        for name in ("Ann", "Bob", "Cat"):
            add_user(uow, "reader", name=name)
        both = uow.session.scalars(sa.select(AppUser).where(AppUser.name == "Cat")).one()
        assign_role(uow, both, role_named(uow, "manager"))

    page = html.unescape(send(admin, path_of("reader"), **{"grant-customer.update": "all", "grant-*.read": ""}).text)

    assert "2 users gain, 3 lose." in page
    assert "3 users hold the role" in page
    row = re.search(r"<code>customer.update</code></th>(.*?)</tr>", page, re.S)[1]
    assert "Ann, Bob" in row
    assert "Cat" not in row
    assert "crm roles grant reader customer.update --scope all" in page
    assert "crm roles revoke reader '*.read'" in page
    assert grants("reader") == {"*.read": 3}


def test_a_preview_runs_no_more_queries_for_many_holders(admin, send, path_of, unit, count_queries):
    def preview():
        with count_queries() as queries:
            page = html.unescape(send(admin, path_of("reader"), **{"grant-customer.update": "all"}).text)
        return len(queries), page

    with unit() as uow:
        add_user(uow, "reader", name="First")
    few, _page = preview()
    with unit() as uow:
        for number in range(20):
            add_user(uow, "reader", name=f"Reader {number}")
    many, page = preview()

    assert "21 users gain, 0 lose." in page
    assert many <= few


def test_a_preview_says_what_the_change_then_does(unit):
    with unit() as uow:
        role = create_role(uow, name="narrow")
        grant(uow, role, "*", Scope.OWN)
        grant(uow, role, "customer.read", Scope.ALL)
        user = add_user(uow, "narrow", name="Nora")
        assign_role(uow, user, role_named(uow, "reader"))
        wanted = {"*": None, "customer.update": Scope.TEAM, "customer.read": None, "sale.*": Scope.ALL}

        told = outcome_of(uow, role, wanted)
        before = read_reach(uow.session, user.id).grants
        apply(uow, role, wanted)
        after = read_reach(uow.session, user.id).grants

    for permission in (effect.permission for effect in told.effects):
        assert before.widest(permission) != after.widest(permission)
    gained = {effect.permission for effect in told.effects if effect.gain}
    lost = {effect.permission for effect in told.effects if effect.lose}
    assert {"customer.update", "sale.create"} <= gained
    assert "interaction.create" in lost
    assert not {"customer.read", "product.read"} & (gained | lost)


def test_a_confirmed_change_holds_and_is_audited(admin, send, path_of, grants, unit):
    answer = send(admin, path_of("reader"), **{"grant-customer.update": "team", "step": "do"})

    assert answer.status_code == 303
    assert grants("reader") == {"*.read": 3, "customer.update": 2}
    about = sa.select(AuditLog.actor, AuditLog.record_type, AuditLog.action)
    with unit() as uow:
        rows = uow.session.execute(about.where(AuditLog.channel == "web")).all()
    assert [tuple(row) for row in rows] == [("Administrator", "role", "updated")]


def test_a_new_pattern_is_granted_from_the_same_form(admin, send, path_of, grants):
    send(admin, path_of("reader"), pattern="interaction.*", pattern_scope="own", step="do")

    assert grants("reader")["interaction.*"] == 1
    assert "<code>interaction.*</code>" in admin.get(path_of("reader")).text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"pattern": "no such thing", "pattern_scope": "all"}, 422, "expected a permission such as"),
        ({"pattern": "nothing.at.all", "pattern_scope": "all"}, 422, "covers no permission"),
        ({"grant-customer.read": "everywhere"}, 422, "expected one of: own, team, all"),
        ({"grant-customer.read": ""}, 200, "Nothing was changed."),
    ],
)
def test_what_cannot_be_granted_is_said_above_the_form(admin, send, path_of, grants, fields, status, said):
    answer = send(admin, path_of("reader"), **fields)

    assert answer.status_code == status
    assert said in html.unescape(answer.text)
    assert grants("reader") == {"*.read": 3}


@pytest.mark.parametrize("scope", ["", "own", "team"])
def test_administrators_are_never_locked_out(admin, send, path_of, grants, scope):
    answer = send(admin, path_of("administrator"), **{"grant-*": scope, "step": "do"})

    assert answer.status_code == 409
    assert "nobody could give it back" in answer.text
    assert grants("administrator") == {"*": 3}


def test_the_service_keeps_administrators_too(unit):
    with unit() as uow:
        role = role_named(uow, "administrator")
        with pytest.raises(Conflict):
            revoke(uow, role, "*")
        with pytest.raises(Conflict):
            grant(uow, role, "*", Scope.TEAM)
        grant(uow, role, "*", Scope.ALL)


@pytest.mark.parametrize(
    ("held", "limits", "asked", "scope", "expected"),
    [
        ({"*": Scope.ALL},           None,              "sfa.*",           Scope.ALL,  True),
        ({"customer.*": Scope.ALL},  None,              "customer.update", Scope.ALL,  True),
        ({"customer.*": Scope.TEAM}, None,              "customer.update", Scope.ALL,  False),
        ({"customer.*": Scope.TEAM}, None,              "customer.update", Scope.TEAM, True),
        ({"customer.read": Scope.ALL}, None,            "customer.*",      Scope.OWN,  False),
        ({"*.read": Scope.ALL},      None,              "customer.read",   Scope.ALL,  True),
        ({"*.read": Scope.ALL},      None,              "*",               Scope.OWN,  False),
        ({"*": Scope.ALL},           ("customer.*",),   "sale.read",       Scope.OWN,  False),
        ({"*": Scope.ALL},           ("customer.*",),   "*",               Scope.OWN,  False),
        ({"*": Scope.ALL},           ("customer.*",),   "customer.*",      Scope.ALL,  True),
    ],
)  # fmt: skip
def test_only_what_one_holds_covers_what_is_given(held, limits, asked, scope, expected):
    actor = Actor(kind="user", name="Rae", user_id=1, grants=held, token_scopes=limits)

    assert covers(actor, asked, scope) is expected


def test_who_changes_roles_gives_no_more_than_he_has(login, send, path_of, grants, unit):
    clerk = login(grants={"role.*": "all", "user.*": "all", "customer.read": "all"})

    more = send(clerk, path_of("reader"), **{"grant-customer.update": "own", "step": "do"})
    same = send(clerk, path_of("reader"), **{"grant-customer.read": "all", "step": "do"})

    assert (more.status_code, same.status_code) == (403, 303)
    assert "cannot give what he does not have: customer.update" in more.text
    assert grants("reader") == {"*.read": 3, "customer.read": 3}
    with unit() as uow:
        reach = read_reach(uow.session, clerk.user.id)
        actor = Actor(kind="user", name="Clerk", user_id=clerk.user.id, grants=reach.grants)
    with pytest.raises(Forbidden), unit(actor) as uow:
        assign_role(uow, uow.session.get_one(AppUser, clerk.user.id), role_named(uow, "administrator"))
    with unit() as uow:
        held = sa.select(sa.func.count()).select_from(UserRole).where(UserRole.user_id == clerk.user.id)
        assert uow.session.scalar(held) == 1


def test_a_field_that_is_hidden_from_somebody_is_not_freed_by_him(unit):
    rules = {"customer": {"notes": "hidden"}}
    actor = Actor(kind="user", name="Rae", user_id=1, grants={"role.*": Scope.ALL}, field_rules=rules)
    with unit() as uow:
        restrict_field(uow, role_named(uow, "reader"), "customer", "notes", "hidden")

    with pytest.raises(Forbidden), unit(actor) as uow:
        free_field(uow, role_named(uow, "reader"), "customer", "notes")


@pytest.fixture
def half_blind(unit):
    """Somebody who may do everything with roles, and from whom the notes of customers are hidden."""
    rules = {"customer": {"notes": "hidden"}}
    held = {"role.*": Scope.ALL, "user.*": Scope.ALL, "customer.*": Scope.ALL}
    with unit() as uow:
        user = add_user(uow, None, name="Rae", grants={"customer.read": "all"})
        actor = Actor(kind="user", name="Rae", user_id=user.id, grants=held, field_rules=rules)
        grant(uow, create_role(uow, name="open"), "customer.read")
        grant(uow, create_role(uow, name="same"), "customer.read")
        restrict_field(uow, role_named(uow, "same"), "customer", "notes", "hidden")
        create_role(uow, name="empty")
    return actor


def test_nobody_gives_himself_a_role_that_shows_what_is_hidden_from_him(half_blind, unit):
    with pytest.raises(Forbidden, match=r"customer\.notes"), unit(half_blind) as uow:
        assign_role(uow, uow.session.get_one(AppUser, half_blind.user_id), role_named(uow, "open"))

    with unit(half_blind) as uow:
        assign_role(uow, uow.session.get_one(AppUser, half_blind.user_id), role_named(uow, "same"))


@pytest.mark.parametrize("permission", ["customer.read", "customer.*", "customer.update"])
def test_nobody_opens_a_hidden_field_by_granting_its_type_to_a_role_without_a_rule(half_blind, unit, permission):
    with pytest.raises(Forbidden, match=r"customer\.notes"), unit(half_blind) as uow:
        grant(uow, role_named(uow, "empty"), permission)

    with unit(half_blind) as uow:
        grant(uow, role_named(uow, "same"), permission)
        grant(uow, role_named(uow, "empty"), "user.read")


def test_what_somebody_only_reads_he_lets_nobody_write(unit):
    rules = {"customer": {"notes": "read"}}
    actor = Actor(kind="user", name="Rae", grants={"role.*": Scope.ALL, "customer.*": Scope.ALL}, field_rules=rules)
    with unit() as uow:
        create_role(uow, name="empty")

    with unit(actor) as uow:
        grant(uow, role_named(uow, "empty"), "customer.read")
    with pytest.raises(Forbidden, match=r"customer\.notes"), unit(actor) as uow:
        grant(uow, role_named(uow, "empty"), "customer.update")


def test_a_hidden_field_is_not_made_readable_by_whom_it_is_hidden_from(half_blind, unit):
    with pytest.raises(Forbidden), unit(half_blind) as uow:
        restrict_field(uow, role_named(uow, "same"), "customer", "notes", "read")

    with unit(half_blind) as uow:
        restrict_field(uow, role_named(uow, "open"), "customer", "notes", "hidden")


def test_freeing_a_field_without_a_rule_is_said_on_the_page(admin, send, path_of):
    path = path_of("reader")

    answer = send(admin, f"{path}/fields", record_type="customer", field="notes", access="")

    assert answer.status_code == 303
    assert "has no rule for customer.notes" in html.unescape(admin.get(path).text)


def test_doing_a_change_reads_nobodys_reach(admin, send, path_of, unit, count_queries):
    with unit() as uow:
        for number in range(8):
            add_user(uow, "reader", name=f"Reader {number}")

    with count_queries() as doing:
        send(admin, path_of("reader"), **{"grant-customer.update": "team", "step": "do"})
    with count_queries() as showing:
        send(admin, path_of("reader"), **{"grant-customer.update": "all"})

    def read(queries):
        return [
            found for found in queries.statements if found.startswith("SELECT user_role.user_id, user_role.role_id")
        ]

    assert (len(read(showing)), len(read(doing))) == (1, 0)


def test_fields_are_restricted_and_freed_beside_the_grants(admin, send, path_of, unit):
    path = path_of("reader")

    send(admin, f"{path}/fields", record_type="customer", field="notes", access="hidden")
    shown = admin.get(path).text
    wrong = send(admin, f"{path}/fields", record_type="customer", field="nothing", access="hidden")
    with unit() as uow:
        rules = [(rule.field, rule.access) for rule in uow.session.scalars(sa.select(FieldRule))]
    send(admin, f"{path}/fields", record_type="customer", field="notes", access="")

    assert rules == [("notes", "hidden")]
    assert "crm roles fields free reader customer notes" in shown
    assert wrong.status_code == 303
    with unit() as uow:
        assert uow.session.scalars(sa.select(FieldRule)).all() == []


def test_holders_lead_to_the_page_that_says_why(admin, path_of):
    page = admin.get(path_of("administrator")).text

    assert f"/access/explain?user={admin.user.uid}" in page


def test_who_may_not_change_roles_opens_nothing(login, send, path_of, grants):
    reader = login("reader")

    assert reader.get("/admin/rights").status_code == 403
    assert reader.get(path_of("reader")).status_code == 403
    assert send(reader, path_of("reader"), **{"grant-*": "all", "step": "do"}).status_code == 403
    assert (
        send(reader, f"{path_of('reader')}/fields", record_type="customer", field="notes", access="").status_code == 403
    )
    assert grants("reader") == {"*.read": 3}
