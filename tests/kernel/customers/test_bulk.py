"""Many customers at once: the same rows, rules and messages as one at a time."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.bulk import create_customers, update_customers
from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.models import (
    Address,
    ContactPoint,
    ContactPointEvent,
    Customer,
    CustomerIdentifier,
    Organization,
    Person,
)
from crm_kernel.customers.queries import contact_points_of
from crm_kernel.customers.services import create_customer, update_customer
from crm_kernel.errors import NotFound

PARTS = (ContactPoint, Address, CustomerIdentifier)


def rows(tag):
    """Customers of every kind with every sort of part; ``tag`` keeps their unique keys apart."""
    return [
        {
            "kind": "person",
            "given_name": "Jane",
            "family_name": "Müller",
            "job_title": "CTO",
            "source": tag,
            "external_ref": "1",
            "contact_points": [
                {"channel": "email", "value": "Jane@Crm.test", "label": "work"},
                {"channel": "email", "value": "jane@home.test", "is_primary": True},
                {"channel": "phone", "value": "(202) 456-1111"},
            ],
            "addresses": [{"street": "1 Main St", "city": "Springfield", "country_code": "US"}, {"city": "Lyon"}],
        },
        {
            "kind": "organization",
            "legal_name": "Acme SAS",
            "industry": "Tools",
            "employees": 12,
            "website": "acme.test",
            "stage": "customer",
            "identifiers": [
                {"type": "external", "value": " 77 ", "issuer": tag},
                {"type": "vat" if tag == "one" else "siren", "value": "FR44732829320" if tag == "one" else "732829320"},
            ],
        },
        {"kind": "household", "display_name": "The  Byrons", "custom": {"color": "red"}, "notes": "three\nof them"},
    ]


def stored(uow, keys):
    """What the tables hold about some customers, without keys, public ids and what the two inputs differ in."""
    ignored = {"id", "uid", "customer_id", "source", "issuer", "type", "value"}
    found = []
    for key in keys:
        own = uow.session.execute(sa.select(Customer.__table__).where(Customer.__table__.c.id == key)).mappings().one()
        sides = [
            dict(row)
            for model in (Person, Organization)
            for row in uow.session.execute(
                sa.select(model.__table__).where(model.__table__.c.customer_id == key)
            ).mappings()
        ]
        parts = [
            dict(row)
            for model in PARTS
            for row in uow.session.execute(
                sa.select(model.__table__).where(model.__table__.c.customer_id == key).order_by(model.__table__.c.id)
            ).mappings()
        ]
        found.append([{k: v for k, v in row.items() if k not in ignored} for row in (dict(own), *sides, *parts)])
    return found


def test_created_together_they_are_what_they_are_created_one_by_one(uow):
    together = create_customers(uow, rows("one"))
    singly = [create_customer(uow, row).id for row in rows("two")]

    assert stored(uow, together) == stored(uow, singly)


def test_keys_come_in_the_order_of_the_rows(uow):
    keys = create_customers(uow, [{"kind": "person", "family_name": f"N{number}"} for number in range(50)])

    names = [uow.session.get(Customer, key).display_name for key in keys]
    assert names == [f"N{number}" for number in range(50)]


def test_single_writes_go_on_after_bulk_ones(uow):
    create_customers(uow, rows("one"))

    customer = create_customer(uow, {"kind": "person", "family_name": "After"})

    assert customer.id not in (None, 0)


def test_every_wrong_row_is_named_and_none_is_written(uow, refused):
    wrong = [
        {"kind": "person", "family_name": "Fine"},
        {"kind": "person"},
        {"kind": "person", "family_name": "A", "contact_points": [{"channel": "email", "value": "nobody"}]},
    ]

    errors = refused(create_customers, uow, wrong)

    assert list(errors) == ["1.family_name", "2.contact_points.0.value"]
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Customer)).scalar() == 0


def test_unique_keys_are_unique_within_the_rows_and_against_the_table(uow, refused):
    create_customers(uow, rows("one"))
    again = {"kind": "person", "family_name": "A", "source": "one", "external_ref": "1"}
    number = {"kind": "person", "family_name": "B", "identifiers": [{"type": "vat", "value": "FR44732829320"}]}
    twice = {"kind": "person", "family_name": "C", "source": "two", "external_ref": "2"}

    errors = refused(create_customers, uow, [again, number, twice, twice])

    assert list(errors) == ["1.identifiers.0.value", "0.external_ref", "3.external_ref"]


def test_statements_do_not_grow_with_the_rows(uow, count_queries):
    with count_queries() as queries:
        create_customers(uow, [{**rows("one")[0], "external_ref": str(number)} for number in range(500)])

    # COPY on PostgreSQL goes below the statements that are counted.
    queries.at_most(12)


CHANGES = [
    {"family_name": "King", "contact_points": [{"channel": "email", "value": "new@crm.test"}]},
    {"employees": 13, "website": None, "identifiers": [], "addresses": [{"city": "Nice"}]},
    {"display_name": "The Kings", "kind": "household"},
]


def test_changed_together_they_are_what_they_are_changed_one_by_one(uow):
    together, singly = (create_customers(uow, rows(tag)) for tag in ("one", "two"))
    uow.now += dt.timedelta(hours=1)

    update_customers(uow, dict(zip(together, CHANGES, strict=True)))
    for key, change in zip(singly, CHANGES, strict=True):
        update_customer(uow, uow.session.get(Customer, key), change)
    uow.session.expire_all()

    assert stored(uow, together) == stored(uow, singly)


def test_a_bulk_change_raises_the_version_of_what_changed_only(uow):
    one, two = create_customers(uow, [{"kind": "person", "family_name": name} for name in "AB"])

    update_customers(uow, {one: {"notes": "new"}, two: {"family_name": "B"}})
    uow.session.expire_all()

    assert (uow.session.get(Customer, one).version, uow.session.get(Customer, two).version) == (2, 1)


def test_a_bulk_change_launders_no_bounce(uow):
    key = create_customers(uow, [{"kind": "person", "family_name": "A", "contact_points": [
        {"channel": "email", "value": "a@crm.test"}]}])[0]  # fmt: skip
    customer = uow.session.get(Customer, key)
    report_evidence(uow, contact_points_of(uow, customer)[0], "hard_bounced", source="ema")

    update_customers(uow, {key: {"contact_points": [{"channel": "email", "value": "b@crm.test"}]}})
    update_customers(uow, {key: {"contact_points": [{"channel": "email", "value": "a@crm.test"}]}})
    uow.session.expire_all()

    assert [(p.value, p.state, p.is_primary) for p in contact_points_of(uow, customer)] == [
        ("a@crm.test", "hard_bounce", True)
    ]


def test_a_bulk_correction_is_evidence_too(uow):
    key = create_customers(uow, [{"kind": "person", "family_name": "A", "contact_points": [
        {"channel": "email", "value": "a@crm.test"}]}])[0]  # fmt: skip
    point = contact_points_of(uow, uow.session.get(Customer, key))[0]
    report_evidence(uow, point, "delivered", source="ema")
    uow.events.clear()

    update_customers(uow, {key: {"contact_points": [{"uid": point.uid, "value": "b@crm.test"}]}})

    kinds = uow.session.execute(sa.select(ContactPointEvent.kind).order_by(ContactPointEvent.id)).scalars().all()
    assert kinds == ["delivered", "corrected"]
    assert [(event.before, event.after) for event in uow.events] == [("valid", "unverified")]


def test_wrong_changes_are_named_by_their_place(uow, refused):
    one, two = create_customers(uow, [{"kind": "person", "family_name": name} for name in "AB"])

    errors = refused(update_customers, uow, {two: {"notes": "x"}, one: {"industry": "Tools"}})

    assert list(errors) == ["1.industry"]


def test_a_customer_that_is_gone_is_not_found(uow):
    with pytest.raises(NotFound):
        update_customers(uow, {12345: {"notes": "x"}})


def test_the_records_machinery_audits_indexes_and_tells_for_the_bulk_path(uow):
    from crm_kernel.records.bulk import create_many, update_many
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import page_of, parse_query

    customers = record_type("customer")
    keys = create_many(uow, customers, rows("one"))
    changed = update_many(uow, customers, {keys[0]: {"family_name": "Lovelace"}, keys[1]: {"employees": 12}})

    assert changed == [keys[0]]
    assert [event.name for event in uow.events] == ["kernel.records_bulk_changed"]
    found = page_of(uow, customers, parse_query(customers, [("q", "lovelace")])).items
    assert [item["display_name"] for item in found] == ["Jane Lovelace"]
