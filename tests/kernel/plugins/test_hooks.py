"""One test per hook of the kernel: a real plugin implements it, and what it promises happens."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.policy import allowed
from crm_kernel.contributions import Health
from crm_kernel.database import utcnow
from crm_kernel.testing.apps import build

#: Reads customers and accounts, and may not visit the branch.
CLERK = {"customer.read": "all", "toybank.account.*": "all"}


@pytest.fixture
def crm_plugins(toybank: str) -> tuple[str, ...]:
    return (toybank,)


@pytest.fixture
def registry(crm_app: Any) -> Any:
    return runtime_of(crm_app).registry


@pytest.fixture
def models() -> Any:
    import crm_toybank.models

    return crm_toybank.models


@pytest.fixture
def account_factory(factories: Any) -> Callable[..., Any]:
    return lambda customer, name="Savings": factories.record("toybank.account", customer=customer, name=name)


def test_hook_crm_register_settings(crm_app: Any) -> None:
    settings = {"toybank": {"default_risk": "5"}}
    url = crm_app.config["SQLALCHEMY_DATABASE_URI"]

    changed = build(url, ("toybank",), plugin_settings=settings)

    assert runtime_of(crm_app).settings["toybank.default_risk"] == 3
    assert runtime_of(changed).settings["toybank.default_risk"] == 5


def test_hook_crm_register_permissions(registry: Any) -> None:
    assert registry.permissions()["toybank.branch.visit"] == "Open the branch page"


def test_hook_crm_register_record_types(api: Any, customer_factory: Any) -> None:
    customer = customer_factory()
    clerk = api(grants=CLERK)

    created = clerk.post("/api/toybank/accounts", {"name": "Savings", "customer": str(customer.uid)})

    assert created.status_code == 201, created.json
    assert clerk.get(f"/api/toybank/accounts/{created.json['id']}").json["name"] == "Savings"


def test_hook_crm_register_extensions(api: Any, customer_factory: Any) -> None:
    customer = customer_factory()
    admin = api("administrator")

    changed = admin.patch(f"/api/customers/{customer.uid}", {"extensions": {"toybank": {"risk": 4}}})

    assert changed.status_code == 200, changed.json
    assert admin.get(f"/api/customers/{customer.uid}").json["extensions"]["toybank"]["risk"] == 4


def test_hook_crm_register_blueprints(login: Any) -> None:
    assert login(grants={"toybank.branch.visit": "all"}).get("/toybank/branch").text == "The branch is open."
    assert login(grants=CLERK).get("/toybank/branch").status_code == 403


def test_a_plugins_endpoint_answers_as_the_api_does(
    api: Any, login: Any, customer_factory: Any, account_factory: Any
) -> None:
    account_factory(customer_factory())

    answer, refused = api(grants=CLERK).get("/api/toybank/totals"), api(grants={}).get("/api/toybank/totals")

    assert (answer.status_code, answer.json) == (200, {"open": 1, "closed": 0})
    assert (refused.status_code, refused.content_type) == (403, "application/problem+json")
    described = api("administrator").get("/api/openapi.json").json["paths"]["/api/toybank/totals"]["get"]
    assert described["summary"] == "Count the accounts, open and closed ones."
    assert {"200", "401", "403", "503"} <= set(described["responses"])


def test_hook_crm_register_nav(login: Any) -> None:
    assert 'href="/toybank/branch"' in login("administrator").get("/").text
    assert 'href="/toybank/branch"' not in login(grants=CLERK).get("/").text


def test_hook_crm_register_panels(login: Any, customer_factory: Any, account_factory: Any) -> None:
    customer = customer_factory()
    account_factory(customer, "Holiday money")

    assert "Holiday money" in login(grants=CLERK).get(f"/customers/{customer.uid}").text
    assert "Holiday money" not in login(grants={"customer.read": "all"}).get(f"/customers/{customer.uid}").text


def test_hook_crm_register_dashboard_tiles(login: Any) -> None:
    assert "Open accounts" in login(grants=CLERK).get("/").text
    assert "Open accounts" not in login(grants={"customer.read": "all"}).get("/").text


def test_hook_crm_register_events(customer_factory: Any, account_factory: Any, recorded_events: Any) -> None:
    customer = customer_factory()

    account = account_factory(customer)

    assert [event.account_id for event in recorded_events("toybank.account_opened")] == [account.uid]


def test_hook_crm_register_subscribers(
    customer_factory: Any, account_factory: Any, deliver_events: Any, unit: Any, models: Any
) -> None:
    account = account_factory(customer_factory())

    deliver_events()

    with unit() as uow:
        assert uow.session.scalars(sa.select(models.Note.text)).all() == [f"opened {account.uid}"]


def test_hook_crm_register_jobs(registry: Any, deliver_events: Any, unit: Any, models: Any) -> None:
    from crm_kernel.jobs.models import JobRow

    with unit() as uow:
        uow.session.add(
            JobRow(module="toybank", name="toybank.write_note", payload={"text": "from a job"}, run_at=uow.now)
        )

    deliver_events()

    assert registry.get("jobs", "toybank.write_note") is not None
    with unit() as uow:
        assert uow.session.scalars(sa.select(models.Note.text)).all() == ["from a job"]


def test_hook_crm_register_health_checks(crm_app: Any, registry: Any) -> None:
    with crm_app.app_context():
        result = registry.get("health_checks", "toybank.vault").run()

    assert (result.health, result.message) == (Health.OK, "The vault is closed.")


def test_hook_crm_register_import_mappings(crm_app: Any) -> None:
    from crm_kernel.records.importing.mapping import load_mapping

    with crm_app.app_context():
        assert load_mapping("toybank_accounts").sources[0].record_type == "toybank.account"


def test_hook_crm_register_demo_data(registry: Any, customer_factory: Any, unit: Any, models: Any) -> None:
    customer_factory()

    with unit() as uow:
        registry.get("demo_data", "toybank.accounts").load(uow, Random(1), utcnow())

    with unit() as uow:
        assert uow.session.scalars(sa.select(models.Account.name)).one().startswith("Demo account ")


def test_hook_crm_register_contact_rules(api: Any, customer_factory: Any, unit: Any) -> None:
    from crm_kernel import contactable, may_contact

    points = [{"channel": "email", "value": "ada@crm.test"}]
    customer = customer_factory(contact_points=points)
    api("administrator").patch(f"/api/customers/{customer.uid}", {"extensions": {"toybank": {"risk": 9}}})

    with unit() as uow:
        verdict = may_contact(uow, customer.uid, channel="email", purpose="marketing")
        audience = uow.session.scalars(contactable("email", "survey", uow.now)).all()

    assert [(r.rule, r.reason, r.text) for r in verdict.refusals if r.rule == "toybank.risk"] == [
        ("toybank.risk", "too_risky", "Too risky")
    ]
    assert len(audience) == 1


def test_hook_crm_register_palette_commands(login: Any) -> None:
    clerk, stranger = login(grants=CLERK), login(grants={"customer.read": "all"})

    found = [item["url"] for group in clerk.get("/palette?q=depos").json for item in group["items"]]
    hidden = [item["url"] for group in stranger.get("/palette?q=depos").json for item in group["items"]]

    assert "/toybank/accounts?name=Savings" in found
    assert "/toybank/accounts?name=Savings" not in hidden


def test_hook_crm_register_notification_kinds(api: Any, customer_factory: Any) -> None:
    customer, clerk = customer_factory(given_name="Ada", family_name=None), api(grants=CLERK)
    boss = api("administrator", name="Boss")

    boss.patch(f"/api/customers/{customer.uid}", {"owner": str(clerk.user.uid)})

    assert [told["text"] for told in clerk.get("/api/notifications").json["items"]] == [
        "Boss made you the adviser of Ada"
    ]


def test_hook_crm_register_rule_actions(
    api: Any, customer_factory: Any, unit: Any, models: Any, deliver_events: Any
) -> None:
    administrator = api("administrator")
    said = {"name": "Note", "record_type": "customer", "event": "kernel.customer_created"}
    made = administrator.post("/api/rules", {**said, "actions": [{"action": "toybank.note_customer"}]})
    path = f"/api/rules/{made.json['id']}"
    administrator.post(f"{path}/enable", If_Match=administrator.etag(path))

    customer = customer_factory()
    deliver_events()

    with unit() as uow:
        assert uow.session.scalars(sa.select(models.Note.text)).all() == [f"rule for {customer.uid}"]


def test_hook_crm_authorize(crm_app: Any, customer_factory: Any, account_factory: Any, api: Any) -> None:
    customer = customer_factory()
    frozen, free = account_factory(customer, "frozen assets"), account_factory(customer, "Savings")
    admin = api("administrator")

    assert admin.post(f"/api/toybank/accounts/{frozen.uid}/close").status_code == 403
    assert admin.get(f"/api/toybank/accounts/{frozen.uid}").status_code == 200
    with crm_app.app_context():
        assert not allowed(SYSTEM, "toybank.account.close", frozen)
        assert allowed(SYSTEM, "toybank.account.close", free)


def test_hook_crm_visibility(api: Any, customer_factory: Any) -> None:
    customer = customer_factory()
    admin = api("administrator")
    admin.patch(f"/api/customers/{customer.uid}", {"extensions": {"toybank": {"risk": 9}}})

    seen = {who: api(grants=grants).get(f"/api/customers/{customer.uid}").status_code for who, grants in (
        ("clerk", CLERK), ("branch", {**CLERK, "toybank.branch.visit": "all"}),
    )}  # fmt: skip

    assert seen == {"clerk": 404, "branch": 200}


def test_hook_crm_validate(api: Any, customer_factory: Any) -> None:
    customer = customer_factory()

    refused = api("administrator").post("/api/toybank/accounts", {"name": "test", "customer": str(customer.uid)})

    assert refused.status_code == 422
    assert "An account is not called test." in refused.text


def test_hook_crm_customer_context(login: Any, customer_factory: Any, account_factory: Any) -> None:
    customer = customer_factory()
    account = account_factory(customer, "Mortgage")

    page = login("administrator").get(f"/customers/{customer.uid}").text

    assert f"/toybank/accounts/{account.uid}" in page
