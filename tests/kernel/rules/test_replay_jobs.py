"""A replay that is asked for: what was counted is done in the background, the oldest first, once, and can be followed."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from crm_kernel.errors import Conflict
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import delete_record, update_record
from crm_kernel.rules import pages, replay_jobs, subjects
from crm_kernel.rules.models import Rule, RuleRun
from crm_kernel.rules.replaying import replay
from crm_kernel.testing.factories import detached

FIRMS = {"field": "kind", "op": "eq", "value": "organization"}


def test_the_page_tries_counts_and_does(rule, past, login, deliver_events, runs):
    made = rule(condition=FIRMS)
    administrator = login("administrator")

    tried = administrator.post(f"/rules/{made.uid}/try", data={"record": str(past[0][0].uid)}).get_data(as_text=True)
    counted = administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True)
    administrator.post(f"/rules/{made.uid}/replay", data=_form(counted))
    deliver_events()

    assert "seen by the rule" in tried
    assert "Do it now for 3 events" in counted
    assert [run.outcome for run in runs()] == ["done"] * 3


def test_the_page_does_what_it_has_counted_and_no_more(rule, past, unit, login, deliver_events, runs, monkeypatch):
    monkeypatch.setattr(pages, "_EVENTS", 4)
    made = rule(condition=FIRMS, enabled=False)
    administrator = login("administrator")

    counted = administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True)
    administrator.post(f"/rules/{made.uid}/replay", data=_form(counted))
    deliver_events()
    told = administrator.get(f"/rules/{made.uid}").get_data(as_text=True)

    assert "only the latest 4 events" in counted
    assert "Do it now for 2 events" in counted
    assert {run.record for run in runs()} == {firm.uid for firm in past[0][1:]}
    assert "4 of 4 events looked at." in told
    assert "It ran 2 times. Finished." in told


def test_a_second_click_enqueues_nothing(rule, past, unit, login, deliver_events, runs):
    made = rule(condition=FIRMS)
    administrator = login("administrator")
    form = _form(administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True))

    for _ in range(2):
        administrator.post(f"/rules/{made.uid}/replay", data=form)

    assert len(_replays(unit)) == 1
    refused = administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True)
    assert "A replay of this rule is under way" in refused


def test_a_replay_goes_from_the_oldest_on_in_chunks(rule, past, unit, cli, deliver_events, runs, monkeypatch):
    monkeypatch.setattr(replay_jobs, "CHUNK", 2)
    made = rule(condition=FIRMS, enabled=False)

    cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")
    deliver_events()

    assert [run.record for run in runs()] == [firm.uid for firm in past[0]]
    [job] = _replays(unit)
    assert (job.progress["done"], job.progress["total"]) == (5, 5)


def test_a_replay_of_a_bulk_change_is_cut_by_records(rule, past, unit, cli, deliver_events, runs, monkeypatch):
    monkeypatch.setattr(replay_jobs, "CHUNK", 2)
    made = rule(event="kernel.records_bulk_changed", enabled=False)
    firms = [firm.uid for firm in past[0]]
    monkeypatch.setattr(subjects, "changed_records", lambda _uow, _event: firms)
    with unit() as uow:
        uow.record(RecordsBulkChanged(run_id="a", record_type="customer", changed_at=uow.now))

    cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")
    deliver_events()

    assert [run.record for run in runs()] == firms


def test_a_replay_is_refused_when_the_rule_is_another_than_was_counted(rule, past, unit, login, runs):
    made = rule(condition=FIRMS)
    administrator = login("administrator")
    form = _form(administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True))
    _change_rule(unit, made, condition=None)

    administrator.post(f"/rules/{made.uid}/replay", data=form)

    assert _replays(unit) == []


def test_a_replay_stops_when_the_rule_is_changed(rule, past, unit, cli, deliver_events, runs):
    made = rule(condition=FIRMS)
    cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")

    _change_rule(unit, made, condition=None)
    deliver_events()

    assert runs() == []
    assert [job.state for job in _replays(unit)] == [JobState.CANCELLED]


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("gone", [False, True])
def test_a_rule_that_is_changed_while_its_replay_is_asked_for_is_read_again(gone, rule, past, unit):
    made = rule(condition=FIRMS)
    with unit() as uow:
        held = uow.session.get(Rule, made.id)
        counted = replay(uow, held, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).counted
        with unit() as other:
            if gone:
                delete_record(other, record_type("rule"), made.uid, version=made.version)
            else:
                update_record(other, record_type("rule"), made.uid, {"condition": None}, version=made.version)

        with pytest.raises(Conflict, match="has changed since its events were counted"):
            replay_jobs.apply_replay(uow, held, counted)

    assert _replays(unit) == []


def test_a_change_that_did_not_see_the_replay_ends_it_with_a_word(rule, past, unit, cli, deliver_events, runs):
    made = rule(condition=FIRMS)
    cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")
    with unit() as uow:
        uow.session.execute(sa.update(Rule).values(condition={"field": "kind", "op": "eq", "value": "person"}))

    deliver_events()

    assert [(run.outcome, run.reason) for run in runs()] == [("inert", replay_jobs.CHANGED)]


def test_a_new_name_leaves_a_replay_alone(rule, past, unit, cli, deliver_events, runs):
    made = rule(condition=FIRMS)
    cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")
    _change_rule(unit, made, name="Greet")

    deliver_events()

    assert [run.outcome for run in runs()] == ["done"] * 3


def test_a_replay_answers_anew_what_failed(rule, past, unit, cli, deliver_events, runs):
    made = rule(condition=FIRMS)
    replayed = ("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply")
    cli(*replayed)
    deliver_events()
    with unit() as uow:
        uow.session.execute(sa.update(RuleRun).values(outcome="failed"))

    cli(*replayed)
    deliver_events()

    assert [run.outcome for run in runs()] == ["done"] * 3


def _form(page):
    """Return what the form with the button of a counted replay sends."""
    form = page[page.index("/replay") :]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[: form.index("</form>")])
    return dict(found)


def _replays(unit):
    with unit() as uow:
        found = uow.session.scalars(sa.select(JobRow).where(JobRow.name == replay_jobs.REPLAY)).all()
        return [detached(uow, job) for job in found]


def _change_rule(unit, made, **changes):
    with unit() as uow:
        version = uow.session.get(Rule, made.id).version
        update_record(uow, record_type("rule"), made.uid, changes, version=version)
