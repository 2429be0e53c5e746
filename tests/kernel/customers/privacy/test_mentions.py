"""What speaks of a customer inside of values is written down with the value, and found again by keys."""

from __future__ import annotations

from uuid import uuid4

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.anonymising import ANONYMISING
from crm_kernel.customers.privacy.erasing import erase, erasure_plan
from crm_kernel.customers.privacy.letting_go import planned
from crm_kernel.customers.privacy.subject import SubjectMap
from crm_kernel.data_map.mentioned import ids_in
from crm_kernel.jobs.models import JobRow, JobState, JobSubject
from crm_kernel.jobs.services import enqueue

#: Jobs and messages of which none is about her.
MANY = 3_000


def test_ids_are_found_wherever_they_stand_and_once():
    one, other = uuid4(), uuid4()

    assert ids_in(f'{{"a": ["{one}", {{"b": "x/{str(other).upper()}?"}}], "c": "{one}", "d": 12}}') == [one, other]
    assert ids_in('{"a": "0123", "b": null}') == []


@pytest.fixture
def job(crm_app, monkeypatch):
    """Let the kernel have one more job: ``job(handler, kind=…)``; returns its name."""

    def add(handler=lambda uow, payload: None, **options):
        found, registry = c.Job(name="kernel.speaks", handler=handler, **options), runtime_of(crm_app).registry
        monkeypatch.setitem(registry.records["jobs"], found.name, found)
        monkeypatch.setitem(registry.owners, ("jobs", found.name), "kernel")
        monkeypatch.setattr(registry, "_sorted", {})
        return found.name

    return add


def _subjects(unit):
    with unit() as uow:
        query = sa.select(Customer.uid).join(JobSubject, JobSubject.customer_id == Customer.id)
        return sorted(uow.session.scalars(query), key=str)


def test_a_job_is_known_by_the_customers_in_its_payload_at_any_depth(unit, customer_factory, job):
    one, other, stranger = (customer_factory() for _each in range(3))
    name = job()

    with unit() as uow:
        enqueue(uow, name, {"customer": str(one.uid), "more": [{"them": [str(other.uid), str(one.uid), str(uuid4())]}]})
        enqueue(uow, name, {"nobody": 1})

    assert _subjects(unit) == sorted((one.uid, other.uid), key=str)
    assert stranger.uid not in _subjects(unit)


def test_so_is_one_that_learns_of_them_on_its_way(unit, customer_factory, job, deliver_events):
    her = customer_factory()

    def chunk(uow, payload):
        return None if "checkpoint" in payload else {"last": str(her.uid)}

    name = job(chunk, kind=c.JobKind.CHUNKED)
    with unit() as uow:
        enqueue(uow, name, {})

    deliver_events()

    assert _subjects(unit) == [her.uid]


def test_what_was_written_down_goes_with_the_job_and_with_the_customer(unit, customer_factory, job):
    one, other = customer_factory(), customer_factory()
    name = job()
    with unit() as uow:
        first = enqueue(uow, name, {"customers": [str(one.uid), str(other.uid)]})
        enqueue(uow, name, {"customer": str(one.uid)})

    with unit() as uow:
        uow.session.execute(sa.delete(JobRow).where(JobRow.id == first))
    assert _subjects(unit) == [one.uid]
    with unit() as uow:
        erase(uow, uow.session.get(Customer, one.id))

    assert _subjects(unit) == []


def test_a_message_is_known_by_the_customer_that_it_became(unit, customer_factory, job, everything):
    from crm_kernel.events.inbound import handling
    from crm_kernel.events.inbound.models import MessageState, MessageSubject, WebhookMessage, WebhookSource
    from crm_kernel.testing.people import add_user

    her = customer_factory()
    with unit() as uow:
        user = add_user(uow, "manager")
        uow.session.flush()
        source = WebhookSource(
            name="in", kind="x", scheme="none", token="x", token_digest="x", user_id=user.id, secret="x"
        )
        uow.session.add(source)
        uow.session.flush()
        row = {"source_id": source.id, "message_id": "1", "content_type": "text/plain", "body": b"whispered"}
        uid = uow.session.scalar(sa.insert(WebhookMessage).values(**row).returning(WebhookMessage.uid))
    with pytest.MonkeyPatch.context() as patched, unit() as uow:
        patched.setattr(handling, "_handled", lambda *_all: (MessageState.DONE, f"customer {her.uid}"))
        handling.handle_message(uow, {"message": str(uid)})
        assert uow.session.scalars(sa.select(MessageSubject.customer_id)).all() == [her.id]

    with unit() as uow:
        erase(uow, uow.session.get(Customer, her.id))

    assert "whispered" not in everything()["webhook_message"]
    assert str(her.uid) not in everything()["webhook_message"]


@pytest.fixture
def busy(unit, customer_factory):
    """Many jobs, deliveries, attempts and messages that are not about her; analysed. Returns her key."""
    from crm_kernel.events.inbound.models import MESSAGE, MessageSubject, WebhookSource
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.events.webhooks.models import ATTEMPT, DELIVERY, WebhookEndpoint
    from crm_kernel.testing.people import add_user

    her, friend = customer_factory(), customer_factory()
    with unit() as uow:
        user = add_user(uow, "manager")
        uow.session.flush()
        run, now = uow.session.execute, uow.now
        eyes = {"user_id": user.id, "secret": "x"}
        hook = WebhookEndpoint(name="x", url="https://hooks.example.org", events=[], **eyes)
        source = WebhookSource(name="in", kind="x", scheme="none", token="x", token_digest="x", **eyes)
        uow.session.add_all([hook, source])
        uow.session.flush()
        common = {"created_at": now, "updated_at": now}
        events = [{"uid": uuid7(), "name": "x", "version": 1, "occurred_at": now, "payload": {}, "customer_uid": uuid7(),
                   "actor": "x", "channel": "cli", "request_id": "x"} for _n in range(MANY)]  # fmt: skip
        run(sa.insert(StoredEvent.__table__), events)
        keys = list(uow.session.scalars(sa.select(StoredEvent.id).where(StoredEvent.name == "x")))
        done = {"module": "kernel", "name": "x", "state": JobState.DONE}
        run(sa.insert(JobRow.__table__), [{**done, "event_id": key, "partition": str(uuid4())} for key in keys])
        told = [{**done, "partition": str(uuid4()), "payload": {"it": str(uuid4())}} for _n in range(MANY)]
        run(sa.insert(JobRow.__table__), told)
        sent = [
            {**common, "uid": uuid7(), "webhook_id": hook.id, "event_uid": e["uid"], "event_name": "x"} for e in events
        ]
        run(sa.insert(DELIVERY), sent)
        made = list(uow.session.scalars(sa.select(DELIVERY.c.id)))
        run(sa.insert(ATTEMPT), [{"uid": uuid7(), "delivery_id": key, "at": now} for key in made])
        said = {**common, "source_id": source.id, "content_type": "x", "body": b"x", "result": "customer"}
        run(sa.insert(MESSAGE), [{**said, "uid": uuid7(), "message_id": str(n)} for n in range(MANY)])
        for table, row in ((JobSubject.__table__, JobRow.id), (MessageSubject.__table__, MESSAGE.c.id)):
            run(sa.insert(table).from_select(table.columns.keys(), sa.select(sa.literal(friend.id), row)))
    with unit() as uow:
        uow.session.execute(sa.text("ANALYZE"))
    return her.id


@pytest.mark.parametrize("way", ["erase", "anonymise"])
def test_no_table_of_work_is_searched_as_a_whole(unit, busy, plans, read_whole, way):
    with unit() as uow, plans() as found:
        if way == "erase":
            entries = erasure_plan(uow, uow.session.get(Customer, busy))
        else:
            entries = planned(uow, [busy], ANONYMISING, SubjectMap.read(uow))

    assert len(found) > 20
    assert "job" not in {entry.table for entry in entries if entry.rows > 10}
    tables = ("job", "job_subject", "event", "webhook_delivery", "webhook_attempt", "webhook_message")
    whole = read_whole(found, *tables)
    assert whole == [], "\n\n".join(whole)
