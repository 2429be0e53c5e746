"""What custom fields hold survives every way out and in again: API, form, CSV, JSON lines; for random values."""

from __future__ import annotations

import datetime as dt
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.exporting import begin_export
from crm_kernel.records.importing import import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import record_type

THINGS = "/api/toyrecords/things"
CHOICES = ("gold", "silver", "tin-can")

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("=+-@'\";,|é\t"), max_size=12)
lines = st.lists(text, max_size=3).map("\n".join)
numbers = st.decimals(min_value=-(10**12), max_value=10**12, places=4).map(str)
days = st.dates(min_value=dt.date(1000, 1, 1)).filter(lambda day: day.year < 3000).map(str)
values = st.fixed_dictionaries(
    {
        "cf_text": st.none() | text,
        "cf_notes": st.none() | lines,
        "cf_number": st.none() | numbers,
        "cf_day": st.none() | days,
        "cf_tier": st.none() | st.sampled_from(CHOICES),
        "cf_tags": st.none() | st.lists(st.sampled_from(CHOICES), unique=True),
        "cf_flag": st.none() | st.booleans(),
        "cf_mail": st.none() | st.sampled_from(["zoe@example.org", "o'hara+tag@example.com"]),
        "cf_phone": st.none() | st.sampled_from(["+33 1 23 45 67 89", "+44 (0)20 7946 0018", "+442079460018"]),
        "cf_url": st.none() | st.sampled_from(["https://example.org/a?b=c&d=%20#e", "http://münchen.example/ß"]),
    }
)
budgets = st.none() | st.tuples(numbers, st.sampled_from(["EUR", "JPY"]))

often = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def thing(every_kind, api, maker):
    """One thing at the API: ``thing.put(values)``, ``thing.held()`` → its custom values."""
    return Thing(api("administrator"), {"id": str(maker()), "title": "Élan & Co"})


class Thing:
    def __init__(self, client: Any, origin: dict[str, str]) -> None:
        self.client, self.origin = client, origin
        self.path = client.post(THINGS, {"name": "lamp"}).headers["Location"]

    def put(self, given: dict[str, Any]) -> None:
        answer = self.client.patch(self.path, given)
        assert answer.status_code == 200, answer.text

    def held(self) -> dict[str, Any]:
        found = self.client.get(self.path).json
        return {name: value for name, value in found.items() if name.startswith("cf_")}

    def fill(self, drawn: dict[str, Any], budget: Any, linked: bool) -> dict[str, Any]:
        amount, currency = budget or (None, None)
        money = {"cf_budget": amount, "cf_budget_currency": currency}
        self.put({**drawn, **money, "cf_origin": self.origin["id"] if linked else None})
        return self.held()

    def empty(self) -> None:
        self.put(dict.fromkeys(self.held()))


class Form(HTMLParser):
    """The names and values that a browser would send of a page's forms, untouched."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._area = self._select = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "input" and "name" in found:
            ticks = found.get("type") in ("checkbox", "radio")
            if not ticks or "checked" in found:
                self.sent.append((found["name"], found.get("value", "on" if ticks else "")))
        elif tag == "select":
            self._select = found.get("name", "")
        elif tag == "option" and self._select and "selected" in found:
            self.sent.append((self._select, found.get("value", "")))
        elif tag == "textarea":
            self._area = found.get("name", "")
            self.sent.append((self._area, ""))

    def handle_data(self, data: str) -> None:
        if self._area:
            name, before = self.sent[-1]
            self.sent[-1] = (name, before + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            name, typed = self.sent[-1]
            # A browser drops the first line break of a text area and sends the others as two signs.
            self.sent[-1] = (name, typed.removeprefix("\n").replace("\n", "\r\n"))
            self._area = ""
        if tag == "select":
            self._select = ""


@often
@given(values, budgets, st.booleans())
def test_what_the_api_gives_it_takes_and_gives_again(thing, drawn, budget, linked):
    held = thing.fill(drawn, budget, linked)

    thing.put(held)

    assert thing.held() == held


@often
@given(values, budgets, st.booleans())
def test_a_form_sent_as_it_came_changes_nothing(thing, login, drawn, budget, linked):
    if not hasattr(thing, "browser"):
        thing.browser = login("administrator")
    held = thing.fill(drawn, budget, linked)
    page = thing.path.removeprefix("/api") + "/edit"
    form = Form()
    form.feed(thing.browser.get(page).text)

    answer = thing.browser.post(page, data=MultiDict(form.sent))

    assert answer.status_code in (302, 303), answer.text
    assert thing.held() == held


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@often
@given(values, budgets, st.booleans())
def test_an_export_gives_back_what_was_taken_away_since(thing, crm_app, write_file, form, drawn, budget, linked):
    held = thing.fill(drawn, budget, linked)
    with crm_app.app_context():
        export = begin_export(SYSTEM, record_type("toyrecords.thing"), (), channel="cli")
    path = write_file(f"things.{form}", "".join(export.csv() if form == "csv" else export.jsonl()))
    thing.empty()

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "toyrecords.thing"), path, actor=SYSTEM)

    assert (result.refused, result.failure) == (0, None), result.to_json()
    assert thing.held() == held


@pytest.fixture
def write_file(tmp_path):
    def write(name: str, content: str) -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode())
        return path

    return write
