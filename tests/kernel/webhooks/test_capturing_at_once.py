"""Two messages about one customer nobody knows yet, handled at the same moment: he is made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa

from crm_kernel import capture_customer
from crm_kernel.customers.models import Customer

BY_EMAIL = {"contact_points": [{"channel": "email", "value": "ada@crm.test"}]}
BY_KEY = {"source": "shop", "external_ref": "4711"}


@pytest.mark.parametrize("known_by", [BY_EMAIL, BY_KEY], ids=["e-mail", "key of another system"])
def test_one_new_customer_told_of_twice_at_once_is_made_once(unit, known_by):
    ada = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace", **known_by}
    done = Event()

    def second():
        with unit() as uow:
            outcome = capture_customer(uow, ada).outcome
            done.set()
        return outcome

    with ThreadPoolExecutor(1) as pool:
        with unit() as uow:
            first = capture_customer(uow, ada).outcome
            other = pool.submit(second)
            waited = not done.wait(0.7)

        assert (first, waited, other.result(30)) == ("created", True, "found")
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 1
