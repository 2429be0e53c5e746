"""What a rule may say is checked when it is written; whoever changes what it does is whom it runs as."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.jobs.models import JobSchedule
from crm_kernel.rules.jobs import SCHEDULED
from crm_kernel.rules.models import Rule
from crm_kernel.testing.factories import detached

SET_NOTES = {"action": "kernel.set_field", "params": {"field": "notes", "value": "seen"}}
GOOD = {"name": "R", "record_type": "customer", "event": "kernel.customer_created", "actions": [SET_NOTES]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"record_type": "bank.loan"}, "record_type"),
        ({"event": "kernel.nothing_happened"}, "event"),
        ({"record_type": "product"}, "event"),
        ({"event": None}, "event"),
        ({"cron": "* * * * *"}, "event"),
        ({"event": None, "cron": "often"}, "cron"),
        ({"event": None, "cron": "0 5 * * *", "timezone": "Mars/Base"}, "timezone"),
        ({"condition": {"field": "shoe_size", "op": "eq", "value": 1}}, "condition.filter.field"),
        ({"condition": {"nonsense": 1}}, "condition.filter"),
        ({"actions": [{"action": "bank.rob"}]}, "actions[0].action"),
        ({"actions": [{"action": "kernel.set_field", "params": {"field": "id", "value": 1}}]}, "actions[0].field"),
        (
            {"actions": [{"action": "kernel.set_field", "params": {"field": "status", "value": "x"}}]},
            "actions[0].status",
        ),
        ({"actions": [SET_NOTES] * 11}, "actions"),
        ({"actions": [{"action": "kernel.hand_over", "params": {}}]}, "actions[0].owner"),
        ({"actions": ["set"]}, "actions.0"),
    ],
)
def test_a_rule_that_could_never_run_is_refused_by_field(api, changes, field):
    answer = api("administrator").post("/api/rules", {**GOOD, **changes})

    assert answer.status_code == 422, answer.text
    assert field in answer.json["errors"], answer.json["errors"]


def test_whoever_changes_what_a_rule_does_is_whom_it_runs_as(api):
    ann, bob = api("administrator", name="Ann"), api("administrator", name="Bob")
    path = f"/api/rules/{ann.post('/api/rules', GOOD).json['id']}"

    bob.patch(path, {"description": "still hers"})
    after_description = bob.get(path).json["principal"]["title"]
    bob.patch(path, {"actions": []})

    assert (after_description, bob.get(path).json["principal"]["title"]) == ("Ann", "Bob")


def test_only_who_may_lets_a_rule_act_as_the_system(api):
    manager, administrator = api("manager"), api("administrator")

    refused = manager.post("/api/rules", {**GOOD, "as_system": True})
    made = administrator.post("/api/rules", {**GOOD, "as_system": True})

    assert (refused.status_code, made.status_code) == (403, 201), refused.text


def test_a_token_with_limits_of_its_own_writes_no_rule(api):
    answer = api("administrator", scopes=["rule.*"]).post("/api/rules", GOOD)

    assert answer.status_code == 403


def test_a_rule_is_enabled_once_and_not_before_it_does_something(api):
    administrator = api("administrator")
    empty = administrator.post("/api/rules", {**GOOD, "actions": []}).json
    whole = administrator.post("/api/rules", GOOD).json

    def enable(rule, version):
        return administrator.post(f"/api/rules/{rule['id']}/enable", If_Match=f'"{version}"').status_code

    assert enable(empty, empty["version"]) == 409
    assert enable(whole, whole["version"]) == 200
    assert enable(whole, whole["version"] + 1) == 409


def test_an_enabled_schedule_fires_for_every_record_that_fits(
    rule, factories, crm_app, unit, deliver_events, runs, customer
):
    from crm_kernel.jobs.services import enqueue

    made = rule(event=None, cron="30 7 * * 1-5", condition={"field": "kind", "op": "eq", "value": "organization"})
    firms = [factories.organization() for _ in range(3)]
    person = factories.person()
    with unit() as uow:
        enqueue(uow, SCHEDULED, {"rule": str(made.uid)})

    deliver_events()

    assert [run.outcome for run in runs()] == ["done"] * 3
    assert {customer(firm).notes for firm in firms} == {"seen by the rule"}
    assert customer(person).notes is None


def test_disabling_takes_the_schedule_away_and_a_new_time_moves_it(rule, unit, api):
    made = rule(event=None, cron="30 7 * * 1-5")
    administrator = api("administrator")
    path = f"/api/rules/{made.uid}"

    def crons():
        with unit() as uow:
            return list(uow.session.scalars(sa.select(JobSchedule.cron).where(JobSchedule.job == SCHEDULED)))

    assert crons() == ["30 7 * * 1-5"]
    administrator.patch(path, {"cron": "0 9 * * *"})
    assert crons() == ["0 9 * * *"]
    administrator.post(f"{path}/disable", If_Match=administrator.etag(path))
    assert crons() == []


def test_a_rule_whose_module_is_gone_is_inert_and_says_so(rule, factories, deliver_events, unit, runs, login, api):
    made = rule()
    with unit() as uow:
        uow.session.get(Rule, made.id).actions = [{"action": "bank.block", "params": {}}]
    factories.organization()

    deliver_events()
    page = login("administrator").get(f"/rules/{made.uid}").get_data(as_text=True)

    assert [run.outcome for run in runs()] == ["inert"]
    assert "bank.block" in runs()[0].reason
    assert "cannot run now" in page
    assert "its module is not loaded" in page


def test_rules_are_seen_by_their_owners_and_those_above(api, unit):
    grants = {"rule.*": "own", "customer.*": "all"}
    ann, bob = api(grants=grants), api(grants=grants)
    path = f"/api/rules/{ann.post('/api/rules', GOOD).json['id']}"

    assert ann.get(path).status_code == 200
    for suffix in ("", "/runs"):
        assert bob.get(path + suffix).status_code == 404
    assert bob.get(f"{path}/replay", since="2020-01-01T00:00:00Z").status_code == 404
    assert bob.post(f"{path}/dry-run", {"record": "01990000-0000-7000-8000-000000000001"}).status_code == 404


def test_the_command_line_leaves_a_rule_to_whom_it_belongs(rule, unit):
    from crm_kernel.rules.services import disable_rule, enable_rule

    made = rule()
    with unit(SYSTEM) as uow:
        found = uow.session.get(Rule, made.id)
        disable_rule(uow, found)
        enable_rule(uow, found)
        assert detached(uow, found).principal_id == made.principal_id


@pytest.fixture
def schedules(unit):
    """Read the schedules of rules: (cron, key of the user)."""

    def read():
        with unit() as uow:
            query = sa.select(JobSchedule.uid, JobSchedule.cron, JobSchedule.user_id)
            return uow.session.execute(query.where(JobSchedule.job == SCHEDULED)).all()

    return read


@pytest.mark.parametrize("verb", ["disable", "delete"])
def test_a_rule_whose_schedule_is_gone_still_lets_itself_be_stopped(rule, unit, api, verb):
    made = rule(event=None, cron="30 7 * * 1-5")
    administrator, path = api("administrator"), f"/api/rules/{made.uid}"
    with unit() as uow:
        uow.session.execute(sa.delete(JobSchedule).where(JobSchedule.job == SCHEDULED))

    etag = administrator.etag(path)
    if verb == "disable":
        answer = administrator.post(f"{path}/disable", If_Match=etag)
    else:
        answer = administrator.delete(path, If_Match=etag)

    assert answer.status_code in (200, 204)


def test_the_schedule_of_a_rule_is_changed_by_the_rule_alone(rule, unit, cli, schedules, login, api):
    made = rule(event=None, cron="30 7 * * 1-5")
    [row] = schedules()

    for refused in (("set", str(row.uid), "0 9 * * *"), ("pause", str(row.uid)), ("remove", str(row.uid))):
        assert "follows a record (rule)" in cli("jobs", "schedule", *refused).stderr
    page = login("administrator").get("/jobs/schedules").get_data(as_text=True)
    administrator, path = api("administrator"), f"/api/jobs/schedules/{row.uid}"
    paused = administrator.post(f"{path}/pause", {}, If_Match=administrator.etag(path))
    moved = administrator.patch(path, {"cron": "0 9 * * *"})

    assert (paused.status_code, moved.status_code, schedules()) == (422, 422, [row])
    assert "follows a record (rule)" in moved.text
    assert f"/rules/{made.uid}/runs" in page
    assert f"/jobs/schedules/{row.uid}" not in page


def test_a_schedule_in_the_time_of_its_user_goes_over_to_whoever_changes_the_rule(rule, schedules, login, api):
    made = rule(event=None, cron="30 7 * * 1-5", timezone="user")
    other = api("administrator")
    path = f"/api/rules/{made.uid}"
    [before] = schedules()

    other.patch(path, {"condition": {"field": "kind", "op": "eq", "value": "organization"}})

    [after] = schedules()
    assert after.cron == before.cron
    assert after.user_id not in (None, before.user_id)
