"""The JSON form of events."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Optional
from uuid import UUID

import pytest

from crm_kernel.events import Event
from crm_kernel.events.catalogue import EventField, describe

UID = UUID("018f0000-0000-7000-8000-00000000ada0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold(Event):
    """Something was sold.

    The second paragraph is for readers of the code.
    """

    name: ClassVar[str] = "shop.sold"
    version: ClassVar[int] = 3
    customer_id: UUID | None
    amount: Decimal
    day: dt.date
    at: dt.datetime
    gift: bool
    lines: int
    note: Optional[str] = None  # noqa: UP045 - the older spelling must work too


SOLD = Sold(
    customer_id=UID,
    amount=Decimal("12.50"),
    day=dt.date(2026, 3, 1),
    at=dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC),
    gift=False,
    lines=2,
)


def test_an_event_survives_its_json_form():
    assert Sold.from_json(SOLD.to_json()) == SOLD
    assert SOLD.customer_uid() == UID


def test_fields_of_a_newer_version_are_left_out():
    assert Sold.from_json({**SOLD.to_json(), "added_later": 1}) == SOLD


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("customer_id", 7, "UUID or NoneType"),
        ("customer_id", "no uuid", "UUID or NoneType"),
        ("amount", "twelve", "Decimal"),
        ("amount", None, "Decimal"),
        ("day", "2026-13-01", "date"),
        ("at", 1.5, "datetime"),
        ("gift", 1, "bool"),
        ("lines", True, "int"),
        ("lines", "2", "int"),
        ("note", 3, "str or NoneType"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_without_its_value(field, value, expected):
    with pytest.raises(ValueError, match=f"shop.sold version 3: field '{field}'") as refused:
        Sold.from_json({**SOLD.to_json(), field: value})

    assert str(refused.value).endswith(f"found {type(value).__name__}, expected {expected}")


def test_a_missing_field_is_named():
    payload = SOLD.to_json()
    del payload["amount"]

    with pytest.raises(ValueError, match="amount"):
        Sold.from_json(payload)


def test_an_event_describes_itself_for_the_catalogue():
    described = describe(Sold, module="shop", subscribers=["stats.count"])

    assert (described.name, described.version, described.module) == ("shop.sold", 3, "shop")
    assert described.summary == "Something was sold."
    assert described.fields[:3] == (
        EventField("customer_id", "uuid", True),
        EventField("amount", "decimal", False),
        EventField("day", "date", False),
    )
    assert str(described.fields[-1]) == "note: str?"
