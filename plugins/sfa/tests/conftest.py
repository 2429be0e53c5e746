"""Fixtures of the sales module's tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.services import create_opportunity
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.pipelines.services import ensure_default_pipeline

from crm_kernel.unit_of_work import UnitOfWork


@pytest.fixture
def crm_plugins() -> tuple[str, ...]:
    """Build the application with the sales module alone."""
    return ("sfa",)


@pytest.fixture
def pipeline(uow: UnitOfWork) -> Pipeline:
    """The standard pipeline."""
    return ensure_default_pipeline(uow)


@pytest.fixture
def stage(uow: UnitOfWork, pipeline: Pipeline) -> Callable[[str], Stage]:
    """Find a stage of the standard pipeline by its name."""

    def find(name: str) -> Stage:
        return uow.session.scalars(sa.select(Stage).where(Stage.pipeline_id == pipeline.id, Stage.name == name)).one()

    return find


@pytest.fixture
def customer(factories: Any, uow: UnitOfWork) -> Any:
    """An organization, in the open unit of work."""
    return factories.organization(display_name="Acme")


@pytest.fixture
def opportunity(uow: UnitOfWork, pipeline: Pipeline, customer: Any) -> Opportunity:
    """An open opportunity of Acme over 1,200 USD, begun thirty days ago."""
    began = uow.now.date() - dt.timedelta(days=30)
    return create_opportunity(
        uow,
        {
            "name": "Forty chairs",
            "customer_id": customer.id,
            "amount": Decimal(1200),
            "currency": "USD",
            "opened_on": began,
        },
    )
