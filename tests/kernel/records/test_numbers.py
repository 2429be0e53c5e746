"""Numbers typed by people: read as their language writes them, in every form; what does not fit is refused and explained."""

from __future__ import annotations

import html
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from flask_babel import force_locale
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.records.numbers import Misread, plain_number, typed_number

THINGS = "/toyrecords/things"
API = "/api/toyrecords/things"


@pytest.fixture
def french(login):
    """A browser of an administrator who reads French."""
    return login("administrator", language="fr")


@pytest.mark.parametrize(
    ("language", "typed", "plain"),
    [
        ("fr", "1 234,56", "1234.56"),
        ("fr", "1\u202f234,56", "1234.56"),
        ("fr", "1\u00a0234\u00a0567,5", "1234567.5"),
        ("fr", "1234.56", "1234.56"),
        ("fr", "1,234", "1.234"),
        ("de", "1.234,56", "1234.56"),
        ("de", "1.234", "1234"),
        ("de", "1,234", "1.234"),
        ("en", "1,234.56", "1234.56"),
        ("en", "1,234", "1234"),
        ("en", "1 234.56", "1234.56"),
        ("de_CH", "1’234.56", "1234.56"),
        ("de_CH", "1'234.56", "1234.56"),
        ("hi", "12,34,567.8", "1234567.8"),
        ("ja", "１２３４", "1234"),
        ("fr", "−12,5", "-12.5"),
        ("en", "+.5", "0.5"),
    ],
)
def test_a_number_is_read_as_the_language_writes_it(crm_app, language, typed, plain):
    with crm_app.test_request_context(), force_locale(language):
        assert typed_number(typed) == plain


@pytest.mark.parametrize(
    ("language", "typed", "example"),
    [
        ("de", "1.23", "1.234,56"),
        ("de", "1,234.56", "1.234,56"),
        ("en", "1.234,56", "1,234.56"),
        ("en", "1,5", "1,234.56"),
        ("en", "12,34", "1,234.56"),
        ("fr", "1,234,567", "1\u202f234,56"),
        ("fr", "12 34", "1\u202f234,56"),
        ("en", "1e5", "1,234.56"),
        ("en", "NaN", "1,234.56"),
        ("en", "1_000", "1,234.56"),
        ("en", "5.", "1,234.56"),
        ("en", "--5", "1,234.56"),
        ("en", "", "1,234.56"),
        ("en", ",", "1,234.56"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_was_expected(crm_app, language, typed, example):
    with crm_app.test_request_context(), force_locale(language):
        found = typed_number(typed)

    assert isinstance(found, Misread)
    assert found == typed
    assert example in found.expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_a_number_survives_being_shown_and_typed_again(number):
    plain = f"{number:f}"

    assert plain_number(plain.replace(".", ","), ",", ".") == plain
    assert plain_number(f"{number:,f}", ".", ",") == plain


def test_a_form_shows_and_takes_numbers_in_the_users_language(french, admin_api, make_things):
    make_things(("lamp", "1234.5"))
    uid = admin_api.get(API).json["items"][0]["id"]

    form = french.get(f"{THINGS}/{uid}/edit").text
    sent = {"name": "lamp", "amount": "9\u202f876,54", "currency": "EUR", "version": "1"}
    answer = french.post(f"{THINGS}/{uid}/edit", data=sent)

    assert 'value="1234,50"' in form
    assert answer.status_code == 303
    assert admin_api.get(f"{API}/{uid}").json["amount"] == "9876.5400"


def test_a_refused_number_comes_back_as_it_was_typed(french, admin_api, make_things):
    make_things(("lamp", 5))
    uid = admin_api.get(API).json["items"][0]["id"]

    sent = {"amount": "1,234,5", "currency": "EUR", "version": "1"}
    answer = french.post(f"{THINGS}/{uid}/field/amount", data=sent)

    assert answer.status_code == 422
    assert 'value="1,234,5"' in answer.text
    assert "1\u202f234,56" in html.unescape(answer.text)
    assert admin_api.get(f"{API}/{uid}").json["amount"] == "5.0000"


def test_the_bulk_form_takes_numbers_in_the_users_language(french, admin_api, make_things):
    make_things(("lamp", 5))
    chosen = {"id": [admin_api.get(API).json["items"][0]["id"]], "what": "set:amount", "currency": "EUR"}

    tried = french.post(f"{THINGS}/bulk", data={**chosen, "step": "preview", "amount": "1 234,5"})
    refused = french.post(f"{THINGS}/bulk", data={**chosen, "step": "preview", "amount": "1,2,3"})

    assert (tried.status_code, refused.status_code) == (200, 422)
    assert 'value="1234,5"' in tried.text
    assert 'value="1,2,3"' in refused.text


def test_the_filter_builder_takes_numbers_and_its_address_holds_them_plain(french, make_things):
    make_things(("lamp", 5), ("torch", "1234.5"))
    fields = {"f.join": "all", "f.0.field": "amount", "f.0.op": "gte", "f.0.value": "1 234,5"}

    done = french.get(f"{THINGS}/filter", query_string={**fields, "do": "apply"})
    tree = dict(parse_qsl(urlsplit(done.location).query))["filter"]
    again = french.get(f"{THINGS}/filter", query_string={"filter": tree})
    refused = french.get(f"{THINGS}/filter", query_string={**fields, "f.0.value": "1,2,3", "do": "apply"})

    assert orjson.loads(tree)["and"][0]["value"] == "1234.5"
    assert 'value="1234,5"' in again.text
    assert "1\u202f234,5" in html.unescape(french.get(done.location).text)
    assert (refused.status_code, "1\u202f234,56" in html.unescape(refused.text)) == (200, True)


def test_the_filter_bar_takes_numbers_and_its_address_holds_them_plain(french, make_things):
    make_things(("lamp", 5), ("torch", "1234.5"))

    led = french.get(THINGS, query_string={"amount.op": "gte", "amount": "1 234,5"})
    refused = french.get(THINGS, query_string={"amount.op": "gte", "amount": "1,2,3"})

    assert led.location.endswith("amount__gte=1234.5")
    assert "torch" in french.get(led.location).text
    assert "lamp" not in french.get(led.location).text
    assert refused.status_code == 422


def test_a_filter_that_cannot_be_read_stands_at_its_field_and_nothing_is_left_out(french, make_things):
    make_things(("lamp", 5), ("torch", "1234.5"))
    asked = {"amount.op": "gte", "amount": "1,2,3", "name.op": "contains", "name": "tor", "sort": "-amount", "q": "t"}

    answer = french.get(THINGS, query_string=asked)

    page = html.unescape(answer.text)
    form = page.partition('class="crm-filter-form"')[2].partition("</form>")[0]
    assert answer.status_code == 422
    assert 'href="#filter-amount"' in page
    assert 'id="filter-amount-error"' in form
    assert 'value="1,2,3"' in form
    assert '<option value="gte" selected>' in form
    assert 'value="tor"' in form
    assert '<input type="hidden" name="sort" value="-amount">' in form
    assert "1\u202f234,56" in form
    assert "torch" not in page
    assert "lamp" not in page


def test_all_filters_that_cannot_be_read_are_named_at_once(french, make_things):
    make_things(("lamp", 5))

    answer = french.get(
        THINGS, query_string={"amount.op": "gte", "amount": "x", "toyrecords.stars.op": "eq", "toyrecords.stars": "y"}
    )

    assert answer.status_code == 422
    assert answer.text.count("crm-field-error") == 2
    assert "2 filtres" in answer.text


def test_an_address_with_a_value_that_does_not_fit_shows_the_list_with_the_message(french, make_things):
    make_things(("lamp", 5))

    amount = french.get(THINGS, query_string={"amount__gte": "many", "name__contains": "lam"})
    day = french.get(THINGS, query_string={"made_on__lt": "tomorrowish"})
    unknown = french.get(THINGS, query_string={"gone": "1"})

    assert (amount.status_code, day.status_code, unknown.status_code) == (422, 422, 422)
    assert 'id="filter-amount-error"' in amount.text
    assert 'value="many"' in amount.text
    assert 'id="filter-made_on-error"' in day.text
    assert "lamp" not in amount.text + day.text
    assert "crm-filter-form" not in unknown.text


def test_the_view_that_comes_first_does_not_stand_in_for_a_refused_filter(french, make_things):
    make_things(("lamp", 5))
    saved = french.post(
        "/views/save", data={"record_type": "toyrecords.thing", "kind": "list", "name": "First", "query": "name=lamp"}
    )
    view = saved.location.partition("view=")[2]
    french.post(f"/views/{view}/first")

    answer = french.get(THINGS, query_string={"amount.op": "gte", "amount": "x"})

    assert answer.status_code == 422
    assert "lamp" not in answer.text.partition('class="crm-filters"')[2]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [({"amount__in": "5,6"}, "5,6"), ({"amount__empty": "1"}, "1"), ({"name__in": "a,b"}, "a,b")],
)
def test_conditions_that_no_control_takes_go_along_as_the_address_has_them(french, make_things, condition, rows):
    make_things(("a", 5), ("b", 6), ("c", "5.6"))
    [name] = condition

    form = (
        french.get(THINGS, query_string=condition).text.partition('class="crm-filter-form"')[2].partition("</form>")[0]
    )
    led = french.get(THINGS, query_string={**condition, "amount.op": "lt", "amount": "5,8"})

    assert form.count(f'value="{rows}"') == 1
    assert f'<input type="hidden" name="{name}" value="{rows}">' in form
    assert dict(parse_qsl(urlsplit(led.location).query)) == {**condition, "amount__lt": "5.8"}


@pytest.mark.parametrize(
    "condition", [{"state__ne": "new"}, {"state__empty": "false"}, {"made_on__during": "last_30_days"}]
)
def test_a_condition_is_not_turned_into_another_one_by_the_filter_bar(french, make_things, condition):
    make_things(("a", 5))
    [(name, value)] = condition.items()

    page = french.get(THINGS, query_string=condition).text
    form = page.partition('class="crm-filter-form"')[2].partition("</form>")[0]

    assert f'<input type="hidden" name="{name}" value="{value}">' in form
    assert "checked" not in form


@pytest.mark.parametrize("typed", ["1 234,5", "1234,5"])
def test_the_api_takes_plain_numbers_whatever_the_language(admin_api, typed):
    answer = admin_api.post(API, {"name": "x", "amount": typed, "currency": "EUR"}, headers={"Accept-Language": "fr"})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["amount"]
