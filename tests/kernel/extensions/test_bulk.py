"""Extensions' fields of many records at once: what is stored, and that it costs no statement per record."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.plan import record_type


@pytest.fixture
def customers(unit):
    """Make organizations, half of which the bank knows: ``customers(4)`` → their keys."""

    def make(number):
        with unit() as uow:
            rows = [{"kind": "organization", "display_name": f"Firm {place}"} for place in range(number)]
            known = [{"toybank": {"risk": 1, "iban": "old"}} if place % 2 else {} for place in range(number)]
            return create_many(uow, record_type("customer"), rows, extensions=known)

    return make


@pytest.fixture
def change(unit, count_queries):
    """Give customers a risk, and every fourth an account, and return how many statements that took."""

    def run(keys):
        given = {key: {"toybank": {"risk": 10 + key}} for key in keys}
        for key in keys[3::4]:
            given[key]["toybank"]["iban"] = f"new {key}"
        with unit() as uow, count_queries() as queries:
            update_many(uow, record_type("customer"), {}, extensions=given)
        return len(queries.statements)

    return run


def test_changed_extensions_of_many_records_are_stored_in_as_many_statements_as_of_few(customers, change, unit):
    from crm_toybank.models import BankProfile

    few, many = customers(4), customers(40)

    assert change(few) == change(many)

    with unit() as uow:
        columns = (BankProfile.customer_id, BankProfile.risk, BankProfile.iban)
        stored = {key: (risk, iban) for key, risk, iban in uow.session.execute(sa.select(*columns))}
    for keys in (few, many):
        for place, key in enumerate(keys):
            iban = f"new {key}" if place % 4 == 3 else "old" if place % 2 else None
            assert stored[key] == (10 + key, iban)
