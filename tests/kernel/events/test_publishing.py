"""What a commit pays to publish: the event and its deliveries, and not a statement more where nobody else follows."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.access.models import AppUser
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.models import WebhookEndpoint
from crm_kernel.rules.models import RUN, Rule
from crm_kernel.testing.queries import count_queries

ADA = UUID(int=1815)


@pytest.fixture
def load(site, kit):
    """Start an application with one event and one subscriber; each call is another process to the ones before."""

    def start():
        taker = c.Subscriber(name="alpha.take", event=kit.Happened, handler=lambda uow, event: None)
        return site.load(alpha=kit.Pieces(events=[kit.Happened], subscribers=[taker]))

    return start


@pytest.fixture
def published(load, site):
    """Publish events about one customer and return the statements, without the lock that PostgreSQL takes first."""
    load()

    def publish(*labels):
        with count_queries() as queries, site.writing() as uow:
            for label in labels:
                uow.record(event_of(site)(label=label, customer_id=ADA))
        return [text for text in queries.statements if "pg_advisory_xact_lock" not in text]

    return publish


def event_of(site):
    [event] = site.app.extensions["crm"].registry.all("events")
    return event


def follow(site, **values):
    with site.writing() as uow:
        rule = {"name": "Follow", "record_type": "customer", "event": "alpha.happened", "enabled": True, "actions": []}
        uow.session.add(Rule(**{**rule, **values}))


def wait_for(site, *names, enabled=True):
    with site.writing() as uow:
        user = sa.insert(AppUser).values(email="ada@example.com", name="Ada", fs_uniquifier="ada")
        key = uow.session.connection().execute(user).inserted_primary_key[0]
        endpoint = {"name": "Sink", "url": "https://example.com", "secret": "sealed"}
        uow.session.add(WebhookEndpoint(events=list(names), user_id=key, enabled=enabled, **endpoint))


def run_jobs(site):
    return [job for job in site.jobs() if job.name == RUN]


def test_an_event_that_only_a_subscriber_follows_is_two_inserts(published):
    statements = published("one")

    assert [text.split("(")[0].strip() for text in statements] == ["INSERT INTO event", "INSERT INTO job"]


def test_rules_that_are_off_or_follow_something_else_and_webhooks_that_are_off_cost_nothing(published, site):
    follow(site, enabled=False)
    follow(site, event="alpha.other")
    follow(site, event=None, cron="0 0 * * *")
    wait_for(site, "alpha.happened", enabled=False)

    assert len(published("one")) == 2
    assert run_jobs(site) == []


def test_rules_that_follow_cost_one_statement_however_many(published, site):
    for _ in range(3):
        follow(site)

    assert len(published("one")) == 3
    assert len(run_jobs(site)) == 3


def test_a_webhook_that_waits_for_something_else_costs_one_statement(published, site):
    wait_for(site, "alpha.other")

    assert len(published("one")) == 3


def test_a_rule_that_another_process_committed_is_followed_by_the_next_event(published, load, site):
    publisher = site.app
    published("before")
    load()
    follow(site)
    site.app = publisher

    published("after")

    [job] = run_jobs(site)
    with site.reading() as uow:
        after = sa.select(StoredEvent.uid).order_by(StoredEvent.id.desc()).limit(1)
        assert job.payload["event"] == str(uow.session.scalar(after))


def test_many_events_of_a_commit_cost_as_many_statements_as_two(published, site):
    follow(site)

    two, many = published("one", "two"), published(*map(str, range(50)))

    assert len(many) == len(two) <= 5
    assert len(run_jobs(site)) == 52
