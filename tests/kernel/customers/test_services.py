"""Creating, changing and deleting one customer: the rules, the paths of refusals, what is told."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Organization, Person
from crm_kernel.customers.queries import addresses_of, contact_points_of, identifiers_of
from crm_kernel.customers.services import (
    add_contact_point,
    change_contact_point,
    create_customer,
    delete_customer,
    remove_contact_point,
    update_customer,
)


def told(uow):
    return [event.name.removeprefix("kernel.") for event in uow.events]


def primaries(uow, customer):
    return {point.channel: point.value for point in contact_points_of(uow, customer) if point.is_primary}


def test_a_person_is_named_after_the_given_and_the_family_name(person, uow):
    customer = person(given_name=" Jane ", family_name="Müller", job_title="CTO")

    assert (customer.display_name, customer.sort_name) == ("Jane Müller", "muller jane")
    assert uow.session.get(Person, customer.id).job_title == "CTO"


def test_an_organization_falls_back_on_its_legal_name(create, uow):
    customer = create(kind="organization", legal_name="Acme SAS", website="WWW.Acme.fr", industry="Tools")

    side = uow.session.get(Organization, customer.id)
    assert (customer.display_name, side.website, side.industry) == ("Acme SAS", "https://www.acme.fr/", "Tools")


def test_a_household_has_no_side_row(create, uow):
    customer = create(kind="household", display_name="The Byrons")

    assert uow.session.get(Person, customer.id) is None
    assert uow.session.get(Organization, customer.id) is None


def test_a_new_customer_has_defaults_and_is_told_once(person, uow):
    customer = person()

    assert (customer.status, customer.stage, customer.version, customer.custom) == ("active", "prospect", 1, {})
    assert customer.created_at == customer.updated_at == uow.now
    assert told(uow) == ["customer_created"]
    assert uow.events[0].customer_id == customer.uid


REFUSALS = [
    ({"kind": "person"}, "family_name"),
    ({"kind": "person", "display_name": "Ada"}, "family_name"),
    ({"kind": "organization"}, "display_name"),
    ({"kind": "household"}, "display_name"),
    ({"kind": "robot"}, "kind"),
    ({}, "kind"),
    ({"kind": "person", "family_name": "A", "industry": "Tools"}, "industry"),
    ({"kind": "organization", "display_name": "A", "birth_date": "1990-01-01"}, "birth_date"),
    ({"kind": "organization", "display_name": "A", "annual_revenue": "5"}, "revenue_currency"),
    ({"kind": "organization", "display_name": "A", "annual_revenue": "-0.01", "revenue_currency": "EUR"},
     "annual_revenue"),
    ({"kind": "organization", "display_name": "A", "employees": -1}, "employees"),
    ({"kind": "person", "family_name": "A", "birth_date": "1849-12-31"}, "birth_date"),
    ({"kind": "person", "family_name": "A", "birth_date": "2999-01-01"}, "birth_date"),
    ({"kind": "organization", "display_name": "A", "website": "javascript:alert(1)"}, "website"),
    ({"kind": "person", "family_name": "A", "external_ref": "7"}, "source"),
    ({"kind": "person", "family_name": "A", "status": "dead"}, "status"),
    ({"kind": "person", "family_name": "A", "language": "klingon"}, "language"),
    ({"kind": "person", "family_name": "A", "timezone": "../../etc/passwd"}, "timezone"),
    ({"kind": "person", "family_name": "A\x00B"}, "family_name"),
    ({"kind": "person", "family_name": "A", "primary_email": "a@b.fr"}, "primary_email"),
    ({"kind": "person", "family_name": "A", "contact_points": [{"channel": "email", "value": "x"}]},
     "contact_points.0.value"),
    ({"kind": "person", "family_name": "A", "contact_points": [{"channel": "pigeon", "value": "x"}]},
     "contact_points.0.channel"),
    ({"kind": "person", "family_name": "A", "contact_points": [{"channel": "email", "value": "a@b.fr",
                                                                "state": "valid"}]}, "contact_points.0.state"),
    ({"kind": "person", "family_name": "A", "addresses": [{"country_code": "FR"}]}, "addresses.0.city"),
    ({"kind": "person", "family_name": "A", "addresses": [{"city": "Paris", "country_code": "XX"}]},
     "addresses.0.country_code"),
    ({"kind": "person", "family_name": "A", "addresses": [{"city": "P", "valid_from": "2026-02-01",
                                                           "valid_to": "2026-01-01"}]}, "addresses.0.valid_to"),
    ({"kind": "person", "family_name": "A", "identifiers": [{"type": "siren", "value": "123456789"}]},
     "identifiers.0.value"),
    ({"kind": "person", "family_name": "A", "identifiers": [{"type": "external", "value": "7"}]},
     "identifiers.0.issuer"),
]  # fmt: skip


def test_a_refusal_names_the_path_of_the_wrong_field_and_writes_nothing(create, refused, uow):
    found = [list(refused(create, **payload)) for payload, _path in REFUSALS]

    assert found == [[path] for _payload, path in REFUSALS]
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Customer)).scalar() == 0
    assert uow.events == []


def test_a_refusal_says_what_was_found_and_expected(person, refused):
    errors = refused(
        person, contact_points=[{"channel": "phone", "value": "12"}, {"channel": "email", "value": "jane"}]
    )

    assert errors == {
        "contact_points.0.value": ["'12' is too short for a phone number of US"],
        "contact_points.1.value": ["'jane' has no @: expected one such as jane@example.com"],
    }


def test_contact_values_are_stored_as_written_and_compared_normalised(person, uow):
    customer = person(
        contact_points=[
            {"channel": "phone", "value": " (202) 456-1111 "},
            {"channel": "email", "value": "Jane.Doe@Example.COM"},
            {"channel": "social", "value": "@AdaLovelace"},
        ]
    )

    points = {
        point.channel: (point.value, point.value_normalized, point.state) for point in contact_points_of(uow, customer)
    }
    assert points == {
        "phone": ("(202) 456-1111", "+12024561111", "unverified"),
        "email": ("Jane.Doe@example.com", "jane.doe@example.com", "unverified"),
        "social": ("@AdaLovelace", "adalovelace", "unverified"),
    }


def test_the_first_of_a_channel_is_primary_unless_another_is_said_to_be(person, uow):
    customer = person(
        contact_points=[
            {"channel": "email", "value": "a@crm.test"},
            {"channel": "email", "value": "b@crm.test", "is_primary": True},
            {"channel": "phone", "value": "202-456-1111"},
            {"channel": "phone", "value": "202-456-1414"},
        ]
    )

    assert primaries(uow, customer) == {"email": "b@crm.test", "phone": "202-456-1111"}
    assert (customer.primary_email, customer.primary_phone) == ("b@crm.test", "202-456-1111")


def test_two_primaries_of_one_channel_are_refused(person, refused):
    points = [{"channel": "email", "value": f"{name}@crm.test", "is_primary": True} for name in "ab"]

    assert list(refused(person, contact_points=points)) == ["contact_points.1.is_primary"]


def test_one_value_written_twice_is_refused(person, refused):
    points = [{"channel": "phone", "value": "202-456-1111"}, {"channel": "phone", "value": "+1 202 456 1111"}]

    assert list(refused(person, contact_points=points)) == ["contact_points.1.value"]


def test_the_mobile_number_stands_in_for_a_missing_phone_number(person):
    customer = person(
        contact_points=[{"channel": "mobile", "value": "202-456-1111"}], addresses=[{"city": "Paris"}, {"city": "Lyon"}]
    )

    assert (customer.primary_phone, customer.primary_email, customer.city) == ("202-456-1111", None, "Paris")


def test_an_identifier_belongs_to_one_customer(person, organization, refused):
    organization(identifiers=[{"type": "siren", "value": "732 829 320"}])

    errors = refused(person, identifiers=[{"type": "siren", "value": "732829320"}])

    assert list(errors) == ["identifiers.0.value"]


def test_a_reference_of_a_source_belongs_to_one_customer(person, refused):
    person(source="erp", external_ref="7")
    person(source="shop", external_ref="7")

    assert list(refused(person, source="erp", external_ref="7")) == ["external_ref"]


def test_an_owner_without_a_team_brings_his_own(uow):
    from crm_kernel.testing.people import add_user

    owner = add_user(uow, team="North")

    customer = create_customer(uow, {"kind": "person", "family_name": "A", "owner_id": owner.id})

    assert customer.team_id == owner.team_id is not None


def test_an_update_tells_the_changed_fields_and_raises_the_version(person, uow):
    customer = person(contact_points=[{"channel": "email", "value": "a@crm.test"}])
    version = customer.version
    uow.events.clear()

    update_customer(
        uow, customer, {"job_title": "CEO", "notes": "met", "contact_points": [{"channel": "web", "value": "crm.test"}]}
    )

    assert uow.events[0].fields == {"job_title", "notes", "contact_points"}
    assert customer.version == version + 1


def test_a_changed_part_alone_raises_the_customers_version(unit, crm_app):
    from crm_kernel.testing.factories import Factory

    made = Factory(crm_app).person()
    with unit() as uow:
        customer = uow.session.get(Customer, made.id)
        add_contact_point(uow, customer, {"channel": "email", "value": "a@crm.test"})

        assert customer.version == made.version + 1


def test_an_update_that_changes_nothing_writes_and_tells_nothing(person, uow, count_queries):
    parts = {
        "contact_points": [{"channel": "phone", "value": "202-456-1111", "label": "desk"}],
        "addresses": [{"street": "1 Main St", "city": "Paris", "country_code": "FR"}],
        "identifiers": [{"type": "external", "value": "7", "issuer": "erp"}],
    }
    customer = person(**parts)
    uow.events.clear()

    with count_queries() as queries:
        update_customer(uow, customer, {"family_name": "Lovelace", **parts})

    assert uow.events == []
    assert not [text for text in queries.statements if not text.startswith("SELECT")]


def test_a_derived_name_follows_and_a_chosen_one_stays(person, uow):
    derived, chosen = person(), person(display_name="The Countess")

    update_customer(uow, derived, {"family_name": "King"})
    update_customer(uow, chosen, {"family_name": "King"})

    assert (derived.display_name, derived.sort_name) == ("Ada King", "king ada")
    assert (chosen.display_name, chosen.sort_name) == ("The Countess", "king ada")


def test_the_kind_of_a_customer_never_changes(person, refused, uow):
    errors = refused(update_customer, uow, person(), {"kind": "household"})

    assert list(errors) == ["kind"]


def test_a_cleared_status_goes_back_to_the_default(person, uow):
    customer = person(status="archived")

    update_customer(uow, customer, {"status": None, "job_title": None})

    assert customer.status == "active"


def test_a_submitted_list_changes_adds_and_removes_by_id(person, uow):
    customer = person(addresses=[{"city": "Paris"}, {"city": "Lyon"}])
    paris, lyon = addresses_of(uow, customer)

    update_customer(uow, customer, {"addresses": [{"uid": lyon.uid, "city": "Nice"}, {"city": "Lille"}]})

    found = addresses_of(uow, customer)
    assert [(a.city, a.is_primary) for a in found] == [("Nice", True), ("Lille", False)]
    assert found[0].uid == lyon.uid
    assert uow.session.get(Address, paris.id) is None


def test_a_part_of_another_customer_is_not_found(person, refused, uow):
    other = person(addresses=[{"city": "Paris"}])
    foreign = addresses_of(uow, other)[0].uid

    errors = refused(update_customer, uow, person(), {"addresses": [{"uid": foreign, "city": "Lyon"}]})

    assert list(errors) == ["addresses.0.id"]


def test_a_moved_address_is_unverified_again(person, uow):
    customer = person(addresses=[{"city": "Paris", "state": "valid"}])
    address = addresses_of(uow, customer)[0]

    update_customer(uow, customer, {"addresses": [{"uid": address.uid, "city": "Lyon"}]})

    assert address.state == "unverified"


def test_an_identifier_may_be_written_again_by_its_own_customer(organization, uow):
    customer = organization(identifiers=[{"type": "siren", "value": "732829320"}])
    kept = identifiers_of(uow, customer)[0].uid

    update_customer(
        uow,
        customer,
        {"identifiers": [{"type": "siren", "value": "732 829 320"}, {"type": "siret", "value": "73282932000074"}]},
    )

    assert [(i.type, i.uid == kept) for i in identifiers_of(uow, customer)] == [("siren", True), ("siret", False)]


def test_the_primary_changes_hands_in_one_update(person, uow):
    customer = person(
        contact_points=[{"channel": "email", "value": "a@crm.test"}, {"channel": "email", "value": "b@crm.test"}]
    )
    first, second = contact_points_of(uow, customer)

    update_customer(
        uow,
        customer,
        {"contact_points": [{"uid": first.uid, "is_primary": False}, {"uid": second.uid, "is_primary": True}]},
    )
    assert primaries(uow, customer) == {"email": "b@crm.test"}

    update_customer(uow, customer, {"contact_points": [{"uid": first.uid}]})
    assert primaries(uow, customer) == {"email": "a@crm.test"}


def test_two_primaries_that_swap_channels_do_not_collide(person, uow):
    customer = person(
        contact_points=[{"channel": "phone", "value": "202-456-1111"}, {"channel": "mobile", "value": "202-456-1414"}]
    )
    phone, mobile = sorted(contact_points_of(uow, customer), key=lambda point: point.id)

    update_customer(
        uow,
        customer,
        {"contact_points": [{"uid": phone.uid, "channel": "mobile"}, {"uid": mobile.uid, "channel": "phone"}]},
    )

    assert primaries(uow, customer) == {"mobile": "202-456-1111", "phone": "202-456-1414"}


def test_contact_points_are_added_changed_and_removed_one_by_one(person, uow):
    customer = person(contact_points=[{"channel": "email", "value": "a@crm.test"}])

    added = add_contact_point(uow, customer, {"channel": "email", "value": "B@crm.test", "is_primary": True})
    assert primaries(uow, customer) == {"email": "B@crm.test"}

    change_contact_point(uow, added, {"value": "c@crm.test", "label": "office"})
    assert (added.value_normalized, added.label, added.is_primary) == ("c@crm.test", "office", True)

    remove_contact_point(uow, added)
    assert primaries(uow, customer) == {"email": "a@crm.test"}


def test_adding_what_is_there_already_returns_it(person, uow):
    customer = person(contact_points=[{"channel": "phone", "value": "202-456-1111"}])
    known = contact_points_of(uow, customer)[0]

    found = add_contact_point(uow, customer, {"channel": "phone", "value": "202-456-1111"})

    assert found is known
    assert len(contact_points_of(uow, customer)) == 1


def test_the_database_itself_refuses_a_second_primary(person, uow):
    customer = person(contact_points=[{"channel": "email", "value": "a@crm.test"}])
    values = {"channel": "email", "value": "b", "value_normalized": "b", "is_primary": True}

    with pytest.raises(sa.exc.IntegrityError), uow.session.begin_nested():
        uow.session.add(ContactPoint(customer_id=customer.id, **values))


def test_deleting_a_customer_takes_its_parts_along(person, uow):
    customer = person(
        contact_points=[{"channel": "email", "value": "a@crm.test"}],
        addresses=[{"city": "Paris"}],
        identifiers=[{"type": "external", "value": "7", "issuer": "erp"}],
    )

    delete_customer(uow, customer)

    for model in (Customer, Person, ContactPoint, Address, CustomerIdentifier):
        assert uow.session.execute(sa.select(sa.func.count()).select_from(model)).scalar() == 0, model
    assert told(uow)[-1] == "customer_deleted"


def test_the_numbers_of_a_french_company_are_read_in_its_region(crm_app, person, uow, monkeypatch):
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(crm_app)
    monkeypatch.setattr(runtime, "config", runtime.config.replace(default_region="FR"))

    customer = person(contact_points=[{"channel": "phone", "value": "01 42 68 53 00"}])

    assert contact_points_of(uow, customer)[0].value_normalized == "+33142685300"
