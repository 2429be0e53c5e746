"""What would this rule have done: one record tried and taken back, past events counted, sampled, and done if asked for."""

from __future__ import annotations

import datetime as dt
import json
import re
from html import unescape

import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.events.models import StoredEvent
from crm_kernel.records.plan import record_type
from crm_kernel.rules import jobs, kernel_actions, replaying
from crm_kernel.rules.jobs import forget_runs
from crm_kernel.rules.models import Rule, RuleRun

SINCE = "2020-01-01T00:00:00Z"
FIRMS = {"field": "kind", "op": "eq", "value": "organization"}


def test_a_replay_counts_and_changes_nothing(rule, past, unit, api, deliver_events, customer, runs):
    made = rule(condition=FIRMS)

    found = api("administrator").get(f"/api/rules/{made.uid}/replay", since=SINCE).json
    deliver_events()

    counts = {name: found[name] for name in ("events", "matched", "records", "fitting", "not_fitting", "gone", "left")}
    assert counts == {
        "events": 5, "matched": 3, "records": 5, "fitting": 3, "not_fitting": 2, "gone": 0, "left": 3,
    }  # fmt: skip
    assert {record["id"] for record in found["sample"]} == {str(firm.uid) for firm in past[0]}
    assert runs() == []
    assert customer(past[0][0]).notes is None


def test_a_replay_says_what_the_rule_would_have_done(rule, past, cli, login):
    made = rule(condition=FIRMS)
    month = f"{dt.datetime.now(dt.UTC):%Y-%m}"

    told = cli("rules", "replay", str(made.uid), "--since", "2020-01-01")
    page = login("administrator").get(f"/rules/{made.uid}/try?since=2020-01-01").text

    for text in (
        "Since January 1, 2020 it would have run 3 times, out of 5 events.",
        "Each time: Set a field (Field: Notes, Value: seen by the rule).",
        "Records left alone, because this does not hold today: 2. (Kind is Organization)",
    ):
        assert text in told.stdout
        assert text in page
    assert f"{month}\t3" in told.stdout
    assert f"{dt.datetime.now(dt.UTC):%B %Y}" in page
    assert "Nothing was changed." in told.stderr


def test_a_replay_of_nothing_says_so(rule, cli):
    made = rule(condition=FIRMS)

    told = cli("rules", "replay", str(made.uid), "--since", "2020-01-01")

    assert "Nothing has happened since January 1, 2020 that it follows: it would have run not once." in told.stdout


def test_a_replay_looks_no_further_back_than_asked(rule, past, api, unit):
    made = rule(condition=FIRMS)
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()

    assert api("administrator").get(f"/api/rules/{made.uid}/replay", since=tomorrow).json["events"] == 0
    assert api("administrator").get(f"/api/rules/{made.uid}/replay").status_code == 422


def test_an_event_stored_late_does_not_hide_those_before_it(rule, past, api, unit, monkeypatch):
    made = rule()
    monkeypatch.setattr(replaying, "BATCH", 2)
    with unit() as uow:
        latest = uow.session.scalars(sa.select(StoredEvent).order_by(StoredEvent.id.desc()).limit(1)).one()
        latest.occurred_at = dt.datetime(2019, 12, 31, tzinfo=dt.UTC)

    assert api("administrator").get(f"/api/rules/{made.uid}/replay", since=SINCE).json["events"] == 4


def test_a_replay_is_done_once_when_asked_for(rule, past, cli, deliver_events, customer, runs):
    made = rule(condition=FIRMS, enabled=False)

    first = cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply", "--json").json()
    deliver_events()
    again = cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply", "--json").json()
    deliver_events()

    assert (first["left"], again["left"], again["already_done"]) == (3, 0, 3)
    assert [run.outcome for run in runs()] == ["done"] * 3
    assert {customer(firm).notes for firm in past[0]} == {"seen by the rule"}
    assert {customer(person).notes for person in past[1]} == {None}


def test_records_that_are_gone_are_counted_apart(rule, past, unit, api):
    from crm_kernel.records.services import delete_record

    made = rule(condition=FIRMS)
    with unit() as uow:
        delete_record(uow, record_type("customer"), past[0][0].uid, version=1)

    found = api("administrator").get(f"/api/rules/{made.uid}/replay", since=SINCE).json

    assert (found["fitting"], found["gone"]) == (2, 1)


def test_a_trial_tells_what_would_change_and_takes_it_back(rule, past, api, customer, unit):
    made = rule(condition=FIRMS)
    administrator = api("administrator")

    tried = administrator.post(f"/api/rules/{made.uid}/dry-run", {"record": str(past[0][0].uid)})
    other = administrator.post(f"/api/rules/{made.uid}/dry-run", {"record": str(past[1][0].uid)})

    [change] = tried.json["changes"]
    assert {"field": "notes", "before": None, "after": "seen by the rule"} in change["values"]
    assert tried.json["events"] == ["kernel.customer_updated"]
    assert customer(past[0][0]).notes is None
    assert (other.json["matched"], other.json["failed"]) == (False, [FIRMS])
    with unit() as uow:
        assert (
            uow.session.scalars(
                sa.select(AuditLog).where(AuditLog.action == "updated", AuditLog.record_type == "customer")
            ).all()
            == []
        )


def test_somebody_else_replays_a_rule_with_his_own_eyes(rule, past, api):
    made = rule(condition=FIRMS)
    small = api(grants={"rule.*": "all", "customer.read": "own"})

    found = small.get(f"/api/rules/{made.uid}/replay", since=SINCE).json

    assert (found["fitting"], found["gone"], found["sample"]) == (0, 5, [])


def test_a_condition_is_built_and_kept(rule, unit, login):
    made = rule(enabled=False)
    administrator = login("administrator")
    built = "f.join=all&f.0.field=kind&f.0.op=eq&f.0.value=organization"

    page = administrator.get(f"/rules/{made.uid}/condition?{built}").get_data(as_text=True)
    # What a browser with scripts gets for every change.
    part = administrator.get(f"/rules/{made.uid}/condition?{built}", headers={"HX-Request": "true"}).text
    tree = '{"field":"kind","op":"eq","value":"organization"}'
    answer = administrator.post(f"/rules/{made.uid}/condition", data={"tree": tree, "version": "1"})

    for text in (page, part):
        kept = re.search(r'form="filter-keep" name="tree" value="([^"]*)"', text)
        assert kept
        assert json.loads(unescape(kept[1])) == {"and": [FIRMS]}
        assert f'id="filter-keep" method="post" action="/rules/{made.uid}/condition"' in text
        assert 'value="apply"' not in text
    assert answer.status_code == 303
    with unit() as uow:
        assert uow.session.get(Rule, made.id).condition == FIRMS


def test_an_action_is_added_and_removed(rule, unit, login):
    made = rule(enabled=False, actions=[])
    administrator = login("administrator")
    form = {"action_name": "kernel.set_field", "field": "notes", "value": "hello", "version": "1"}

    offered = administrator.get(f"/rules/{made.uid}/actions/new").get_data(as_text=True)
    refused = administrator.post(f"/rules/{made.uid}/actions/new", data={**form, "field": "nothing"})
    added = administrator.post(f"/rules/{made.uid}/actions/new", data=form)
    with unit() as uow:
        actions = uow.session.get(Rule, made.id).actions
    administrator.post(f"/rules/{made.uid}/actions/0/remove", data={"version": "2"})

    assert "Set a field" in offered
    assert (refused.status_code, added.status_code) == (422, 303)
    assert actions == [{"action": "kernel.set_field", "params": {"field": "notes", "value": "hello"}}]
    with unit() as uow:
        assert uow.session.get(Rule, made.id).actions == []


def test_the_log_is_a_page_an_answer_and_a_command(rule, factories, login, api, cli, deliver_events):
    made = rule(condition=FIRMS)
    factories.organization(display_name="Aldgate")
    factories.person()
    deliver_events()

    page = login("administrator").get(f"/rules/{made.uid}/runs").get_data(as_text=True)
    answered = api("administrator").get(f"/api/rules/{made.uid}/runs", limit=1).json
    listed = cli("rules", "runs", "Welcome", "--json").json()

    assert "Aldgate" in page
    assert "Did not hold: " in page
    assert (len(answered["items"]), bool(answered["next_cursor"])) == (1, True)
    assert [run["outcome"] for run in listed] == ["not_matched", "done"]


def test_rules_are_listed_shown_and_switched_by_command(rule, cli):
    rule(condition=FIRMS)

    assert [row["name"] for row in cli("rules", "list", "--enabled", "--json").json()] == ["Welcome"]
    assert cli("rules", "show", "Welcome", "--json").json()["condition_in_words"]
    cli("rules", "disable", "Welcome")
    assert cli("rules", "list", "--enabled", "--json").json() == []
    cli("rules", "enable", "Welcome")
    assert cli("rules", "list", "--json").json()[0]["runs_as"] == "Ada Admin"


def test_what_was_done_long_ago_is_not_done_again(rule, factories, unit, cli, deliver_events, customer, runs):
    made = rule(condition=FIRMS)
    firm = factories.organization()
    factories.person()
    deliver_events()
    with unit() as uow:
        uow.session.execute(sa.update(RuleRun).values(at=uow.now - dt.timedelta(days=100)))

    with unit() as uow:
        forget_runs(uow, {})
    found = cli("rules", "replay", str(made.uid), "--since", "2020-01-01", "--apply", "--json").json()

    assert (found["already_done"], found["left"]) == (1, 0)
    assert [(run.outcome, run.record) for run in runs()] == [("done", firm.uid)]


def test_what_was_done_is_forgotten_after_its_event(rule, factories, unit, deliver_events, runs):
    rule(condition=FIRMS)
    factories.organization()
    deliver_events()
    with unit() as uow:
        uow.session.execute(sa.update(RuleRun).values(at=uow.now - dt.timedelta(days=500)))
        uow.session.execute(sa.delete(StoredEvent))

    with unit() as uow:
        forget_runs(uow, {})

    assert runs() == []


def test_the_log_is_forgotten_in_chunks(rule, factories, unit, deliver_events, runs, monkeypatch):
    monkeypatch.setattr(jobs, "_FORGOTTEN", 2)
    rule(condition=FIRMS)
    for _ in range(3):
        factories.organization()
    for _ in range(2):
        factories.person()
    deliver_events()
    with unit() as uow:
        uow.session.execute(sa.update(RuleRun).values(at=uow.now - dt.timedelta(days=100)))

    checkpoint, chunks = None, 0
    while chunks == 0 or checkpoint is not None:
        with unit() as uow:
            checkpoint = forget_runs(uow, {"checkpoint": checkpoint} if checkpoint else {})
        chunks += 1

    assert [run.outcome for run in runs()] == ["done"] * 3
    assert chunks == 3


def test_a_dry_run_says_that_an_action_of_a_module_failed(rule, past, api, monkeypatch):
    made = rule()

    def broken(*_arguments, **_options):
        raise RuntimeError("a secret of the module")

    monkeypatch.setattr(kernel_actions, "update_record", broken)
    tried = api("administrator").post(f"/api/rules/{made.uid}/dry-run", {"record": str(past[0][0].uid)})

    assert (tried.status_code, tried.json["refused"]) == (200, "RuntimeError: see the log of the server")
