"""Whose rows an import writes: it asks the policy that pages and the API ask."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Forbidden
from crm_kernel.records.bulk import update_many
from crm_kernel.records.importing import chunks

GOOD = "Ref,Name,Employees,Mail,Phone\nA1,Acme,12,sales@acme.com,+33 1 42 68 53 00\nA2,Bolt,,,\n"


def test_an_actor_without_permission_is_refused_before_anything(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)
    reader = Actor(kind="user", name="Reader", user_id=1, grants={"customer.read": Scope.ALL})

    with pytest.raises(Forbidden, match=r"customer\.create"):
        run(accounts, actor=reader)

    assert rows_of("customer", "display_name") == []


def test_an_import_does_not_reach_records_the_actor_cannot_see(write, run, accounts, rows_of, unit, verdicts):
    from crm_kernel.access.services import create_user

    write("accounts.csv", GOOD)
    run(accounts)
    with unit() as uow:
        user = create_user(uow, email="rep@example.com", name="Rep")
        grants = {"customer.*": Scope.OWN}
        actor = Actor(kind="user", name="Rep", user_id=user.id, user_uid=user.uid, grants=grants)
    write("accounts.csv", GOOD.replace("Acme", "Stolen") + "A9,Mine,,,\n")

    result = run(accounts, actor=actor)

    assert verdicts(result) == {"created": 1, "refused": 2}
    assert {row["display_name"] for row in rows_of("customer", "display_name")} == {"Acme", "Bolt", "Mine"}
    assert rows_of("customer", "display_name", actor=actor) == [{"display_name": "Mine"}]


@pytest.fixture
def office(write, run, accounts, unit):
    """Four stored accounts: of a representative, of his team, of another team and of nobody; gives the actor."""
    from crm_kernel.access.services import create_team, create_user

    write("accounts.csv", "Ref,Name,Employees\nA1,Own,1\nA2,Team,1\nA3,Foreign,1\nA4,Free,1\n")
    run(accounts)
    with unit() as uow:
        north, south = create_team(uow, name="North"), create_team(uow, name="South")
        rep = create_user(uow, email="rep@example.com", name="Rep", team_id=north.id)
        mate = create_user(uow, email="mate@example.com", name="Mate", team_id=north.id)
        other = create_user(uow, email="other@example.com", name="Other", team_id=south.id)
        for name, owner in (("Own", rep), ("Team", mate), ("Foreign", other)):
            statement = sa.update(Customer).where(Customer.display_name == name)
            uow.session.execute(statement.values(owner_id=owner.id, team_id=owner.team_id))
        known = {"user_id": rep.id, "user_uid": rep.uid, "team_ids": (north.id,)}

    def actor(scope):
        grants = {"customer.read": Scope.ALL, "customer.create": Scope.ALL, "customer.update": scope}
        return Actor(kind="user", name="Rep", grants=grants, **known)

    return actor


@pytest.mark.parametrize(
    ("scope", "expected", "rows"),
    [
        (Scope.OWN, {"created": 1, "updated": 1, "unchanged": 1, "refused": 2}, [3, 4]),
        (Scope.TEAM, {"created": 1, "updated": 2, "unchanged": 1, "refused": 1}, [4]),
    ],
)
def test_rows_about_records_the_actor_sees_and_may_not_change_are_refused_by_themselves(
    write, run, accounts, office, rows_of, scope, expected, rows, verdicts
):
    # The last stored one is nobody's, and the file says what is stored: there is nothing to refuse.
    write("accounts.csv", "Ref,Name,Employees\nA1,Own,2\nA2,Team,2\nA3,Foreign,2\nA4,Free,1\nA5,New,2\n")

    result = run(accounts, actor=office(scope))

    assert (verdicts(result), result.failure) == (expected, None)
    assert [error.row for error in result.sources[0].errors] == rows
    assert "a record that Rep may change" in result.sources[0].errors[0].expected
    stored = {row["display_name"]: row["employees"] for row in rows_of("customer", "display_name", "employees")}
    assert (stored["Own"], stored["Foreign"], stored["New"]) == (2, 1, 2)


def test_a_record_that_a_modules_policy_protects_refuses_its_row_only(
    write, run, accounts, rows_of, monkeypatch, verdicts
):
    write("accounts.csv", GOOD)
    run(accounts)

    def write_or_refuse(uow, record_type, changes, *, extensions=None):
        names = [row.get("display_name") for row in changes.values()]
        if "Stolen" in names:
            raise Forbidden("Acme is protected.")
        return update_many(uow, record_type, changes, extensions=extensions)

    monkeypatch.setattr(chunks, "update_many", write_or_refuse)
    write("accounts.csv", GOOD.replace("Acme", "Stolen").replace("Bolt", "Nut"))

    result = run(accounts)

    assert (verdicts(result), result.failure) == ({"updated": 1, "refused": 1}, None)
    assert {row["display_name"] for row in rows_of("customer", "display_name")} == {"Acme", "Nut"}
