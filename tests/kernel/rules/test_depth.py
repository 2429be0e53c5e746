"""However deep rules may go, one that is stopped says so in its log: no job becomes a dead letter before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.config import load_config
from crm_kernel.config_checks import MOST_RULE_DEPTH
from crm_kernel.errors import ConfigError
from crm_kernel.jobs.models import JobRow, JobState


@pytest.fixture
def _as_deep_as_may_be(crm_app, monkeypatch):
    runtime = crm_app.extensions[EXTENSION]
    deep = replace(runtime, config=runtime.config.replace(rule_depth=MOST_RULE_DEPTH))
    monkeypatch.setitem(crm_app.extensions, EXTENSION, deep)


@pytest.mark.usefixtures("_as_deep_as_may_be")
def test_rules_that_feed_each_other_are_stopped_by_their_depth_whatever_it_is(
    rule, factories, deliver_events, change, runs, unit
):
    on = {"event": "kernel.customer_updated"}
    for name, before, after in (("Ping", "ping", "pong"), ("Pong", "pong", "ping")):
        action = {"action": "kernel.set_field", "params": {"field": "notes", "value": after}}
        rule(name=name, **on, condition={"field": "notes", "op": "eq", "value": before}, actions=[action])
    change(factories.organization(), notes="ping")

    deliver_events()

    assert max(run.depth for run in runs()) == MOST_RULE_DEPTH + 1
    assert {run.outcome for run in runs() if run.depth > MOST_RULE_DEPTH} == {"loop"}
    with unit() as uow:
        assert uow.session.scalars(sa.select(JobRow.error).where(JobRow.state == JobState.DEAD)).all() == []


@pytest.mark.crm_databases("sqlite")
def test_a_depth_at_which_jobs_are_dead_letters_is_refused():
    assert load_config(environ={"CRM_RULE_DEPTH": "7"}).rule_depth == 7
    with pytest.raises(ConfigError, match=r"CRM_RULE_DEPTH.*found 8, expected at most 7.*dead letter"):
        load_config(environ={"CRM_RULE_DEPTH": "8"})
