"""What the tests of the ledger share: a base currency of US dollars, and a short way to sell."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest


@pytest.fixture
def sell(uow):
    """Record a sale: ``sell("12.50", "EUR", ref="7", on=date)``; in dollars and now unless said otherwise."""
    from crm_kernel.sales.services import record_sale

    numbers = iter(range(10_000))

    def make(amount="10", currency="USD", *, ref=None, on=None, **options):
        usual = {"title": "Boat", "channel": "store", "source_plugin": "retail"}
        when = dt.datetime.combine(on, dt.time(12), dt.UTC) if on else None
        return record_sale(
            uow,
            amount=Decimal(amount),
            currency=currency,
            external_ref=ref or f"receipt {next(numbers)}",
            occurred_at=when,
            **{**usual, **options},
        )

    return make


@pytest.fixture
def rate(uow):
    """Add an exchange rate into dollars: ``rate("EUR", "1.0825", on=date)``."""
    from crm_kernel.sales.catalogue import add_exchange_rate

    return lambda currency, value, on: add_exchange_rate(uow, from_currency=currency, rate=Decimal(value), valid_on=on)
