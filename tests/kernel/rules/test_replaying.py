"""What would this rule have done: one record tried and taken back, past events counted, sampled, and done if asked for."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.rules.models import Rule

SINCE = "2020-01-01T00:00:00Z"
FIRMS = {"field": "kind", "op": "eq", "value": "organization"}


@pytest.fixture
def past(factories):
    """Three firms and two people that were there before any rule."""
    return [factories.organization() for _ in range(3)], [factories.person() for _ in range(2)]


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


def test_a_replay_looks_no_further_back_than_asked(rule, past, api, unit):
    made = rule(condition=FIRMS)
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()

    assert api("administrator").get(f"/api/rules/{made.uid}/replay", since=tomorrow).json["events"] == 0
    assert api("administrator").get(f"/api/rules/{made.uid}/replay").status_code == 422


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
    from crm_kernel.records.plan import record_type
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


def test_the_page_tries_counts_and_does(rule, past, login, deliver_events, runs):
    made = rule(condition=FIRMS)
    administrator = login("administrator")

    tried = administrator.post(f"/rules/{made.uid}/try", data={"record": str(past[0][0].uid)}).get_data(as_text=True)
    counted = administrator.get(f"/rules/{made.uid}/try?since=2020-01-01").get_data(as_text=True)
    administrator.post(f"/rules/{made.uid}/replay", data={"since": "2020-01-01"})
    deliver_events()

    assert "seen by the rule" in tried
    assert "Do it now for 3 events" in counted
    assert [run.outcome for run in runs()] == ["done"] * 3


def test_a_condition_is_built_and_kept(rule, unit, login):
    made = rule(enabled=False)
    administrator = login("administrator")
    built = "f.join=all&f.0.field=kind&f.0.op=eq&f.0.value=organization"

    page = administrator.get(f"/rules/{made.uid}/condition?{built}&do=apply").get_data(as_text=True)
    tree = '{"field":"kind","op":"eq","value":"organization"}'
    answer = administrator.post(f"/rules/{made.uid}/condition", data={"tree": tree, "version": "1"})

    assert "Keep this condition" in page
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
