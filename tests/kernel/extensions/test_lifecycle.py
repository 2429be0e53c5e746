"""One of two verticals is switched off: its fields are nowhere, its rows stay, the other goes on; and it comes back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.database import db
from crm_kernel.testing.apps import build, let_go
from crm_kernel.testing.people import ApiClient, browser

CUSTOMERS = "/api/customers"


@pytest.fixture
def without_shop(crm_app, admin):
    """The same person's API client on an application of the same database without the toy shop."""
    with crm_app.app_context():
        url = db.engine.url.render_as_string(hide_password=False)
    app = build(url, ("toybank",), secret_key=crm_app.config["SECRET_KEY"])
    yield ApiClient(browser(app), admin.token, admin.user)
    let_go(app)


def test_what_the_disabled_vertical_knows_is_nowhere_and_still_there(admin, add, without_shop):
    where = add("Acme", toybank={"risk": 3}, toyshop={"points": 40, "tier": "gold"})

    assert without_shop.get(where).json["extensions"] == {"toybank": {"risk": 3, "iban": None}}
    for arguments in ({"sort": "toyshop.points"}, {"toyshop.tier": "gold"}):
        assert without_shop.get(CUSTOMERS, **arguments).status_code == 422
    refused = without_shop.patch(where, {"extensions": {"toyshop": {"points": 1}}})
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["extensions.toyshop"])
    assert "toyshop" not in without_shop.get("/api/openapi.json").text
    assert admin.get(where).json["extensions"]["toyshop"]["points"] == 40


def test_a_change_meanwhile_leaves_the_rows_of_the_disabled_vertical_alone(admin, add, without_shop):
    where = add("Acme", toybank={"risk": 3}, toyshop={"points": 40})

    changed = without_shop.patch(where, {"display_name": "Bolt", "extensions": {"toybank": {"risk": 4}}})

    assert changed.status_code == 200, changed.text
    found = admin.get(where).json
    assert (found["display_name"], found["extensions"]["toybank"]["risk"]) == ("Bolt", 4)
    assert found["extensions"]["toyshop"]["points"] == 40


def test_deleting_a_customer_meanwhile_takes_the_disabled_verticals_row_along(add, without_shop, unit):
    where = add("Acme", toyshop={"points": 40})

    assert without_shop.delete(where).status_code == 204
    with unit() as uow:
        cards = uow.session.execute(sa.select(sa.func.count()).select_from(sa.table("toyshop_card"))).scalar_one()
    assert cards == 0
