"""Forms: what a browser sends becomes the payload the services expect, and errors come back to their field."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import MultiDict

from crm_kernel.errors import InvalidInput
from crm_kernel.records.pages.forms import form_of, payload_of
from crm_kernel.records.pages.listing import folded_operators
from crm_kernel.records.payloads import load
from crm_kernel.records.plan import plan_of


@pytest.fixture
def plan(crm_app, types):
    with crm_app.test_request_context():
        yield plan_of(types.thing)


def test_a_submitted_form_becomes_a_payload(plan):
    form = MultiDict(
        {
            "name": " lamp ",
            "amount": "1 234.50",
            "currency": "EUR",
            "made_on": "",
            "state": "used",
            "maker": "",
            "labels-0-value": "old",
            "labels-1-value": "",
            "labels-4-value": "blue",
            "extensions.toyrecords.stars": "4",
        }
    )

    assert payload_of(plan, form) == {
        "name": "lamp",
        "amount": "1234.50",
        "currency": "EUR",
        "made_on": None,
        "state": "used",
        "maker": None,
        "labels": [{"value": "old"}, {"value": "blue"}],
        "extensions": {"toyrecords": {"stars": "4"}},
    }


@pytest.mark.parametrize(
    ("language", "typed"), [("fr", "1 234,50"), ("fr", "1234,50"), ("en", "1,234.50"), ("fr", "1234.50")]
)
def test_amounts_are_read_as_the_readers_language_writes_them(crm_app, types, language, typed):
    with crm_app.test_request_context(headers={"Accept-Language": language}):
        found = payload_of(plan_of(types.thing), MultiDict({"name": "x", "amount": typed}))

    assert found["amount"] == "1234.50"


def test_an_unreadable_amount_is_shown_again_and_refused_with_what_was_expected(plan):
    found = payload_of(plan, MultiDict({"name": "x", "amount": "a lot"}))

    with pytest.raises(InvalidInput) as refused:
        load(plan, found)
    assert found["amount"] == "a lot"
    assert refused.value.errors == {
        "amount": ["“a lot” is not a number as it is written here; expected for example 1,234.56."]
    }


def test_errors_stand_at_their_field_and_the_rest_above_the_form(plan):
    errors = {"name": ["Too long."], "labels.0.value": ["Empty."], "elsewhere": ["Not this form's."]}

    form = form_of(plan, {"name": "x", "labels": [{"value": ""}]}, errors)

    fields = {field["name"]: field for section in form["sections"] for field in section["fields"]}
    rows = next(section["subform"] for section in form["sections"] if section.get("subform"))["rows"]
    assert fields["name"]["error"] == "Too long."
    assert rows[0][0]["error"] == "Empty."
    assert form["message"] == "Not this form's."


def test_the_currency_stands_with_its_amount_not_as_a_field_of_its_own(plan):
    fields = {field["name"]: field for section in form_of(plan, {})["sections"] for field in section["fields"]}

    assert "currency" not in fields
    assert fields["amount"]["currency_name"] == "currency"


@pytest.mark.parametrize(
    ("submitted", "canonical"),
    [
        ([("amount.op", "gte"), ("amount", "5"), ("q", "")], [("amount__gte", "5")]),
        ([("state", "new"), ("state", "used")], [("state__in", "new,used")]),
        ([("name", "x"), ("sort", "name")], None),
    ],
)
def test_a_filter_form_leads_to_its_canonical_address(submitted, canonical):
    assert folded_operators(submitted) == canonical


def test_what_a_form_does_not_send_stays_and_what_it_sends_empty_is_cleared(plan):
    sent = payload_of(plan, MultiDict({"name": "lamp", "made_on": "", "extensions.toyrecords.stars": ""}))

    assert sent == {"name": "lamp", "made_on": None, "extensions": {"toyrecords": {"stars": None}}}


def test_removing_the_last_row_of_a_collection_is_told_apart_from_not_sending_it(plan):
    assert payload_of(plan, MultiDict({"labels": ""}))["labels"] == []
    assert "labels" not in payload_of(plan, MultiDict({"name": "lamp"}))


def test_a_new_record_gets_no_extension_that_nobody_filled_in(plan):
    from crm_kernel.records.pages.defaults import without_blank_extensions

    sent = payload_of(plan, MultiDict({"name": "lamp", "extensions.toyrecords.stars": ""}))

    assert without_blank_extensions(plan, sent) == {"name": "lamp"}


def test_a_reference_to_a_hidden_record_is_shown_and_not_sent_back(plan):
    form = form_of(plan, {"id": "x", "name": "lamp", "maker": {"id": None, "title": None}})
    field = next(f for section in form["sections"] for f in section["fields"] if f["name"].startswith("maker"))

    assert (field["name"], field["readonly"], field["kind"]) == ("maker.hidden", True, "text")
