"""Times nobody lives in: refused in every channel, and shown without a crash where they are stored all the same."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser
from crm_kernel.touchpoints.models import Interaction

NEVER = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")


@pytest.fixture
def ada(factories):
    """The public id of a person."""
    return str(factories.person(given_name="Ada", family_name="Lovelace").uid)


@pytest.fixture
def odd(unit, factories, ada):
    """An interaction whose time is the last there is, as an older version or a module may have left it."""
    from crm_kernel.customers.models import Customer
    from crm_kernel.touchpoints.services import record_interaction

    with unit() as uow:
        customer = uow.session.scalars(sa.select(Customer)).one()
        found = record_interaction(
            uow, customer, kind="note", channel="other", direction="internal", summary="odd", source_plugin="kernel"
        )
        found.occurred_at = dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC)
        return found.uid


@pytest.mark.parametrize("when", NEVER)
def test_a_time_outside_of_the_calendar_is_refused_by_the_api(api, ada, when):
    answer = api("administrator").post(
        "/api/interactions", {"customer": ada, "kind": "note", "summary": "x", "occurred_at": when}
    )

    assert answer.status_code == 422
    assert "1000" in answer.json["errors"]["occurred_at"][0]


@pytest.mark.parametrize("operator", ["occurred_at", "occurred_at__gte", "occurred_at__in", "occurred_at__ne"])
@pytest.mark.parametrize("when", NEVER)
def test_a_time_outside_of_the_calendar_is_refused_as_a_filter(api, operator, when):
    assert api("administrator").get("/api/interactions", **{operator: when}).status_code == 422


def test_a_time_outside_of_the_calendar_is_refused_by_the_form(login, ada, unit):
    page = login("administrator").post(
        "/interactions/new",
        data={"customer": ada, "kind": "note", "summary": "x", "occurred_at": "9999-12-31T23:59"},
    )

    assert page.status_code == 422
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Interaction)) == 0


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_stored_odd_time_is_shown_in_utc_on_every_page(login, unit, ada, odd, zone):
    admin = login("administrator")
    with unit() as uow:
        uow.session.execute(sa.update(AppUser).values(timezone=zone))

    for path in (f"/customers/{ada}", "/interactions", f"/interactions/{odd}", f"/interactions/{odd}/edit"):
        assert admin.get(path).status_code == 200, path
    if zone == "Asia/Tokyo":
        assert "9999-12-31T23:59:00+00:00" in admin.get("/interactions").get_data(as_text=True)


def test_an_address_that_continues_a_timeline_at_no_time_is_not_found(login, ada):
    page = login("administrator").get(
        f"/customers/{ada}/timeline?before=0001-01-01T00:00:00%2B14:00_01890a5d-ac96-774b-bcce-b302099a8057"
    )

    assert page.status_code == 404
