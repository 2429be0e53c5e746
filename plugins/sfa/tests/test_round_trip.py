"""import(export(x)) = x for opportunities: of every stage, with custom fields and the fields of another module."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.pipelines.models import Stage
from crm_sfa.pipelines.services import ensure_default_pipeline
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.records.custom_fields.services import add_field
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.testing.round_trips import FORMS, RoundTrip, texts, write_notes

amounts = st.decimals(0, Decimal(10**7), places=4).map(str)
days = st.dates(dt.date(2020, 1, 2), dt.date(2025, 12, 30)).map(str)
notes = st.fixed_dictionaries(
    {"number": st.integers(-(10**6), 10**6)},
    optional={
        "code": texts(),
        "size": amounts,
        "day": days,
        "shape": st.sampled_from(["round", "flat"]),
        "flag": st.booleans(),
    },
)
deals = st.fixed_dictionaries(
    {
        "name": texts(),
        "stage": st.sampled_from(["open", "won", "lost"]),
        "opened_on": st.just("2019-06-01"),
        "close_date": days,
    },
    optional={
        "amount": amounts,
        "currency": st.sampled_from(["USD", "EUR"]),
        "customer": st.just("CUSTOMER"),
        "region": texts(),
        "cf_code": texts(),
        "cf_size": amounts,
        "cf_firm": st.just("CUSTOMER"),
        "cf_price": amounts,
        "cf_price_currency": st.just("EUR"),
        "extensions": notes.map(lambda note: {"dealnotes": note}),
    },
)


@pytest.fixture(scope="module", autouse=True)
def dealnotes(tmp_path_factory):
    """Install a plugin that extends opportunities."""
    site = tmp_path_factory.mktemp("dealnotes")
    write_notes(site, "dealnotes", host="sfa.opportunity", table="sfa_opportunity", requires=["crm-sfa>=0.1"])
    sys.path.insert(0, str(site))
    yield
    sys.path.remove(str(site))


@pytest.fixture
def crm_plugins():
    """Build the application with both."""
    return ("sfa", "dealnotes")


@pytest.fixture
def known(unit):
    """What opportunities point at: a customer, and a stage of each category; and their custom fields and the rate of the euro."""
    with unit() as uow:
        for name, kind in (("code", "text"), ("size", "number"), ("price", "money")):
            add_field(uow, "sfa.opportunity", f"cf_{name}", kind)
        add_field(uow, "sfa.opportunity", "cf_firm", "reference", target="customer")
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.0837"), valid_on=dt.date(2019, 1, 1))
        ensure_default_pipeline(uow)
        stages = {row.category: {"id": str(row.uid)} for row in uow.session.scalars(sa.select(Stage))}
        ada = create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Ada"})
        return {"CUSTOMER": {"id": str(ada.uid)}, **stages}


def _records(known, payloads):
    """Return the opportunities with ids and references."""
    pointing = ("stage", "customer", "cf_firm")
    return [
        {name: known[value] if name in pointing else value for name, value in payload.items()}
        | {"id": str(UUID(int=place + 1)), "source": "old", "external_ref": f"{place}"}
        for place, payload in enumerate(payloads)
    ]


@pytest.mark.parametrize("form", FORMS)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(payloads=st.lists(deals, min_size=1, max_size=3))
def test_generated_opportunities_come_back_from_their_export(crm_app, unit, tmp_path, known, form, payloads):
    def wipe():
        with unit() as uow:
            for model in (StageChange, Opportunity, SaleLine, Sale):
                uow.session.execute(sa.delete(model))

    wipe()
    trip, records = RoundTrip(crm_app, "sfa.opportunity", tmp_path), _records(known, payloads)

    stored = trip.brought(records)
    trip.check(form, wipe)

    for record, payload in zip(records, payloads, strict=True):
        found = stored[record["id"]]
        assert found["status"] == payload["stage"]
        assert (found["cf_firm"] is None) == ("cf_firm" not in payload)
        number = payload.get("extensions", {}).get("dealnotes", {}).get("number")
        assert (found["extensions"].get("dealnotes") or {}).get("number") == number
