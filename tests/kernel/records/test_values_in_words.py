"""Pages say values in words: languages and record types by name, base amounts with their currency, choices as choices."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest


@pytest.fixture
def admin(login):
    """A browser of somebody who may do everything."""
    return login("administrator")


@pytest.fixture
def sale(unit, factories):
    """The public ids of a sale that the module sfa recorded, and of a touch point about it."""
    from crm_kernel.customers.models import Customer
    from crm_kernel.sales.services import record_sale
    from crm_kernel.touchpoints.services import record_interaction

    uid = factories.person(given_name="Ada", family_name="Lovelace", language="fr").uid
    with unit() as uow:
        ada = uow.session.query(Customer).filter_by(uid=uid).one()
        sold = record_sale(
            uow, title="Engine", amount=Decimal("1234.5"), currency="USD", channel="rep", source_plugin="sfa",
            external_ref="1", customer=ada,
        )  # fmt: skip
        told = record_interaction(
            uow, ada, kind="note", channel="other", direction="internal", summary="Sold", source_plugin="sfa",
            subject_type="sale", subject_uid=sold.uid, external_ref="1",
        )  # fmt: skip
        return {"sale": sold.uid, "interaction": told.uid, "customer": uid, "base": sold.base_amount}


def _text(page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.get_data(as_text=True)).split())


def test_the_user_form_offers_languages_and_time_zones(admin):
    page = admin.get("/users/new").get_data(as_text=True)

    assert '<option value="en" selected>English</option><option value="fr">Français</option>' in page
    assert 'list="f-timezone-options" value="UTC"' in page
    assert '<option value="America/New_York"></option>' in page
    assert "Etc/GMT" not in page


def test_the_profile_offers_time_zones_too(admin):
    page = admin.get("/profile").get_data(as_text=True)

    assert 'list="f-timezone-options"' in page
    assert '<option value="Europe/Paris">' in page


def test_a_user_made_by_the_form_has_what_was_chosen(admin, api):
    made = {"name": "Bob", "email": "bob@crm.test", "language": "fr", "timezone": "Europe/Paris"}

    assert admin.post("/users/new", data=made).status_code == 303
    [bob] = api("administrator").get("/api/users", name="Bob").json["items"]
    assert (bob["language"], bob["timezone"]) == ("fr", "Europe/Paris")


def test_detail_pages_name_the_language(admin, sale):
    assert "Language French" in _text(admin.get(f"/customers/{sale['customer']}"))
    assert "Language English" in _text(admin.get(f"/users/{admin.user.uid}"))


def test_a_touch_point_names_what_it_is_about_and_its_module(admin, sale):
    text = _text(admin.get(f"/interactions/{sale['interaction']}"))

    assert "About Sale" in text
    assert "Module SFA" in text


def test_a_base_amount_carries_the_base_currency(admin, sale):
    text = _text(admin.get(f"/sales/{sale['sale']}"))

    assert re.search(r"Amount in the base currency \S*1,234\.50", text)
    assert "Amount in the base currency 1,234.5" not in text


def test_a_rate_is_shown_with_all_its_decimals(admin, api):
    rate = {"from_currency": "CHF", "to_currency": "USD", "rate": "1.123456", "valid_on": "2026-11-20"}
    made = api("administrator").post("/api/exchange-rates", rate).json

    assert "1.123456" in _text(admin.get("/exchange-rates?from_currency=CHF"))
    assert "1.123456" in _text(admin.get(f"/exchange-rates/{made['id']}"))


def test_a_condition_on_a_code_says_what_pages_call_it(admin):
    chips = _text(admin.get("/views?record_type__in=customer,sale"))
    tree = {"filter": '{"field": "record_type", "op": "ne", "value": "customer"}'}

    assert "Record type is one of Customer, Sale" in chips
    assert "Record type is not Customer" in _text(admin.get("/views", query_string=tree))
    assert "Language is French" in _text(admin.get("/customers?language=fr"))
    assert "Record type is gone.thing" in _text(admin.get("/views?record_type=gone.thing"))
    assert "Record type contains cust" in _text(admin.get("/views?record_type__contains=cust"))


def test_filters_offer_codes_by_what_they_are_called(admin):
    bar = admin.get("/views?record_type=sale").get_data(as_text=True)
    built = {"f.join": "all", "f.0.field": "record_type", "f.0.op": "eq", "f.0.value": "customer"}
    builder = admin.get("/views/filter", query_string=built).get_data(as_text=True)

    ticked = re.search(
        r'<input type="checkbox"[^>]*name="record_type" value="sale"[^>]*checked>\s*([^<]*<[^>]*>)?\s*(\w+)', bar
    )
    assert ticked
    assert ticked[2] == "Sale"
    assert '<option value="customer" selected>Customer</option>' in builder
    assert admin.get("/views?record_type=sale&record_type=customer").status_code == 302


def test_a_condition_on_another_systems_sales_stays_in_the_filter_bar(admin):
    bar = admin.get("/sales?source_plugin=shop").get_data(as_text=True)
    built = {"f.join": "all", "f.0.field": "source_plugin", "f.0.op": "in", "f.0.value": "shop\ntill"}
    builder = admin.get("/sales/filter", query_string=built).get_data(as_text=True)

    assert re.search(r'<input[^>]*name="source_plugin"[^>]*value="shop"', bar)
    assert re.search(r"<textarea[^>]*>\s*shop\ntill</textarea>", builder)


def test_a_condition_on_a_code_of_a_module_that_is_gone_stays_ticked(admin):
    bar = admin.get("/webhook-deliveries?event_name=gone.thing_made").get_data(as_text=True)
    built = {"f.join": "all", "f.0.field": "event_name", "f.0.op": "in", "f.0.value": "gone.thing_made"}
    builder = admin.get("/webhook-deliveries/filter", query_string=built).get_data(as_text=True)

    assert re.search(r'name="event_name" value="gone.thing_made"[^>]*checked', bar)
    assert re.search(r'name="f.0.value" value="gone.thing_made"[^>]*checked', builder)


def test_an_unfinished_code_is_typed(admin):
    built = {"f.join": "all", "f.0.field": "record_type", "f.0.op": "contains", "f.0.value": "cust"}

    assert 'value="cust"' in admin.get("/views/filter", query_string=built).get_data(as_text=True)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/customers?birth_date__gte=1990-03-01", "depuis le 1 mars 1990"),
        ("/interactions?occurred_at__lt=2026-03-01T10:30", "avant 01/03/2026 10:30"),
        ("/interactions?occurred_at__gte=2026-03-01", "depuis le 1 mars 2026"),
        ("/interactions?occurred_at__gte=-30d", "depuis le il y a 30 jours"),
    ],
)
def test_days_and_times_of_conditions_are_written_as_the_reader_does(login, unit, address, said):
    from crm_kernel.access.models import AppUser

    person = login("administrator", language="fr")
    with unit() as uow:
        uow.session.get(AppUser, person.user.id).timezone = "Europe/Paris"

    chips = _text(person.get(address)).replace("\u202f", " ").replace("\xa0", " ")

    assert said in chips, chips[:3000]


def test_a_reference_that_is_the_id_of_a_record_is_not_shown(admin, sale, unit):
    from crm_kernel.sales.models import Sale

    shown = _text(admin.get(f"/sales/{sale['sale']}"))
    with unit() as uow:
        sold = uow.session.query(Sale).filter_by(uid=sale["sale"]).one()
        sold.source_plugin, sold.external_ref = "toyrecords", f"{sale['customer']}:refund"

    assert "Reference in the source 1 " in shown
    assert "Reference in the source" not in _text(admin.get(f"/sales/{sale['sale']}"))


@pytest.mark.parametrize(
    ("source", "reference", "shown"),
    [
        ("shop", "5f0c1c52-7b1e-4d52-9a63-0c7f3d8b2a11", True),
        ("shop", "sale:5f0c1c52-7b1e-4d52-9a63-0c7f3d8b2a11", True),
        ("kernel", "INV-12", True),
        ("toyrecords", "5f0c1c52-7b1e-4d52-9a63-0c7f3d8b2a11:2", False),
        ("kernel", "sale:5f0c1c52-7b1e-4d52-9a63-0c7f3d8b2a11", False),
        ("kernel", "refund:5f0c1c52-7b1e-4d52-9a63-0c7f3d8b2a11", False),
    ],
)
def test_only_ids_that_modules_made_up_are_not_shown_as_references(admin, sale, unit, source, reference, shown):
    from crm_kernel.sales.models import Sale

    with unit() as uow:
        sold = uow.session.query(Sale).filter_by(uid=sale["sale"]).one()
        sold.source_plugin, sold.external_ref = source, reference

    page, column = _text(admin.get(f"/sales/{sale['sale']}")), _text(admin.get("/sales?columns=title,external_ref"))

    assert (f"Reference in the source {reference}" in page, reference in column) == (shown, shown)
