"""Anonymising: nothing names her any more, in any module; rows, dates, amounts, country and region are still there."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel.access.audit_chain.verifying import verify
from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Organization, Person
from crm_kernel.customers.privacy.anonymising import ANONYMISING, anonymise_many
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.erasing import erase
from crm_kernel.customers.privacy.holds import hold_customer
from crm_kernel.customers.privacy.letting_go import planned
from crm_kernel.customers.privacy.models import AnonymisedCustomer, Erasure
from crm_kernel.customers.privacy.reapplying import reapply
from crm_kernel.customers.privacy.subject import SubjectMap
from crm_kernel.errors import Conflict
from crm_kernel.events.models import StoredEvent
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.touchpoints.models import Interaction

from .conftest import CANARIES, PERSON


def _anonymise(unit, *customers):
    with unit() as uow:
        return anonymise_many(uow, [one.id for one in customers], reason="retention", rule="r").entries


def test_no_table_names_her_afterwards(unit, zanzi, everything):
    her, _friend = zanzi
    with unit() as uow:
        uow.session.connection().exec_driver_sql(
            "INSERT INTO search_entry (record_type, record_id, title, body) "
            f"VALUES ('gym.sum', 1, '{CANARIES[0]}', '{CANARIES[0]}')"
        )
    before = everything()
    assert all(any(canary in text for text in before.values()) for canary in CANARIES)

    _anonymise(unit, her)

    left = {
        (name, canary) for name, text in everything().items() for canary in CANARIES if canary.lower() in text.lower()
    }
    assert left == set()


def test_what_statistics_need_is_still_there(unit, zanzi):
    her, _friend = zanzi
    with unit() as uow:
        uow.session.execute(sa.update(Address).values(postal_code="75011", region="Île-de-France"))
        created = uow.session.get(Customer, her.id).created_at

    _anonymise(unit, her)

    with unit() as uow:
        get = uow.session.get
        customer, address = get(Customer, her.id), uow.session.scalars(sa.select(Address)).one()
        assert (customer.uid, customer.kind, customer.created_at) == (her.uid, "person", created)
        assert (customer.display_name, customer.notes, customer.custom) == ("–", None, {})
        assert (get(Person, her.id).given_name, get(Person, her.id).family_name) == (None, None)
        assert (address.country_code, address.region, address.postal_code) == ("FR", "Île-de-France", "75")
        assert (address.street, address.city) == (None, None)
        sale = uow.session.scalars(sa.select(Sale)).one()
        assert (sale.customer_id, sale.amount, sale.custom) == (her.id, 100, None)
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(SaleLine)) == 1
        touch = uow.session.scalars(sa.select(Interaction).where(Interaction.customer_id == her.id)).one()
        assert (touch.kind, touch.channel, touch.summary, touch.body) == ("call", "phone", "–", None)
        said = uow.session.scalars(sa.select(Consent).where(Consent.customer_id == her.id)).one()
        assert (said.status, said.purpose, said.note) == ("given", "marketing", None)
        for gone in (ContactPoint, CustomerIdentifier):
            assert uow.session.scalars(sa.select(gone).where(gone.customer_id == her.id)).all() == []


def test_rows_of_a_module_whose_code_is_gone_stay_without_their_texts(unit, zanzi):
    her, _friend = zanzi

    entries = {(e["table"], e["fate"]): e["rows"] for e in _anonymise(unit, her)}

    assert {name: entries[name, "anonymised"] for name in ("gym_member", "gym_visit", "gym_sum")} == {
        "gym_member": 1, "gym_visit": 1, "gym_sum": 1,
    }  # fmt: skip
    with unit() as uow:
        run = uow.session.connection().exec_driver_sql
        assert run("SELECT id, locker FROM gym_member ORDER BY id").all() == [(1, None), (2, "theirs")]
        # Nobody declared this table: its texts go, its rows stay.
        assert run("SELECT member_id, said FROM gym_visit").all() == [(1, None)]
        assert run("SELECT customer_id, guest, paid FROM gym_sum").all() == [(her.id, "–", 12)]


def test_a_firm_loses_its_legal_name_and_keeps_its_size(unit, customer_factory):
    firm = customer_factory(
        kind="organization", display_name="Ada SARL", legal_name="Ada SARL", website="https://ada.example", employees=12
    )

    _anonymise(unit, firm)

    with unit() as uow:
        row = uow.session.get(Organization, firm.id)
        assert (row.legal_name, row.website, row.employees) == (None, None, 12)


def test_nobody_else_loses_anything(unit, zanzi):
    her, friend = zanzi

    _anonymise(unit, her)

    with unit() as uow:
        assert uow.session.get(Customer, friend.id).display_name == "Friendly Byron"
        theirs = uow.session.scalars(sa.select(Interaction).where(Interaction.customer_id == friend.id)).one()
        assert (theirs.summary, theirs.subject_uid) == ("about somebody", her.uid)


def test_the_plan_says_what_the_receipt_will_say(unit, zanzi):
    her, _friend = zanzi
    with unit() as uow:
        said = {(e.table, e.fate, e.why): e.rows for e in planned(uow, [her.id], ANONYMISING, SubjectMap.read(uow))}

    done = {(e["table"], e["fate"], e["why"]): e["rows"] for e in _anonymise(unit, her)}

    assert {key: rows for key, rows in done.items() if not key[0].startswith("suppression")} == said
    assert ("customer", "anonymised", "statistics") in said


def test_it_leaves_a_receipt_an_event_and_a_line_in_the_log_that_name_nobody(unit, zanzi):
    her, _friend = zanzi

    _anonymise(unit, her)

    with unit() as uow:
        receipt = uow.session.scalars(sa.select(Erasure)).one()
        assert (receipt.action, receipt.customers, receipt.rule) == ("anonymise", 1, "r")
        assert str(her.uid) not in json.dumps(receipt.entries)
        assert uow.session.get(AnonymisedCustomer, her.id).erasure_id == receipt.id
        told = uow.session.scalars(sa.select(StoredEvent.customer_uid).where(StoredEvent.name.endswith("anonymised")))
        assert told.all() == [her.uid]
    with unit() as uow:
        assert verify(uow).found == 0


#: Where she has rows that stay, or had some.
_TABLES = (
    "customer", "person", "address", "contact_point", "customer_identifier", "relationship", "interaction", "consent",
    "sale", "sale_line", "gym_member", "gym_visit", "gym_sum", "suppression", "search_entry",
)  # fmt: skip


def _values(unit):
    """Return every value of these tables but the version, which moves forward with each writing."""
    with unit() as uow:
        tables = SubjectMap.read(uow).tables
        return {
            name: uow.session.execute(sa.select(*(c for c in tables[name].c if c.name != "version"))).all()
            for name in _TABLES
        }


def test_done_twice_it_changes_nothing_more(unit, zanzi):
    her, _friend = zanzi
    _anonymise(unit, her)
    before = _values(unit)

    _anonymise(unit, her)

    assert _values(unit) == before
    with unit() as uow:
        assert uow.session.get(Customer, her.id).display_name == "–"


def test_a_legal_hold_refuses(unit, zanzi, everything):
    her, _friend = zanzi
    with unit() as uow:
        hold_customer(uow, {"customer_id": her.id, "reason": "Lawsuit 12/345"})
    before = everything()

    with pytest.raises(Conflict, match="Lawsuit 12/345"):
        _anonymise(unit, her)

    assert everything() == before


def test_those_merged_into_a_customer_lose_their_names_too(unit, zanzi, customer_factory):
    her, _friend = zanzi
    gone = customer_factory(**{**PERSON, "contact_points": [], "identifiers": []})
    with unit() as uow:
        uow.session.get(Customer, gone.id).merged_into_id = her.id

    _anonymise(unit, her)

    with unit() as uow:
        row = uow.session.get(Customer, gone.id)
        assert (row.display_name, row.merged_into_id) == ("–", her.id)


def test_who_is_anonymous_can_still_be_erased(unit, zanzi):
    her, _friend = zanzi
    _anonymise(unit, her)

    with unit() as uow:
        erase(uow, uow.session.get(Customer, her.id))

    with unit() as uow:
        assert uow.session.get(Customer, her.id) is None
        assert uow.session.scalars(sa.select(AnonymisedCustomer)).all() == []


def test_anonymous_customers_are_no_duplicates_of_each_other(unit, customer_factory):
    from crm_kernel.customers.duplicates.loading import load_profiles
    from crm_kernel.customers.duplicates.matcher import match_within
    from crm_kernel.customers.duplicates.models import DuplicateProfile

    made = [
        customer_factory(**{**PERSON, "contact_points": [], "identifiers": [], "birth_date": "1990-04-01"})
        for _ in range(2)
    ]
    keys = [one.id for one in made]
    with unit() as uow:
        assert match_within(list(load_profiles(uow, keys).values())) != []

    _anonymise(unit, *made)

    with unit() as uow:
        assert uow.session.scalars(sa.select(DuplicateProfile)).all() == []
        assert match_within(list(load_profiles(uow, keys).values())) == []


def test_a_restored_backup_is_anonymised_again_and_not_erased(unit, zanzi):
    her, _friend = zanzi

    with unit() as uow:
        (receipt,) = reapply(uow, set(), anonymised={erased_digest(her.uid)}).receipts
        assert (receipt.action, receipt.reason, receipt.customers) == ("anonymise", "reapplied", 1)

    with unit() as uow:
        assert uow.session.get(Customer, her.id).display_name == "–"


def test_who_is_anonymous_in_the_backup_is_not_done_again_but_who_was_named_since(unit, zanzi):
    her, _friend = zanzi
    with unit():
        digests = {erased_digest(her.uid)}
    _anonymise(unit, her)
    with unit() as uow:
        assert reapply(uow, set(), anonymised=digests).receipts == []

    with unit() as uow:
        row = uow.session.get(Customer, her.id)
        row.notes, row.updated_at = "told again", uow.now
    with unit() as uow:
        assert [receipt.customers for receipt in reapply(uow, set(), anonymised=digests).receipts] == [1]
