"""What a role hides of opportunities is on none of the module's own cards and figures."""

from __future__ import annotations

from typing import Any

import pytest

from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import restrict_field


@pytest.fixture
def seller(login: Any, unit: Any, factories: Any) -> Any:
    """Somebody with an open opportunity of 4,321.50 USD; ``seller.customer`` is whose, ``seller.hide`` hides a field."""
    client = login("representative", team="North")
    customer = factories.organization(owner=str(client.user.uid))
    given = {"name": "Forty chairs", "amount": "4321.5", "currency": "USD", "close_date": "2031-05-06"}
    factories.record("sfa.opportunity", customer=customer, owner=str(client.user.uid), **given)

    def hide(field: str) -> None:
        with unit() as uow:
            restrict_field(uow, role_named(uow, "representative"), "sfa.opportunity", field, "hidden")

    client.customer, client.hide = customer, hide
    return client


@pytest.mark.parametrize(
    ("field", "shown"), [("amount", "4,321.50"), ("base_amount", "4,321.50"), ("close_date", "May 6, 2031")]
)
def test_the_customers_card_and_what_is_in_progress_leave_out_what_is_hidden(
    seller: Any, field: str, shown: str
) -> None:
    page = f"/customers/{seller.customer.uid}"
    before = seller.get(page).text
    seller.hide(field)

    after = seller.get(page).text

    assert shown in before
    assert "Forty chairs" in after
    assert shown not in after


def test_the_start_page_sums_no_hidden_amounts(seller: Any) -> None:
    before = seller.get("/").text
    seller.hide("amount")

    after = seller.get("/").text

    assert "4,321.50" in before
    assert "My opportunities" in after
    assert "4,321.50" not in after


@pytest.mark.parametrize(("field", "status"), [("amount", 403), ("close_date", 403), ("lost_note", 200)])
def test_the_dashboard_is_refused_to_who_does_not_see_what_it_sums(seller: Any, field: str, status: int) -> None:
    seller.hide(field)

    answer = seller.get("/sfa/dashboard")

    assert answer.status_code == status
    assert (field in answer.text) == (status == 403)


def test_the_dashboard_has_no_chart_by_a_hidden_region(seller: Any) -> None:
    seller.hide("region")

    page = seller.get("/sfa/dashboard").text

    assert "Won by region" not in page
    assert "Open opportunities by stage" in page
