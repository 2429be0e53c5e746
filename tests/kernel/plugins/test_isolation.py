"""What fails while it runs: panels and tiles are isolated, rules are not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def crm_plugins(toybank: str, broken_site: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.syspath_prepend(str(broken_site))
    return ("badpanel", toybank)


@pytest.mark.crm_databases("sqlite")
def test_a_panel_that_raises_is_logged_and_the_page_lives_on(
    login: Any, customer_factory: Any, factories: Any, caplog: pytest.LogCaptureFixture
) -> None:
    customer = customer_factory()
    factories.record("toybank.account", customer=customer, name="Holiday money")

    with caplog.at_level(logging.ERROR):
        page = login("administrator").get(f"/customers/{customer.uid}")

    assert page.status_code == 200
    assert "Holiday money" in page.text
    assert "badpanel" in caplog.text
    assert "the panel exploded" in caplog.text
    assert "the panel exploded" not in page.text


@pytest.mark.crm_databases("sqlite")
def test_a_rule_that_raises_denies(
    crm_app: Any, api: Any, customer_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import crm_toybank.rules

    customer = customer_factory()
    admin = api("administrator")

    def explode(*_arguments: Any) -> None:
        raise ZeroDivisionError("the rule exploded")

    monkeypatch.setattr(crm_toybank.rules, "may_touch", explode)

    assert admin.get(f"/api/customers/{customer.uid}").status_code == 403


@pytest.mark.crm_databases("sqlite")
def test_a_visibility_rule_that_raises_shows_no_row(
    api: Any, customer_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import crm_toybank.rules

    customer = customer_factory(kind="organization", display_name="Nobody Sees")
    admin = api("administrator")

    def explode(*_arguments: Any) -> None:
        raise ZeroDivisionError("the rule exploded")

    monkeypatch.setattr(crm_toybank.rules, "hides_risky", explode)

    answer = admin.get(f"/api/customers/{customer.uid}")

    assert answer.status_code == 500
    assert "Nobody Sees" not in answer.text


@pytest.mark.crm_databases("sqlite")
def test_a_validation_that_raises_writes_nothing(
    api: Any, customer_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import crm_toybank.rules

    customer = customer_factory()
    admin = api("administrator")

    def explode(*_arguments: Any) -> None:
        raise ZeroDivisionError("the rule exploded")

    monkeypatch.setattr(crm_toybank.rules, "refuses_name", explode)

    answer = admin.post("/api/toybank/accounts", {"name": "Savings", "customer": str(customer.uid)})

    assert answer.status_code == 500
    assert admin.get("/api/toybank/accounts").json["items"] == []
