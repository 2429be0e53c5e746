"""import(export(x)) = x: what an export of generated customers carries is there again after a wipe and an import."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access.actor import SYSTEM
from crm_kernel.customers.models import Customer
from crm_kernel.records.bulk import create_many
from crm_kernel.records.custom_fields.current import learn_fields
from crm_kernel.records.custom_fields.services import add_field
from crm_kernel.records.importing import Verdict, import_file
from crm_kernel.records.importing.loading import Loader
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.testing.round_trips import FORMS, RoundTrip
from crm_kernel.testing.round_trips import texts as any_text

texts = any_text()
BIRTHS = st.dates(dt.date(1900, 1, 1), dt.date(2020, 1, 1)).map(str)
#: Notes have several lines.
several_lines = st.lists(texts, min_size=1, max_size=3).map("\n".join)

people = st.fixed_dictionaries(
    {"kind": st.just("person"), "given_name": texts, "family_name": texts},
    optional={"job_title": texts, "birth_date": BIRTHS},
)
firms = st.fixed_dictionaries(
    {"kind": st.just("organization"), "display_name": texts},
    optional={"employees": st.integers(0, 10**6), "legal_name": texts, "industry": texts},
)
shared = st.fixed_dictionaries(
    {},
    optional={
        "cf_code": texts,
        "cf_size": st.decimals(-(10**6), 10**6, places=2).map(str),
        "notes": several_lines,
        "source": texts,
        "language": st.sampled_from(["en", "fr"]),
        "addresses": st.lists(
            st.fixed_dictionaries(
                {"purpose": st.just("home"), "street": several_lines, "city": texts, "postal_code": st.just("01000")}
            ),
            max_size=1,
        ),
    },
)
customers = st.lists(
    st.builds(lambda own, more: {**own, **more}, people | firms, shared), min_size=1, max_size=4
)  # fmt: skip


def _columns(text):
    """Return the rows of an export by id, without what an import writes anew."""
    anew = ("created_at", "updated_at", "version")
    rows = csv.DictReader(io.StringIO(text.decode()))
    return {row["id"]: {name: value for name, value in row.items() if name not in anew} for row in rows}


def _create(uow, payloads):
    plan = plan_of(record_type("customer"))
    rows = []
    for payload in payloads:
        data, _extensions, errors = Loader(plan).load(payload)
        assert not errors, errors
        rows.append(data)
    create_many(uow, plan.record_type, rows)


@pytest.fixture
def fields(unit):
    """Two custom fields of customers: a code that may have leading zeros, and a number."""
    with unit() as uow:
        add_field(uow, "customer", "cf_code", "text")
        add_field(uow, "customer", "cf_size", "number")


@pytest.mark.parametrize("form", FORMS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(payloads=customers)
def test_generated_customers_come_back_from_their_export(crm_app, unit, tmp_path, fields, form, payloads):
    number, trip = len(payloads), RoundTrip(crm_app, "customer", tmp_path)
    with unit() as uow:
        uow.session.execute(sa.delete(Customer))
        learn_fields(SYSTEM)
        _create(uow, payloads)
    before, path = trip.exported("csv"), tmp_path / f"customers.{form}"
    path.write_bytes(trip.exported(form))

    with crm_app.app_context():
        kept = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)
    with unit() as uow:
        uow.session.execute(sa.delete(Customer))
    with crm_app.app_context():
        back = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert (kept.total(Verdict.UNCHANGED), kept.refused, kept.failure) == (number, 0, None), kept.sources[0].errors
    assert (back.total(Verdict.CREATED), back.refused, back.failure) == (number, 0, None), back.sources[0].errors
    assert _columns(trip.exported("csv")) == _columns(before)
