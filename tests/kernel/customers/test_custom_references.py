"""Custom fields that point to customers: what erases, merges or deletes one finds their values by an index."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser
from crm_kernel.customers.merging.services import merge
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.erasing import erase, erasure_plan
from crm_kernel.records.custom_fields.indexes import index_name, is_usable
from crm_kernel.records.custom_fields.services import add_field, archive_field, field_named, restore_field
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import delete_record
from crm_kernel.testing.people import add_user

#: Table → the field that refers to customers; of users the table has another name than the record type.
INDEXES = {table: index_name(table, name) for table, name in (("customer", "cf_adviser"), ("app_user", "cf_patient"))}


@pytest.fixture
def declared(unit):
    """Declare the fields and commit: indexes are made once no transaction is open."""
    with unit() as uow:
        add_field(uow, "customer", "cf_adviser", "reference", target="customer")
        add_field(uow, "user", "cf_patient", "reference", target="customer")


@pytest.fixture
def referred(declared, uow, person):
    """Return a customer, and another one and a user who refer to it by custom fields."""
    her, friend = person(given_name="Zanzi"), person(given_name="Friend")
    user = add_user(uow, "manager")
    friend.custom = {"cf_adviser": her.id}
    user.custom = {"cf_patient": her.id}
    uow.session.flush()
    return her, friend, user


@pytest.fixture
def looked_for():
    """Collect the plans of the statements that look for a custom field: ``with looked_for(uow) as plans``."""

    @contextmanager
    def collect(uow):
        connection, found, plans = uow.session.connection(), [], []

        def note(_connection, _cursor, statement, parameters, *_rest):
            if "cf_" in statement.rpartition("WHERE")[2]:
                found.append((statement, parameters))

        sa.event.listen(connection.engine, "before_cursor_execute", note)
        try:
            yield plans
        finally:
            sa.event.remove(connection.engine, "before_cursor_execute", note)
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:  # a table of three rows is read whole otherwise
            uow.session.execute(sa.select(sa.func.set_config("enable_seqscan", "off", True)))
        for statement, parameters in found:
            lines = connection.exec_driver_sql(
                ("EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN ") + statement, parameters
            )
            plans.append("\n".join(str(line[-1]) for line in lines))

    return collect


def _uses(plans, index):
    return [plan for plan in plans if index in plan]


def _whole(plans):
    return [plan for plan in plans if "Seq Scan" in plan or "SCAN" in plan]


def test_an_erasure_finds_the_references_by_their_indexes(referred, uow, looked_for):
    her, friend, user = referred

    with looked_for(uow) as plans:
        erasure_plan(uow, her)
        erase(uow, her)

    assert _whole(plans) == []
    # Counted for the plan, then taken out.
    assert [len(_uses(plans, index)) for index in INDEXES.values()] == [2, 2]
    assert uow.session.get(Customer, friend.id).custom == {}
    assert uow.session.get(AppUser, user.id).custom == {}


def test_a_merge_finds_the_references_by_their_indexes(referred, uow, looked_for):
    her, friend, user = referred
    other = uow.session.get(Customer, friend.id)

    with looked_for(uow) as plans:
        merge(uow, her, other)

    assert _whole(plans) == []
    assert all(_uses(plans, index) for index in INDEXES.values())
    uow.session.refresh(user)
    assert user.custom == {"cf_patient": friend.id}


@pytest.mark.parametrize("archived", [False, True])
def test_a_deletion_finds_the_references_by_their_indexes(referred, uow, looked_for, archived):
    her, friend, user = referred
    if archived:
        for host, name in (("customer", "cf_adviser"), ("user", "cf_patient")):
            archive_field(uow, field_named(uow, host, name))
    wanted = record_type("customer")

    with looked_for(uow) as plans:
        delete_record(uow, wanted, her.uid, version=her.version)

    assert _whole(plans) == []
    assert all(_uses(plans, index) for index in INDEXES.values())
    for record in (friend, user):
        uow.session.refresh(record)
    assert (friend.custom, user.custom) == ({}, {})


def test_an_archived_reference_keeps_its_index(declared, unit):
    for change in (archive_field, restore_field):
        with unit() as uow:
            change(uow, field_named(uow, "customer", "cf_adviser"))

        with unit() as uow:
            assert is_usable(uow.session.connection(), "customer", "cf_adviser")
