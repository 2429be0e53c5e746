"""Many records at once: the rules, the audit, the search and the events of one at a time."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records import bulk_rows
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.models import SearchEntry
from crm_kernel.records.plan import plan_of, record_type

ORGANIZATIONS = [{"kind": "organization", "display_name": name} for name in ("Acme", "Bolt", "Corp")]


@pytest.fixture
def keys(unit):
    """The keys of three organizations."""
    with unit() as uow:
        return create_many(uow, record_type("customer"), ORGANIZATIONS)


def test_created_records_are_audited_and_indexed_in_order(unit, keys):
    with unit() as uow:
        names = dict.fromkeys(keys) | {
            row[0]: row[1] for row in uow.session.execute(sa.select(Customer.id, Customer.display_name))
        }
        payloads = uow.session.scalars(
            sa.select(AuditPayload.after)
            .join(AuditLog, AuditLog.uid == AuditPayload.audit_uid)
            .where(AuditLog.record_type == "customer", AuditLog.action == "created")
            .order_by(AuditLog.id)
        ).all()
        words = uow.session.scalars(
            sa.select(SearchEntry.title).where(SearchEntry.record_type == "customer").order_by(SearchEntry.record_id)
        ).all()

    assert list(names.values()) == ["Acme", "Bolt", "Corp"]
    assert [payload["display_name"] for payload in payloads] == ["Acme", "Bolt", "Corp"]
    assert words == ["acme", "bolt", "corp"]


def test_nothing_is_written_when_a_row_is_refused_and_the_row_is_named(unit):
    rows = [*ORGANIZATIONS, {"kind": "person"}]

    with pytest.raises(InvalidInput) as refused, unit() as uow:
        create_many(uow, record_type("customer"), rows)

    assert [path.partition(".")[0] for path in refused.value.errors] == ["3"]
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count(Customer.id))) == 0


def test_only_what_differs_is_changed_audited_and_told(unit, keys, recorded_events):
    with unit() as uow:
        changed = update_many(
            uow, record_type("customer"), {keys[0]: {"display_name": "Acme"}, keys[1]: {"display_name": "Nut"}}
        )

    assert changed == [keys[1]]
    assert [(e.created, e.updated) for e in recorded_events(RecordsBulkChanged.name)] == [(3, 0), (0, 1)]
    with unit() as uow:
        versions = uow.session.execute(sa.select(Customer.version).order_by(Customer.id)).scalars().all()
        actions = uow.session.scalars(sa.select(AuditLog.action).order_by(AuditLog.id)).all()
    assert versions == [1, 2, 1]
    assert actions == ["created"] * 3 + ["updated"]


def test_a_record_out_of_the_actors_reach_is_not_changed(unit, keys):
    actor = Actor(kind="user", name="Rep", user_id=7, grants={"customer.*": Scope.OWN})

    with pytest.raises(Forbidden), unit(actor) as uow:
        update_many(uow, record_type("customer"), {keys[0]: {"display_name": "Mine"}})

    with unit() as uow:
        assert uow.session.get_one(Customer, keys[0]).display_name == "Acme"


def test_an_empty_call_does_nothing(unit, recorded_events):
    with unit() as uow:
        assert create_many(uow, record_type("customer"), []) == []
        assert update_many(uow, record_type("customer"), {}) == []

    assert recorded_events() == []


@pytest.mark.crm_plugins("toybank")
def test_types_with_single_services_get_these_and_tell_singly(toybank, unit, keys, recorded_events):
    rows = [{"customer_id": keys[0], "name": name} for name in ("Savings", "Giro")]

    with unit() as uow:
        accounts = create_many(uow, record_type("toybank.account"), rows)

    assert len(accounts) == 2
    assert [event.name for event in recorded_events("toybank.account_opened")] == ["toybank.account_opened"] * 2
    assert [e.record_type for e in recorded_events(RecordsBulkChanged.name)] == ["customer"]
    with unit() as uow:
        logged = uow.session.scalars(sa.select(AuditLog.action).where(AuditLog.record_type == "toybank.account")).all()
        assert logged == ["created", "created"]


@pytest.mark.crm_plugins("toybank")
def test_types_without_an_update_service_are_changed_by_core_with_audit_search_and_event(
    toybank, unit, keys, recorded_events
):
    with unit() as uow:
        rows = [{"customer_id": keys[0], "name": name} for name in ("Savings", "Giro")]
        accounts = create_many(uow, record_type("toybank.account"), rows)
    with unit() as uow:
        changed = update_many(
            uow, record_type("toybank.account"), {accounts[0]: {"name": "Thrift"}, accounts[1]: {"name": "Giro"}}
        )

    assert changed == [accounts[0]]
    with unit() as uow:
        plan = plan_of(record_type("toybank.account"))
        stored = bulk_rows.current_values(uow, plan, accounts, ["name", "version"])
        words = uow.session.scalars(
            sa.select(SearchEntry.title)
            .where(SearchEntry.record_type == "toybank.account")
            .order_by(SearchEntry.record_id)
        ).all()
    assert [tuple(stored[key].values()) for key in accounts] == [("Thrift", 2), ("Giro", 1)]
    assert words == ["thrift", "giro"]
    assert [(e.record_type, e.updated) for e in recorded_events(RecordsBulkChanged.name)][-1] == ("toybank.account", 1)


@pytest.mark.crm_plugins("toybank")
def test_types_without_services_are_inserted_with_their_defaults(toybank, crm_app, unit, keys):
    from dataclasses import replace

    from crm_kernel.records.record_type import Services

    with unit() as uow:
        bare = replace(record_type("toybank.account"), services=Services())
        accounts = create_many(
            uow, bare, [{"customer_id": keys[0], "name": "Savings"}, {"customer_id": keys[1], "name": "Giro"}]
        )
        found = bulk_rows.current_values(uow, plan_of(bare), accounts, ["name", "open", "version", "uid", "created_at"])

    assert [(row["name"], row["open"], row["version"]) for row in found.values()] == [
        ("Savings", True, 1),
        ("Giro", True, 1),
    ]
    assert len({row["uid"] for row in found.values()}) == 2


def test_the_owner_is_the_actor_where_none_is_named_and_none_where_that_is_said(unit):
    from crm_kernel.access.services import create_team, create_user

    with unit() as uow:
        team = create_team(uow, name="North")
        user = create_user(uow, email="rep@example.com", name="Rep", team_id=team.id)
        owner, team_id = user.id, team.id
    actor = Actor(kind="user", name="Rep", user_id=owner, grants=SYSTEM.grants)

    with unit(actor) as uow:
        create_many(uow, record_type("customer"), [ORGANIZATIONS[0], {**ORGANIZATIONS[1], "owner_id": None}])
        found = uow.session.execute(sa.select(Customer.owner_id, Customer.team_id).order_by(Customer.id)).all()

    assert [tuple(row) for row in found] == [(owner, team_id), (None, None)]


@pytest.mark.parametrize("named", ["nobody said", "none", "another", "another and a team"])
def test_one_record_and_many_get_the_same_owner_and_team(unit, named):
    from crm_kernel.access.services import create_team, create_user
    from crm_kernel.records.services import create_record

    with unit() as uow:
        north, south = create_team(uow, name="North"), create_team(uow, name="South")
        rep = create_user(uow, email="rep@example.com", name="Rep", team_id=north.id)
        other = create_user(uow, email="other@example.com", name="Other", team_id=south.id)
        actor = Actor(kind="user", name="Rep", user_id=rep.id, user_uid=rep.uid, grants=SYSTEM.grants)
        told, loaded, expected = {
            "nobody said": ({}, {}, (rep.id, north.id)),
            "none": ({"owner": None}, {"owner_id": None}, (None, None)),
            "another": ({"owner": str(other.uid)}, {"owner_id": other.id}, (other.id, south.id)),
            "another and a team": (
                {"owner": str(other.uid), "team": str(north.uid)},
                {"owner_id": other.id, "team_id": north.id},
                (other.id, north.id),
            ),
        }[named]

    with unit(actor) as uow:
        create_record(uow, record_type("customer"), {**ORGANIZATIONS[0], **told})
        create_many(uow, record_type("customer"), [{**ORGANIZATIONS[1], **loaded}])
        found = uow.session.execute(sa.select(Customer.owner_id, Customer.team_id)).all()

    assert [tuple(row) for row in found] == [expected, expected]
