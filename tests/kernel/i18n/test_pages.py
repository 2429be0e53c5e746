"""Every page of the application says what it says through the catalogue, and writes dates and amounts as readers do."""

from __future__ import annotations

import datetime as dt
import re
import time
from decimal import Decimal
from importlib import metadata
from random import Random
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from crm_kernel._internal.discovery import installed_plugins
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AppUser, Role
from crm_kernel.access.reset import reset_link
from crm_kernel.database import db
from crm_kernel.demo import company
from crm_kernel.sales.services import record_sale

from .pseudo import hard_coded, speak_pseudo, values_in_database

pytestmark = pytest.mark.crm_databases("sqlite")

INSTALLED = tuple(sorted(point.name for point in metadata.entry_points(group="crm.plugins")))
#: What a page shows that is no text of the program: codes, names of modules and parameters, examples, languages' names.
CODES = (
    "Sales force automation: pipelines, opportunities, boards and the numbers behind them",  # the wheel says so
    *("en", "fr", "English", "French", "Français", "system", "sort", "kernel", *INSTALLED, "customer.read sfa.*"),
    *("marketing", "service", "survey"),  # codes of purposes of contact
)
#: Endpoints that answer with something else than a page, by their end.
NO_PAGE = ("static", "_export", "_suggest", "mentions", "live", "ready", "api_docs", "openapi")

without_plugins = pytest.mark.parametrize("crm_plugins", [()], ids=["kernel"])
each_set = pytest.mark.parametrize(
    "crm_plugins", sorted({(), INSTALLED}), ids=lambda plugins: "+".join(("kernel", *plugins))
)


@pytest.fixture
def records(crm_app, unit, monkeypatch):
    """A small demo company; gives the mapping of endpoint → public id of one record of that type."""
    monkeypatch.setattr(company, "ORGANIZATIONS", 3)
    registry = runtime_of(crm_app).registry
    for part in sorted(registry.all("demo_data"), key=lambda found: found.order):
        with unit() as uow:
            part.load(uow, Random(part.name), uow.now)
    with unit() as uow:
        record_sale(
            uow,
            title="Boat",
            amount=Decimal("1234.50"),
            currency="USD",
            channel="store",
            source_plugin="kernel",
            external_ref="1",
        )
    with crm_app.app_context():
        return {
            record_type.endpoint: db.session.scalars(sa.select(record_type.model.uid)).first()
            for record_type in registry.all("record_types")
        }


@pytest.fixture
def data(crm_app, records, administrator):
    """The pattern of everything that pages show of the data."""
    with crm_app.app_context():
        # Wire names are what the API and the manual call events.
        events = [str(event.name) for event in runtime_of(crm_app).registry.all("events")]
        # Installed modules, also those that another test put on the path: names and summaries of wheels.
        modules = [text for found in installed_plugins().values() for text in (found.name, found.summary)]
        roles = db.session.scalars(sa.select(Role.name))
        return values_in_database([*CODES, *events, *modules, "Administrator", "CRM", *roles])


@pytest.fixture
def administrator(login):
    """A browser of the administrator, whose password was asked for a moment ago."""
    browser = login("administrator")
    with browser.session_transaction() as session:
        session["fs_paa"] = time.time()
    return browser


def test_a_hard_coded_text_is_found_and_data_are_not():
    page = """<title>⟦Log in⟧ · Acme</title><p>⟦Hello ⟦Ada⟧⟧, 3 of 4</p><script>let hidden</script>
        <b title="Hard">won</b><i>Acme Ltd</i><input aria-label="⟦Name⟧" placeholder="Type here" name="quiet">"""

    assert list(hard_coded(page, re.compile("Acme( Ltd)?"))) == ["⟦Hello ⟦Ada⟧⟧, 3 of 4", "Hard", "won", "Type here"]


@each_set
def test_no_page_shows_a_text_that_did_not_pass_the_catalogue(crm_app, records, data, administrator, monkeypatch):
    speak_pseudo(monkeypatch)
    found: dict[str, str] = {}
    shown = 0

    for path in _addresses(crm_app, records):
        answer = administrator.get(path)
        if answer.status_code < 300 and answer.mimetype == "text/html":
            shown += 1
            found |= dict.fromkeys(hard_coded(answer.text, data), path)

    assert not found
    assert shown > 4 * len(records)


@each_set
def test_a_refused_form_says_so_through_the_catalogue(crm_app, records, data, administrator, monkeypatch):
    speak_pseudo(monkeypatch)
    found: dict[str, str] = {}
    refused = 0

    for path in _addresses(crm_app, records, method="POST"):
        if path.endswith(("/new", "/edit")):
            answer = administrator.post(path, data={"version": "1", "name": "", "display_name": "", "amount": "x"})
            refused += answer.status_code == 422
            found |= {text: path for text in hard_coded(answer.text, data) if answer.status_code >= 400}

    assert not found
    assert refused >= 6


@without_plugins
def test_pages_for_strangers_pass_the_catalogue(crm_app, data, client, monkeypatch):
    with crm_app.app_context():
        link = reset_link(db.session.scalars(sa.select(AppUser)).first()).removeprefix("http://127.0.0.1:8000")
    speak_pseudo(monkeypatch)

    pages = [client.get(path) for path in ("/auth/login", "/auth/reset", link)]
    pages.append(client.post("/auth/login", data={"email": "nobody@crm.test", "password": "wrong horse"}))

    assert [page.status_code for page in pages] == [200] * 4
    assert [text for page in pages for text in hard_coded(page.text, data)] == []


@without_plugins
def test_pages_of_errors_pass_the_catalogue(data, administrator, login, monkeypatch):
    nobody = login(grants={"product.read": "own"})
    speak_pseudo(monkeypatch)

    pages = [
        administrator.get("/no-such-page"),
        administrator.get(f"/customers/{uuid4()}"),
        administrator.post("/health/live"),
        nobody.get("/customers"),
        administrator.get("/customers?filter[nothing]=1&sort=nothing"),
    ]

    assert [page.status_code for page in pages[:4]] == [404, 404, 405, 403]
    assert [text for page in pages for text in hard_coded(page.text, data)] == []


@without_plugins
def test_dates_and_amounts_are_written_as_the_reader_writes_them(crm_app, unit, factories, login):
    customer = factories.person(given_name="Ada", family_name="Lovelace", birth_date="2015-03-14")
    with unit() as uow:
        record_sale(
            uow,
            title="Boat",
            amount=Decimal("1234.50"),
            currency="USD",
            channel="store",
            source_plugin="kernel",
            external_ref="1",
            customer=uow.session.merge(customer),
            occurred_at=dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC),
        )

    english = login("administrator").get(f"/customers/{customer.uid}").text
    french = login("administrator", language="fr").get(f"/customers/{customer.uid}").text

    assert "Mar 14, 2015" in english
    assert "14 mars 2015" in french
    assert "$1,234.50" in english
    assert "1\u202f234,50\u00a0$US" in french


def _addresses(app: Flask, records: dict[str, object], method: str = "GET") -> list[str]:
    """Return the address of every page, the records' ids filled in."""
    return [
        rule.rule.replace("<uuid:uid>", str(_record_of(records, rule.endpoint)))
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if method in (rule.methods or ()) and not rule.rule.startswith("/api") and not rule.endpoint.endswith(NO_PAGE)
    ]


def _record_of(records: dict[str, object], endpoint: str) -> object:
    name = max((name for name in records if endpoint.startswith(f"{name}_")), key=len, default="records.customer")
    return records[name]
