"""Rows that are written below the ORM are refused as those that are written by it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, cast

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel._internal.rows import insert_rows
from crm_kernel.sales.models import ExchangeRate


def rate(uow: Any, key: int) -> dict[str, Any]:
    times = {"created_at": uow.now, "updated_at": uow.now}
    pair = {"from_currency": "EUR", "to_currency": "USD", "valid_on": dt.date(2026, 11, 20)}
    return {"id": key, "uid": uuid7(), "version": 1, "rate": Decimal("1.1"), **times, **pair}


def test_a_taken_value_is_told_by_the_error_that_everybody_catches(uow: Any) -> None:
    table = cast(sa.Table, ExchangeRate.__table__)

    with pytest.raises(sa.exc.IntegrityError, match="exchange_rate"), uow.session.begin_nested():
        insert_rows(uow.session, table, [rate(uow, 1), rate(uow, 2)])

    assert uow.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
