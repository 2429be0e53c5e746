"""Merging and erasing a customer takes what every vertical knows along, switched on or off, and a merge gives it back."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel.database import db
from crm_kernel.testing.apps import build, let_go
from crm_kernel.testing.people import ApiClient, browser


@pytest.fixture(params=["both", "toybank"])
def client(request, crm_app, admin):
    """An API client where both verticals are on, and one where the toy shop is switched off."""
    if request.param == "both":
        yield admin
        return
    with crm_app.app_context():
        url = db.engine.url.render_as_string(hide_password=False)
    app = build(url, ("toybank",), secret_key=crm_app.config["SECRET_KEY"])
    yield ApiClient(browser(app), admin.token, admin.user)
    let_go(app)


@pytest.fixture
def pair(add):
    """The addresses of two customers who are one; each knows what the other does not."""
    kept = add("Acme", toybank={"risk": 3}, toyshop={"number": "C-1", "tier": "gold"})
    gone = add("Acme Ltd", toybank={"iban": "FR76", "risk": 5}, toyshop={"points": 40, "tier": "bronze"})
    return kept, gone


def merged(client, pair):
    kept, gone = pair
    answer = client.post(f"{kept}/merge", {"source": gone.rsplit("/", 1)[1]}, If_Match=client.etag(kept))
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def test_gaps_are_filled_from_both_and_what_the_kept_one_says_stays(client, admin, pair):
    merged(client, pair)

    found = admin.get(pair[0]).json["extensions"]
    assert found["toybank"] == {"iban": "FR76", "risk": 3}
    assert {name: found["toyshop"][name] for name in ("number", "tier", "points")} == {
        "number": "C-1",
        "tier": "gold",
        "points": 40,
    }


def test_a_merge_that_is_taken_back_gives_each_vertical_its_rows_again(client, admin, pair):
    before = [admin.get(address).json["extensions"] for address in pair]

    run = merged(client, pair)
    answer = client.post(f"{pair[0]}/unmerge", {"run": run["id"]})

    assert answer.status_code == 200, answer.text
    assert [admin.get(address).json["extensions"] for address in pair] == before


def test_erasing_a_customer_erases_what_both_verticals_know(client, add, unit):
    where = add("Acme", toybank={"iban": "FR76"}, toyshop={"number": "C-1"})

    answer = client.post(f"{where}/erasure", {"reason": "request"})

    assert answer.status_code in (200, 201), answer.text
    with unit() as uow:
        for table in ("toybank_profile", "toyshop_card"):
            assert uow.session.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one() == 0
    assert "toyshop_card" in json.dumps(answer.json)
