"""What custom fields hold of a customer is there from the first moment, by page, API and bulk service alike."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.records.custom_fields.services import add_field


@pytest.fixture
def tier(unit):
    """Customers have the custom field ``cf_tier``."""
    with unit() as uow:
        add_field(uow, "customer", "tier", "text")


@pytest.mark.parametrize("kind", ["person", "organization", "household"])
def test_a_new_customer_keeps_the_custom_values_it_was_made_with(tier, factories, unit, kind):
    names = {"family_name": "Lovelace"} if kind == "person" else {"display_name": "Lovelace"}

    made = factories.record("customer", kind=kind, **names, cf_tier="gold")

    with unit() as uow:
        stored = uow.session.scalars(sa.select(Customer.custom).where(Customer.uid == made.uid)).one()
    assert stored == {"cf_tier": "gold"}


def test_a_customer_without_custom_values_has_none(tier, factories, unit):
    factories.person(family_name="Lovelace")

    with unit() as uow:
        assert uow.session.scalars(sa.select(Customer.custom)).all() == [{}]
