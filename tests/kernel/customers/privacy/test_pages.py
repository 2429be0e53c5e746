"""Erasing by page and API, retention rules, and erasing again after a backup was restored."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.access.audit_chain.verifying import verify
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.holds import hold_customer
from crm_kernel.customers.privacy.models import Erasure, RetentionRule
from crm_kernel.customers.privacy.reapplying import reapply
from crm_kernel.customers.privacy.retention import CHUNK, create_rule, idle_number, run_chunk
from crm_kernel.errors import InvalidInput
from crm_kernel.touchpoints.models import Interaction


def names(unit):
    with unit() as uow:
        return set(uow.session.scalars(sa.select(Customer.display_name)))


def test_the_api_plans_and_erases(api, zanzi, unit):
    admin, path = api("administrator"), f"/api/customers/{zanzi[0].uid}/erasure"

    plan = admin.get(path)
    done = admin.post(path, {"reason": "request"})

    assert (plan.status_code, done.status_code) == (200, 200)
    assert {entry["table"] for entry in plan.json["entries"]} <= {entry["table"] for entry in done.json["entries"]}
    assert names(unit) == {"Friendly Byron"}
    assert admin.get(f"/api/erasures/{done.json['id']}").json["customers"] == 1
    assert admin.get(path).status_code == 404


def test_only_who_may_erases_and_only_whom_he_sees(api, zanzi, everything):
    path = f"/api/customers/{zanzi[0].uid}/erasure"
    clerk, blind = api("representative"), api(grants={"customer.read": "own", "customer.erase": "all"})
    before = everything()["customer"]

    answers = [
        client.open(method, path, json={}).status_code for client in (clerk, blind) for method in ("GET", "POST")
    ]

    assert answers == [403, 403, 404, 404]
    assert everything()["customer"] == before


def test_a_held_customer_is_refused_by_the_api(api, zanzi, unit):
    admin = api("administrator")
    held = admin.post("/api/legal-holds", {"customer": str(zanzi[0].uid), "reason": "Lawsuit"})

    plan = admin.get(f"/api/customers/{zanzi[0].uid}/erasure").json
    refused = admin.post(f"/api/customers/{zanzi[0].uid}/erasure", {})
    hold = f"/api/legal-holds/{held.json['id']}"
    released = admin.post(f"{hold}/release", {}, If_Match=admin.etag(hold))

    assert (held.status_code, refused.status_code, released.status_code) == (201, 409, 200)
    assert plan["holds"] == [{"id": held.json["id"], "reason": "Lawsuit", "since": held.json["since"]}]
    assert {entry["table"] for entry in plan["entries"]} > {"customer", "legal_hold"}
    assert "Lawsuit" in refused.json["detail"]
    assert admin.get(f"/api/customers/{zanzi[0].uid}/erasure").json["holds"] == []
    assert admin.post(f"/api/customers/{zanzi[0].uid}/erasure", {}).status_code == 200


def test_a_hold_on_one_who_was_merged_into_the_customer_is_told_before_it_refuses(
    api, login, zanzi, unit, customer_factory
):
    gone = customer_factory(kind="person", given_name="Gone", family_name="Lovelace")
    with unit() as uow:
        hold_customer(uow, {"customer_id": gone.id, "reason": "Lawsuit"})
        uow.session.get(Customer, gone.id).merged_into_id = zanzi[0].id

    plan = api("administrator").get(f"/api/customers/{zanzi[0].uid}/erasure").json
    page = login("administrator").get(f"/customers/{zanzi[0].uid}/privacy").text

    assert [hold["reason"] for hold in plan["holds"]] == ["Lawsuit"]
    assert "Lawsuit" in page
    assert "Erase for good" not in page


def test_the_api_erases_who_is_in_a_social_network(api, customer_factory, unit):
    her = customer_factory(contact_points=[{"channel": "social", "value": "jane.doe"}])

    done = api("administrator").post(f"/api/customers/{her.uid}/erasure", {})

    assert (done.status_code, names(unit)) == (200, set())


def test_the_page_erases_when_the_name_is_typed_and_shows_the_receipt(login, zanzi, unit):
    browser, path = login("administrator"), f"/customers/{zanzi[0].uid}/privacy"

    page = browser.get(path)
    wrong = browser.post(f"{path}/erase", data={"name": "Somebody"})
    kept = names(unit)
    done = browser.post(f"{path}/erase", data={"name": "Zanzibarina Lovelace"})
    receipt = browser.get(done.location)

    assert "gym_member" in page.text
    assert path in browser.get("/customers/" + str(zanzi[1].uid)).text.replace(str(zanzi[1].uid), str(zanzi[0].uid))
    assert (wrong.location, "Zanzibarina Lovelace" in kept) == (path, True)
    assert names(unit) == {"Friendly Byron"}
    assert "gym_member" in receipt.text


def test_the_page_gives_the_export(login, zanzi):
    answer = login("administrator").get(f"/customers/{zanzi[0].uid}/privacy/export")

    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert login("representative").get(f"/customers/{zanzi[0].uid}/privacy/export").status_code == 403
    assert login("representative").get(f"/customers/{zanzi[0].uid}/privacy").status_code == 403


def test_a_restored_backup_is_erased_again_and_nobody_else(unit, zanzi):
    her, _friend = zanzi
    with unit() as uow:
        digests = {erased_digest(her.uid)}
        (receipt,) = reapply(uow, digests).receipts
        assert (receipt.reason, receipt.customers) == ("reapplied", 1)

    assert names(unit) == {"Friendly Byron"}
    with unit() as uow:
        assert reapply(uow, digests).receipts == []
    with unit() as uow:
        assert verify(uow).found == 0


@pytest.fixture
def idle(unit, customer_factory):
    """Three prospects of long ago: one idle, one with a call last week, one held."""
    made = {name: customer_factory(kind="organization", display_name=name) for name in ("idle", "called", "held")}
    common = {"channel": "phone", "direction": "in", "kind": "call", "actor_name": "R", "source_plugin": "kernel"}
    with unit() as uow:
        long_ago = uow.now - dt.timedelta(days=1500)
        week_ago = uow.now - dt.timedelta(days=7)
        uow.session.add(Interaction(customer_id=made["called"].id, summary="x", occurred_at=week_ago, **common))
        hold_customer(uow, {"customer_id": made["held"].id, "reason": "Lawsuit"})
        uow.session.flush()
        uow.session.execute(sa.update(Customer).values(updated_at=long_ago))
    return made


def _run_all(unit):
    point, rounds = {}, 0
    while point is not None and rounds < 20:
        with unit() as uow:
            point = run_chunk(uow, {"checkpoint": point} if point else {})
        rounds += 1


def test_only_idle_customers_that_nothing_holds_are_erased_and_only_by_active_rules(unit, idle):
    with unit() as uow:
        rule = create_rule(
            uow,
            {
                "name": "three years",
                "months": 36,
                "condition": '{"field": "kind", "op": "eq", "value": "organization"}',
            },
        )
        assert idle_number(uow, rule) == 1
    _run_all(unit)
    assert "idle" in names(unit)
    with unit() as uow:
        uow.session.execute(sa.update(RetentionRule).values(active=True))

    _run_all(unit)

    assert names(unit) == {"called", "held"}
    with unit() as uow:
        receipt = uow.session.scalars(sa.select(Erasure)).one()
        assert (receipt.reason, receipt.rule, receipt.customers) == ("retention", "three years", 1)


def test_a_rule_narrows_by_its_condition_and_refuses_nonsense(unit, idle):
    with unit() as uow:
        rule = create_rule(
            uow, {"name": "persons", "months": 36, "condition": '{"field": "kind", "op": "eq", "value": "person"}'}
        )
        assert idle_number(uow, rule) == 0
        with pytest.raises(InvalidInput):
            create_rule(
                uow, {"name": "nonsense", "months": 36, "condition": '{"field": "gone", "op": "eq", "value": 1}'}
            )
        with pytest.raises(InvalidInput):
            create_rule(uow, {"name": "persons", "months": 1})


def test_a_rule_whose_field_is_gone_erases_nobody(unit, idle):
    with unit() as uow:
        condition = '{"field": "cf_gone", "op": "eq", "value": 1}'
        uow.session.add(RetentionRule(name="gone", months=1, condition=condition, active=True))

    _run_all(unit)

    assert names(unit) == {"idle", "called", "held"}


def test_many_are_erased_in_chunks_with_a_receipt_each(unit, idle, customer_factory):
    from uuid_utils.compat import uuid7

    with unit() as uow:
        long_ago = uow.now - dt.timedelta(days=1500)
        row = {"kind": "organization", "custom": {}, "created_at": long_ago, "updated_at": long_ago}
        many = [{**row, "uid": uuid7(), "display_name": f"n{n}", "sort_name": f"n{n}"} for n in range(CHUNK + 50)]
        uow.session.execute(sa.insert(Customer), many)
        create_rule(uow, {"name": "all", "months": 36, "active": True})

    _run_all(unit)

    assert names(unit) == {"called", "held"}
    with unit() as uow:
        assert sorted(uow.session.scalars(sa.select(Erasure.customers))) == [51, CHUNK]


def test_the_plan_names_records_beside_their_tables(login, zanzi):
    page = login("administrator").get(f"/customers/{zanzi[0].uid}/privacy").text

    assert "Customers <code>customer</code>" in page
