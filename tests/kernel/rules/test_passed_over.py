"""A rule does nothing for what it does not follow any more, or an event that nobody can read, and its log says so."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import update_record
from crm_kernel.rules.jobs import SCHEDULED
from crm_kernel.rules.models import RUN, Rule


@pytest.fixture
def run_again(unit):
    """Let a rule have the event that told of a new customer once more."""

    def again(rule):
        with unit() as uow:
            event = uow.session.scalar(sa.select(StoredEvent.uid).where(StoredEvent.name == "kernel.customer_created"))
            enqueue(uow, RUN, {"rule": str(rule.uid), "event": str(event)})

    return again


@pytest.fixture
def run_jobs(unit):
    """Read the states of the jobs that run rules."""

    def read():
        with unit() as uow:
            return list(uow.session.scalars(sa.select(JobRow.state).where(JobRow.name == RUN)))

    return read


def test_a_rule_that_follows_another_event_by_now_leaves_its_old_one_alone(
    rule, factories, deliver_events, unit, runs, customer, run_again
):
    made_rule = rule()
    made = factories.organization()
    with unit() as uow:
        stored = uow.session.get_one(Rule, made_rule.id)
        changes = {"event": "kernel.customer_updated"}
        update_record(uow, record_type("rule"), stored.uid, changes, version=stored.version)

    deliver_events()
    run_again(made_rule)
    deliver_events()

    assert customer(made).notes is None
    assert [(run.outcome, run.reason) for run in runs()] == [("inert", "it follows another event by now")]


def test_a_rule_that_follows_an_event_by_now_leaves_the_time_of_its_schedule_alone(
    rule, factories, deliver_events, unit, runs, customer
):
    made_rule = rule(event=None, cron="30 7 * * 1-5")
    made = factories.organization()
    with unit() as uow:
        enqueue(uow, SCHEDULED, {"rule": str(made_rule.uid)})
        stored = uow.session.get_one(Rule, made_rule.id)
        changes = {"event": "kernel.customer_updated", "cron": None}
        update_record(uow, record_type("rule"), stored.uid, changes, version=stored.version)

    deliver_events()

    assert customer(made).notes is None
    assert [(run.outcome, run.reason) for run in runs()] == [("inert", "it follows an event by now, no schedule")]


def test_an_event_of_another_version_of_its_module_holds_up_no_other(
    rule, factories, deliver_events, unit, runs, run_jobs
):
    rule()
    factories.organization()
    with unit() as uow:
        old = sa.update(StoredEvent).where(StoredEvent.name == "kernel.customer_created")
        uow.session.execute(old.values(payload={"who": "an older version wrote this"}))

    deliver_events()

    assert [(run.outcome, run.reason) for run in runs()] == [
        ("inert", "another version of its module stored kernel.customer_created")
    ]
    assert run_jobs() == [JobState.DONE]
