"""What a card hands to its template is masked, and a template says nothing of what is masked."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from flask_babel import format_date

from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.services import create_role, grant
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.customers.models import Customer
from crm_kernel.records.pages.masking import masked_context
from crm_kernel.testing.people import add_user


@pytest.fixture
def blind(crm_app, unit):
    """Who does not see since when a customer is known."""
    with unit() as uow:
        role = create_role(uow, name="blind")
        grant(uow, role, "*")
        restrict_field(uow, role, "customer", "created_at", "hidden")
        return add_user(uow, "blind").id


def test_a_masked_moment_is_written_as_nothing_and_not_as_now(crm_app, unit, blind, customer_factory):
    say = crm_app.jinja_env.compile_expression(
        "[c.created_at|dateformat('short'), c.created_at|datetimeformat, c.created_at|timeformat]"
    )
    uid = customer_factory().uid

    with crm_app.test_request_context(), unit() as uow:
        customer = uow.session.scalars(sa.select(Customer).where(Customer.uid == uid)).one()
        hidden = say(**masked_context(actor_of(uow, blind), {"c": customer}))
        shown = say(**masked_context(SYSTEM, {"c": customer}))
        day = format_date(customer.created_at, "short")

    assert hidden == ["", "", ""]
    assert shown[0] == day
    assert all(shown)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("timedeltaformat", dt.timedelta(hours=2)),
        ("numberformat", 2),
        ("decimalformat", 2),
        ("percentformat", 2),
        ("scientificformat", 2),
    ],
)
def test_a_filter_says_nothing_of_no_number(crm_app, name, given):
    say = crm_app.jinja_env.filters[name]

    with crm_app.test_request_context():
        assert say(None) == ""
        assert "2" in say(given)


def test_no_amount_is_written_as_nothing(crm_app):
    say = crm_app.jinja_env.filters["currencyformat"]

    with crm_app.test_request_context():
        assert say(None, "EUR") == ""
        assert say(2, "EUR") == "€2.00"
