"""Rules that anonymise: who is due, in which chunks, by which index, and the commands that plan and carry them out."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.collaboration.attachments.models import Attachment, StoredFile
from crm_kernel.collaboration.notes import add_note
from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
from crm_kernel.customers.consent.models import Consent, Suppression
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.holds import hold_customer
from crm_kernel.customers.privacy.models import AnonymisedCustomer, Erasure
from crm_kernel.customers.privacy.retention import (
    CHUNK,
    create_rule,
    due,
    idle_customers,
    idle_number,
    rule_plan,
    run_chunk,
    run_rule,
)
from crm_kernel.database import db
from crm_kernel.errors import InvalidInput
from crm_kernel.sales.models import Sale
from crm_kernel.touchpoints.models import Interaction

RULE = {"name": "forget names", "months": 36, "action": "anonymise", "active": True}
CALL = {"channel": "phone", "direction": "in", "kind": "call", "actor_name": "R", "source_plugin": "kernel"}


@pytest.fixture
def long_idle(unit):
    """Make ``number`` customers that nobody has touched for years, and return how."""

    def make(number):
        with unit() as uow:
            long_ago = uow.now - dt.timedelta(days=1500)
            row = {"kind": "organization", "custom": {}, "created_at": long_ago, "updated_at": long_ago}
            many = [{**row, "uid": uuid7(), "display_name": f"n{n}", "sort_name": f"n{n}"} for n in range(number)]
            uow.session.execute(sa.insert(Customer), many)

    return make


@pytest.fixture
def rule(unit):
    """The rule, in a unit of work that is open: ``rule(uow)``."""
    with unit() as uow:
        key = create_rule(uow, RULE).id
    return lambda uow: uow.session.get(_model(), key)


def _model():
    from crm_kernel.customers.privacy.models import RetentionRule

    return RetentionRule


def _run_all(unit):
    points, point = [], {}
    while point is not None and len(points) < 20:
        with unit() as uow:
            point = run_chunk(uow, {"checkpoint": point} if point else {})
        points.append(point)
    return points


def _names(unit):
    with unit() as uow:
        return sorted(uow.session.scalars(sa.select(Customer.display_name)))


def test_only_those_due_are_anonymised_and_only_once(unit, long_idle, rule, customer_factory):
    customer_factory(kind="organization", display_name="young")
    long_idle(3)
    with unit() as uow:
        held = uow.session.scalars(sa.select(Customer).where(Customer.display_name == "n0")).one()
        hold_customer(uow, {"customer_id": held.id, "reason": "Lawsuit"})
        assert idle_number(uow, rule(uow)) == 2

    _run_all(unit)
    _run_all(unit)

    assert _names(unit) == ["n0", "young", "–", "–"]
    with unit() as uow:
        assert [(r.action, r.customers) for r in uow.session.scalars(sa.select(Erasure))] == [("anonymise", 2)]
        assert idle_number(uow, rule(uow)) == 0


def test_who_was_written_about_again_is_due_again(unit, long_idle, rule):
    long_idle(1)
    _run_all(unit)
    with unit() as uow:
        customer = uow.session.scalars(sa.select(Customer)).one()
        told = {"occurred_at": uow.now - dt.timedelta(days=1400), "created_at": uow.now + dt.timedelta(seconds=1)}
        uow.session.add(Interaction(customer_id=customer.id, summary="Ada rang", **told, **CALL))
        uow.session.flush()
        uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=1400)))

    with unit() as uow:
        assert idle_number(uow, rule(uow)) == 1


def _note(uow, customer):
    add_note(uow, subject_type="customer", subject_uid=customer.uid, body="Ada Lovelace rang from +33 6 12")


def _consent(uow, customer):
    said = Spoken(channel="email", purpose="marketing", status="given", evidence=Evidence(note="Ada said so"))
    record_consent(uow, customer, said, source="test")


def _file(uow, customer):
    content = StoredFile(digest="0" * 64, size=3, media_type="text/plain", created_at=uow.now)
    uow.session.add(content)
    uow.session.flush()
    common = {"author_name": "Rep", "size": 3, "media_type": "text/plain", "file_id": content.id}
    uow.session.add(Attachment(subject_type="customer", subject_uid=customer.uid, name="Ada.txt", **common))


def _note_on_a_sale(uow, customer):
    long_ago = uow.now - dt.timedelta(days=1400)
    sale = Sale(
        customer_id=customer.id, title="–", channel="web", source_plugin="shop", external_ref="1", currency="EUR",
        amount=1, rate=1, base_amount=1, occurred_at=long_ago, created_at=long_ago, updated_at=long_ago,
    )  # fmt: skip
    uow.session.add(sale)
    uow.session.flush()
    add_note(uow, subject_type="sale", subject_uid=sale.uid, body="It was Ada Lovelace")


@pytest.mark.parametrize("write", [_note, _consent, _file, _note_on_a_sale])
def test_what_may_name_somebody_makes_him_due_again_wherever_it_was_written(unit, long_idle, rule, write):
    long_idle(2)
    _run_all(unit)
    with unit() as uow:
        write(uow, uow.session.scalars(sa.select(Customer).order_by(Customer.id)).first())
        uow.session.flush()
        long_ago = uow.now - dt.timedelta(days=1300)
        uow.session.execute(sa.update(Customer).values(updated_at=long_ago))
        uow.session.execute(sa.update(Consent).values(captured_at=long_ago))
        uow.session.execute(sa.update(AnonymisedCustomer).values(anonymised_at=uow.now - dt.timedelta(days=1)))

    with unit() as uow:
        assert idle_number(uow, rule(uow)) == 1


def test_many_go_in_chunks_that_go_on_where_the_last_one_ended(unit, long_idle, rule):
    long_idle(CHUNK + 50)

    points = _run_all(unit)

    assert _names(unit) == ["–"] * (CHUNK + 50)
    assert points[0]["after"][2] > 0
    assert points[0]["done"] == []
    with unit() as uow:
        assert sorted(uow.session.scalars(sa.select(Erasure.customers))) == [50, CHUNK]


def test_what_goes_wrong_with_one_customer_fails_the_job_and_is_taken_back_as_a_whole(unit, long_idle, monkeypatch):
    from crm_kernel.customers.privacy import letting_go

    def refusing(uow, customer, **options):
        suppress(uow, "ada@crm.test", channel="email", **options)
        raise InvalidInput({"value": ["no"]})

    monkeypatch.setattr(letting_go, "suppress_customer", refusing)
    long_idle(2)
    with unit() as uow:
        create_rule(uow, {**RULE, "action": "erase"})

    with pytest.raises(InvalidInput), unit() as uow:
        run_chunk(uow, {})

    assert _names(unit) == ["n0", "n1"]
    with unit() as uow:
        assert uow.session.scalars(sa.select(Suppression)).all() == []
        assert uow.session.scalars(sa.select(_model().last_erased)).all() == [None]


def test_a_rule_says_when_it_ran_and_for_how_many(unit, long_idle, rule):
    long_idle(CHUNK + 5)

    _run_all(unit)

    with unit() as uow:
        found = rule(uow)
        assert (found.last_erased, found.last_run_at is not None) == (CHUNK + 5, True)


def test_a_rule_to_erase_takes_anonymous_ones_too(unit, long_idle, rule):
    long_idle(2)
    _run_all(unit)

    with unit() as uow:
        later = create_rule(uow, {"name": "erase", "months": 40, "action": "erase"})
        assert run_rule(uow, later).customers == 2

    assert _names(unit) == []


def test_the_plan_of_a_rule_counts_rows_over_all_its_chunks(unit, long_idle, rule):
    long_idle(CHUNK + 5)

    with unit() as uow:
        entries = {(entry.table, entry.fate): entry.rows for entry in rule_plan(uow, rule(uow))}

    assert entries["customer", "anonymised"] == CHUNK + 5
    assert set(_names(unit)) != {"–"}


def test_an_unknown_action_is_refused(unit, api):
    with unit() as uow, pytest.raises(InvalidInput):
        create_rule(uow, {"name": "x", "months": 1, "action": "explode"})

    refused = api("administrator").post("/api/retention-rules", {"name": "x", "months": 1, "action": "explode"})
    made = api("administrator").post("/api/retention-rules", {"name": "y", "months": 1, "action": "anonymise"})

    assert (refused.status_code, made.status_code, made.json["action"]) == (422, 201, "anonymise")


def test_the_card_of_a_customer_says_that_it_is_anonymous(unit, long_idle, rule, login):
    long_idle(1)
    _run_all(unit)
    with unit() as uow:
        uid = uow.session.scalars(sa.select(Customer.uid)).one()

    page = login("administrator").get(f"/customers/{uid}").text

    assert "Anonymised" in page


def test_a_chunk_walks_the_index_of_those_long_unchanged(unit, long_idle, rule):
    """Among many young customers a chunk costs what is due: no table of customers is read as a whole, nothing is sorted."""
    long_idle(20)
    with unit() as uow:
        row = {"kind": "person", "custom": {}, "created_at": uow.now, "updated_at": uow.now}
        many = [{**row, "uid": uuid7(), "display_name": f"y{n}", "sort_name": f"y{n}"} for n in range(5000)]
        uow.session.execute(sa.insert(Customer), many)
    with unit() as uow:
        uow.session.execute(sa.text("ANALYZE"))
        statement = due(idle_customers(uow, rule(uow)), limit=CHUNK)
        dialect = db.engine.dialect.name
        text = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
        lines = uow.session.connection().exec_driver_sql(explain + text.replace("%", "%%"))
        plan = "\n".join(f"{line[-1]} " for line in lines)

    assert "ix_customer_updated_at_id" in plan
    assert "SCAN customer " not in plan
    assert "Seq Scan on customer " not in plan
