"""The pages of events: dead deliveries with their reason, delivered again or discarded, and who decided it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow, JobState


@pytest.fixture
def dead(factories, unit):
    """A stored event with one delivery that gave up → the event's uid."""
    factories.person(given_name="Ada", family_name="Lovelace")
    with unit() as uow:
        stored = uow.session.scalars(sa.select(StoredEvent).order_by(StoredEvent.id.desc())).first()
        uow.session.add(
            JobRow(
                module="alpha",
                name="alpha.take",
                queue="default",
                payload={},
                state=int(JobState.DEAD),
                event_id=stored.id,
                failures=3,
                max_attempts=3,
                run_at=uow.now,
                finished_at=uow.now,
                created_at=uow.now,
                error="ValueError: <b>no</b>\nsecond line",
            )
        )
        return stored.uid


@pytest.fixture
def state(unit):
    """The state of the delivery that was dead."""

    def read():
        with unit() as uow:
            return JobState(uow.session.scalars(sa.select(JobRow.state).where(JobRow.name == "alpha.take")).one())

    return read


@pytest.fixture
def audited(unit):
    """What the audit log says of events: (actor, action, after)."""

    def read():
        found = sa.select(AuditLog.actor, AuditLog.action, AuditPayload.after).join(AuditPayload)
        with unit() as uow:
            return [tuple(row) for row in uow.session.execute(found.where(AuditLog.record_type == "event"))]

    return read


def test_a_dead_delivery_is_listed_with_its_reason_and_commands(admin, dead):
    page = admin.get("/admin/events/dead?subscriber=alpha.take").text

    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert f"/admin/events/{dead}" in page
    assert "crm events retry --all --subscriber alpha.take" in page
    assert "alpha.take" not in admin.get("/admin/events/dead?subscriber=beta.take").text.partition("<table")[2]


def test_an_event_is_shown_with_its_deliveries(admin, dead):
    page = admin.get(f"/admin/events/{dead}").text

    assert "Failed for good" in page
    assert ">System<" in page  # the channel, in words
    assert f"crm events discard {dead}" in page
    assert admin.get("/admin/events/018f0000-0000-7000-8000-000000000000").status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "after", "action"),
    [
        ("/admin/events/{dead}/retry", {}, JobState.READY, "retried"),
        ("/admin/events/dead/retry", {"subscriber": "alpha.take"}, JobState.READY, "retried"),
        ("/admin/events/{dead}/discard", {}, JobState.CANCELLED, "discarded"),
    ],
)
def test_what_is_decided_about_a_dead_delivery_is_done_and_audited(
    admin, send, dead, state, audited, path, fields, after, action
):
    answer = send(admin, path.format(dead=dead), **fields)

    assert answer.status_code == 303, answer.text
    assert state() == after
    [(actor, done, values)] = audited()
    assert (actor, done, values["subscriber"]) == ("Administrator", action, "alpha.take")


def test_what_is_not_dead_cannot_be_discarded(admin, send, dead, state):
    send(admin, f"/admin/events/{dead}/retry")

    assert send(admin, f"/admin/events/{dead}/discard").status_code == 409
    assert state() == JobState.READY


def test_who_may_only_read_events_changes_none(login, send, dead, state):
    reader = login("reader")

    assert reader.get("/admin/events/dead").status_code == 200
    assert "Deliver all again" not in reader.get("/admin/events/dead").text
    assert send(reader, "/admin/events/dead/retry").status_code == 403
    assert state() == JobState.DEAD


def test_the_list_of_events_costs_the_same_queries_at_any_length(admin, factories, count_queries):
    factories.person(given_name="Ada", family_name="Lovelace")
    with count_queries() as few:
        assert admin.get("/admin/events?name=kernel.customer_*").status_code == 200
    for number in range(4):
        factories.person(given_name=f"Ada {number}")

    with count_queries() as more:
        page = admin.get("/admin/events?name=kernel.customer_*").text

    assert page.count('class="crm-col-main"') >= 5
    more.at_most(len(few))
