"""Rows are found by a thousand values with one parameter, and by the same ones as with a list of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel._internal.rows import among
from crm_kernel.customers.models import Customer, Person
from crm_kernel.customers.services import create_customer

LONGEST = "x" * 255
REFERENCES = ("R1", "R'2", 'R"3', "été", LONGEST)


@pytest.fixture
def customers(uow: Any) -> list[Customer]:
    given = {"kind": "person", "family_name": "Baker", "source": "test"}
    days = (dt.date(1990, 1, 1 + place) for place in range(len(REFERENCES)))
    return [
        create_customer(uow, {**given, "birth_date": day, "external_ref": reference})
        for day, reference in zip(days, REFERENCES, strict=True)
    ]


@pytest.fixture
def found(uow: Any, customers: list[Customer]) -> Callable[..., list[str | None]]:
    def references(column: Any, values: Any) -> list[str | None]:
        query = sa.select(Customer.external_ref).join(Person).where(among(uow.session, column, values))
        return list(uow.session.scalars(query.order_by(Customer.id)))

    return references


def test_rows_are_found_by_numbers_texts_ids_and_days(found: Any, customers: list[Customer]) -> None:
    first, second, *_rest = customers

    assert found(Customer.id, [first.id, second.id, 0]) == ["R1", "R'2"]
    assert found(Customer.external_ref, REFERENCES) == list(REFERENCES)
    assert found(sa.func.lower(Customer.external_ref), {"r1", "été"}) == ["R1", "été"]
    assert found(Customer.uid, [first.uid, second.uid]) == ["R1", "R'2"]
    assert found(Person.birth_date, [dt.date(1990, 1, 2)]) == ["R'2"]
    assert found(Customer.id, []) == found(Customer.uid, []) == found(Customer.external_ref, []) == []


def test_a_text_longer_than_its_column_is_not_found_by_its_beginning(found: Any) -> None:
    assert found(Customer.external_ref, [LONGEST + "y"]) == []


@pytest.mark.parametrize(
    ("column", "values"), [(Customer.id, range(1_000)), (Customer.external_ref, map(str, range(1_000)))]
)
def test_a_thousand_values_are_one_parameter(uow: Any, column: Any, values: Any) -> None:
    query = sa.select(Customer.id).where(among(uow.session, column, list(values)))

    assert len(query.compile(uow.session.get_bind(), compile_kwargs={"render_postcompile": True}).params) == 1
