"""Finding customers by how they can be reached, as the actor may see them; the record type's list and page."""

from __future__ import annotations

import pytest

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.customers.queries import customers_by_contact_point
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import page_of, parse_query


@pytest.fixture
def reached(uow):
    """Names of the customers reached: ``reached("phone", "202-456-1111")``."""
    return lambda channel, value: [c.display_name for c in customers_by_contact_point(uow, channel, value)]


def test_a_caller_is_found_however_the_number_is_written(person, organization, reached):
    person(contact_points=[{"channel": "mobile", "value": "(202) 456-1111"}])
    organization("Acme", contact_points=[{"channel": "phone", "value": "+1 202 456 1111"}])

    assert reached("phone", "001 202 456 1111 ") == []
    assert reached("phone", "tel:+12024561111") == ["Acme", "Ada Lovelace"]


def test_a_sender_is_found_by_address_whatever_its_case(person, reached):
    person(contact_points=[{"channel": "email", "value": "ada@crm.test"}])

    assert reached("email", "Ada L <ADA@CRM.test>") == ["Ada Lovelace"]
    assert reached("email", "not an address") == []


def test_a_hidden_customer_is_not_found(uow, person, reached):
    person(contact_points=[{"channel": "email", "value": "ada@crm.test"}])

    uow.actor = Actor(kind="user", name="rep", user_id=1, grants={"customer.read": Scope.OWN})

    assert reached("email", "ada@crm.test") == []


def test_a_list_shows_primary_values_and_city_in_one_query(uow, person, organization, count_queries):
    for number in range(20):
        person(
            family_name=f"N{number:02}",
            contact_points=[{"channel": "email", "value": f"n{number}@crm.test"}],
            addresses=[{"city": f"City {number}"}],
        )
    customers = record_type("customer")
    fields = "display_name,primary_email,city,job_title"
    # Asks once per unit of work which custom fields there are; a request learns it with its user.
    query = parse_query(customers, [("fields", fields), ("limit", "15")])

    with count_queries() as queries:
        page = page_of(uow, customers, query)

    queries.at_most(1)
    first = {name: page.items[0][name] for name in fields.split(",")}
    assert first == {"display_name": "Ada N00", "primary_email": "n0@crm.test", "city": "City 0", "job_title": None}
    assert len(page.items) == 15


def test_names_sort_as_people_expect_on_both_databases(uow, person, organization):
    for name in ("Zola", "Émile", "eve", "Åse", "de Gaulle"):
        person(given_name="", family_name=name)
    organization("Ärzte")
    customers = record_type("customer")

    items = page_of(uow, customers, parse_query(customers, [("fields", "display_name")])).items

    assert [item["display_name"] for item in items] == ["Ärzte", "Åse", "de Gaulle", "Émile", "eve", "Zola"]


def test_customers_are_filtered_by_fields_of_their_side_tables_and_parts(uow, person, organization):
    organization("Acme", industry="Tools", addresses=[{"city": "Paris"}])
    organization("Bell", industry="Phones", addresses=[{"city": "Lyon"}])
    person(addresses=[{"city": "Paris"}])
    customers = record_type("customer")

    def names(**conditions):
        items = page_of(uow, customers, parse_query(customers, list(conditions.items()))).items
        return [item["display_name"] for item in items]

    assert names(industry="Tools") == ["Acme"]
    assert names(city="Paris") == ["Acme", "Ada Lovelace"]
    assert names(city="Paris", kind="person") == ["Ada Lovelace"]


def test_the_search_finds_names_addresses_and_numbers(unit, crm_app):
    from crm_kernel.testing.factories import Factory

    Factory(crm_app).organization(
        display_name="Café de l’Étoile",
        contact_points=[{"channel": "email", "value": "hello@etoile.test"}],
        identifiers=[{"type": "siren", "value": "732829320"}],
    )
    with unit() as uow:
        customers = record_type("customer")
        for words in ("etoile caf", "hello@etoile", "732829320"):
            assert len(page_of(uow, customers, parse_query(customers, [("q", words)])).items) == 1, words
