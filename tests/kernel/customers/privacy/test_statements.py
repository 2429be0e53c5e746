"""How many statements a customer costs who is erased or made anonymous: no more with more rows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.privacy.anonymising import anonymise_many
from crm_kernel.customers.privacy.erasing import erase_many
from crm_kernel.customers.privacy.subject import SubjectMap
from crm_kernel.testing.queries import count_queries
from crm_kernel.touchpoints.models import Interaction


@pytest.mark.parametrize(("act", "reason"), [(erase_many, "request"), (anonymise_many, "retention")])
def test_the_statements_do_not_grow_with_the_rows(unit, zanzi, act, reason):
    her, friend = zanzi
    common = {"channel": "phone", "direction": "in", "kind": "call", "actor_name": "Rep", "source_plugin": "kernel"}
    with unit() as uow:
        rows = [{"customer_id": her.id, "summary": f"call {n}", "body": None, **common} for n in range(500)]
        uow.session.execute(sa.insert(Interaction), rows)

    numbers = []
    for customer in (her, friend):
        with unit() as uow:
            known = SubjectMap.read(uow)
            with count_queries() as queries:
                act(uow, [customer.id], reason=reason, known=known)
            numbers.append(len(queries))

    assert numbers[0] - numbers[1] <= 12  # what her two addresses cost, to be suppressed
    assert max(numbers) < 120
