"""The same contact and the same sale told by several processes at one moment are stored once."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.services import create_customer
from crm_kernel.sales.models import Sale
from crm_kernel.sales.services import record_sale
from crm_kernel.touchpoints.models import Interaction
from crm_kernel.touchpoints.services import record_interaction

THREADS = 4
#: Longest wait of a thread for the others, in seconds: nobody waits so long who is not lost.
PATIENCE = 300


@pytest.fixture
def customer_id(unit):
    """Key of a customer that is committed."""
    with unit() as uow:
        return create_customer(uow, {"kind": "person", "family_name": "Lovelace"}).id


@pytest.fixture
def together(unit, customer_id):
    """Call ``tell(uow, customer)`` in several threads at once and return what each got."""

    def run(tell):
        found, barrier = [], threading.Barrier(THREADS)

        def work():
            barrier.wait(PATIENCE)
            with unit() as uow:
                found.append(tell(uow, uow.session.get(Customer, customer_id)).uid)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        return found

    return run


def test_a_contact_told_by_many_at_once_is_stored_once(together, unit):
    found = together(
        lambda uow, customer: record_interaction(
            uow,
            customer,
            kind="email",
            channel="email",
            direction="in",
            summary="Hello",
            source_plugin="css",
            external_ref="<1@mx>",
        )
    )

    assert (len(found), len(set(found))) == (THREADS, 1)
    with unit() as uow:
        assert uow.session.execute(sa.select(sa.func.count()).select_from(Interaction)).scalar() == 1


def test_a_sale_told_by_many_at_once_is_stored_and_told_once(together, unit, recorded_events):
    found = together(
        lambda uow, customer: record_sale(
            uow,
            title="Boat",
            amount=Decimal(10),
            currency="USD",
            channel="web",
            source_plugin="retail",
            external_ref="7",
            customer=customer,
        )
    )

    assert (len(found), len(set(found))) == (THREADS, 1)
    assert len(recorded_events("kernel.sale_recorded")) == 1
    with unit() as uow:
        assert uow.session.execute(sa.select(sa.func.count()).select_from(Sale)).scalar() == 1
