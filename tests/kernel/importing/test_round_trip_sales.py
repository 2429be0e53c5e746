"""import(export(x)) = x for the ledger: sales with lines, refunds, custom fields and the fields of an extension."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.records.custom_fields.services import add_field
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.testing.round_trips import FORMS, RoundTrip, texts, write_notes

pytestmark = pytest.mark.crm_plugins("salenotes")

amounts = st.decimals(Decimal("0.0001"), Decimal(10**7), places=4).map(str)
moments = st.datetimes(dt.datetime(2020, 1, 2), dt.datetime(2025, 12, 30)).map(lambda at: f"{at.isoformat()}+00:00")
days = st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1)).map(str)
lines = st.fixed_dictionaries(
    {"unit_price": amounts, "description": texts()},
    optional={"quantity": st.decimals(-99, 99, places=4).map(str), "product": st.just("PRODUCT")},
)
notes = st.fixed_dictionaries(
    {},
    optional={
        "code": texts(),
        "size": amounts,
        "day": days,
        "shape": st.sampled_from(["round", "flat"]),
        "flag": st.booleans(),
        "number": st.integers(-(10**6), 10**6),
    },
)
#: What a sale comes to is said, or what its lines add up to.
worth = st.fixed_dictionaries({"amount": amounts}) | st.fixed_dictionaries(
    {"lines": st.lists(lines, min_size=1, max_size=3)}
)
told = st.fixed_dictionaries(
    {"title": texts(), "channel": st.sampled_from(["web", "store"]), "occurred_at": moments},
    optional={
        "customer": st.just("CUSTOMER"),
        "currency": st.sampled_from(["USD", "EUR"]),
        "margin": amounts,
        "cf_code": texts(),
        "cf_size": amounts,
        "cf_colours": st.lists(st.sampled_from(["red", "blue"]), unique=True, min_size=1),
        "cf_paid": st.booleans(),
        "cf_due": days,
        "extensions": notes.map(lambda note: {"salenotes": note}),
    },
)
sales = st.builds(lambda told, worth: {**told, **worth}, told, worth)


@pytest.fixture(scope="module", autouse=True)
def salenotes(tmp_path_factory):
    """Install a plugin that extends sales."""
    site = write_notes(tmp_path_factory.mktemp("salenotes"), "salenotes", host="sale", table="sale")
    sys.path.insert(0, str(site))
    yield
    sys.path.remove(str(site))


@pytest.fixture
def known(unit):
    """What sales point at: the ids of a customer and of a product; and their custom fields and the rate of the euro."""
    with unit() as uow:
        for name, kind in (("code", "text"), ("size", "number"), ("paid", "boolean"), ("due", "date")):
            add_field(uow, "sale", f"cf_{name}", kind)
        colours = [{"value": name, "labels": {"en": name}} for name in ("red", "blue")]
        add_field(uow, "sale", "cf_colours", "multichoice", choices=colours)
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.0837"), valid_on=dt.date(2020, 1, 1))
        ada = create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Ada"})
        tea = create_record(uow, record_type("product"), {"sku": "T-1", "name": "Tea pot"})
        return {"CUSTOMER": {"id": str(ada.uid)}, "PRODUCT": {"id": str(tea.uid)}}


def _records(known, payloads, refunded):
    """Return the sales with ids and references, and what is given back of the first one if something is to be."""
    found = [
        {
            **payload,
            "id": str(UUID(int=place + 1)),
            "source_plugin": "till",
            "external_ref": f"{place}",
            **({"customer": known["CUSTOMER"]} if "customer" in payload else {}),
            "lines": [
                {**line, **({"product": known["PRODUCT"]} if "product" in line else {})}
                for line in payload.get("lines", ())
            ],
        }
        for place, payload in enumerate(payloads)
    ]
    if refunded and "amount" in found[0]:
        first, later = found[0], "2026-01-02T10:00:00+00:00"
        back = {name: first[name] for name in ("channel", "currency", "customer") if name in first}
        number = {"id": str(UUID(int=99)), "refund_of": {"id": first["id"]}, "amount": f"-{first['amount']}"}
        found.append({**back, **number, "title": "Back", "occurred_at": later, "external_ref": "back"})
    return found


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(payloads=st.lists(sales, min_size=1, max_size=3), refunded=st.booleans())
def test_generated_sales_come_back_from_their_export(crm_app, unit, tmp_path, known, form, payloads, refunded):
    def wipe():
        with unit() as uow:
            uow.session.execute(sa.delete(SaleLine))
            uow.session.execute(sa.delete(Sale).where(Sale.refund_of_id.is_not(None)))
            uow.session.execute(sa.delete(Sale))

    wipe()
    trip, records = RoundTrip(crm_app, "sale", tmp_path), _records(known, payloads, refunded)

    stored = trip.brought(records)
    trip.check(form, wipe)

    for record in records:
        found = stored[record["id"]]
        assert found["cf_paid"] == record.get("cf_paid")
        assert (found["extensions"].get("salenotes") or {}).get("number") == record.get("extensions", {}).get(
            "salenotes", {}
        ).get("number")
        assert len(found["lines"]) == len(record.get("lines", ()))


def test_a_refund_finds_the_sale_of_an_earlier_row_where_sales_have_custom_fields(crm_app, tmp_path, known):
    sale = {"title": "Chairs", "channel": "web", "amount": "20", "occurred_at": "2024-05-01T08:00:00+00:00"}
    sold, back = _records(known, [sale], refunded=True)

    stored = RoundTrip(crm_app, "sale", tmp_path).brought([sold, back])

    assert stored[back["id"]]["refund_of"]["id"] == sold["id"]
