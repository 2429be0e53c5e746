"""A rule runs once per record and event, with the rights of its principal, and its log says why it did nothing."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser, AuditLog
from crm_kernel.access.services import deactivate_user, role_named
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.services import enqueue
from crm_kernel.rules.models import RUN, RuleRun
from crm_kernel.touchpoints.models import Interaction


def of(field, value, op="eq"):
    return {"field": field, "op": op, "value": value}


def _set(field, value):
    return {"action": "kernel.set_field", "params": {"field": field, "value": value}}


SET_NOTES = _set("notes", "seen by the rule")


def outcomes(runs):
    return [run.outcome for run in runs]


def test_actions_are_done_for_a_record_that_fits_after_its_commit(rule, factories, deliver_events, customer, runs):
    rule(condition=of("kind", "organization"))
    made = factories.organization()

    before = customer(made).notes
    deliver_events()

    assert (before, customer(made).notes) == (None, "seen by the rule")
    assert outcomes(runs()) == ["done"]


def test_a_record_that_does_not_fit_is_left_alone_and_the_log_names_the_part_that_did_not_hold(
    rule, factories, deliver_events, customer, runs
):
    rule(condition={"and": [of("kind", "person"), of("industry", "Mining")]})
    made = factories.organization(industry="Mining")

    deliver_events()

    assert customer(made).notes is None
    [run] = runs()
    assert (run.outcome, run.details) == ("not_matched", {"failed": [of("kind", "person")]})


def test_an_event_delivered_twice_is_answered_once(rule, factories, deliver_events, unit, runs, change, customer):
    made_rule = rule()
    made = factories.organization()
    deliver_events()
    change(made, notes="somebody's own")
    with unit() as uow:
        event = uow.session.scalar(sa.select(StoredEvent.uid).where(StoredEvent.name == "kernel.customer_created"))
        enqueue(uow, RUN, {"rule": str(made_rule.uid), "event": str(event)})

    deliver_events()

    assert outcomes(runs()) == ["done"]
    assert customer(made).notes == "somebody's own"


def test_what_a_rule_does_is_audited_as_its_principal_through_the_channel_rule(rule, factories, deliver_events, unit):
    rule()
    made = factories.organization()
    deliver_events()

    with unit() as uow:
        query = sa.select(AuditLog).where(AuditLog.record_uid == made.uid, AuditLog.action == "updated")
        found = uow.session.scalars(query).one()
        created = uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.name == "kernel.customer_created")).one()
        assert (found.actor, found.channel) == ("Ada Admin", "rule")
        assert found.request_id == created.request_id


def test_a_rule_has_no_more_rights_than_its_principal(rule, factories, deliver_events, login, runs, customer):
    small = login(grants={"customer.read": "all", "rule.create": "own", "rule.read": "own", "rule.enable": "own"}).user
    rule(as_=small)
    made = factories.organization()

    deliver_events()

    assert outcomes(runs()) == ["failed"]
    assert runs()[0].reason.startswith("Forbidden")
    assert customer(made).notes is None


def test_a_record_that_the_principal_does_not_see_is_no_record_for_the_rule(
    rule, factories, deliver_events, login, runs
):
    small = login(grants={"customer.*": "own", "rule.*": "own"}).user
    rule(as_=small)
    factories.organization()

    deliver_events()

    assert [(run.outcome, run.details) for run in runs()] == [("not_matched", {"unseen": True})]


def test_a_field_that_the_principals_role_only_reads_is_not_written(rule, factories, deliver_events, unit, login, runs):
    keeper = login("manager").user
    rule(as_=keeper)
    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "customer", "notes", "read")
    factories.organization()

    deliver_events()

    assert outcomes(runs()) == ["failed"]


def test_a_deactivated_principal_leaves_the_rule_inert(rule, factories, deliver_events, unit, login, runs):
    gone = login("administrator").user
    rule(as_=gone)
    with unit() as uow:
        deactivate_user(uow, uow.session.get(AppUser, gone.id))
    factories.organization()

    deliver_events()

    assert outcomes(runs()) == ["inert"]


def test_a_refused_action_takes_back_those_before_it(rule, factories, deliver_events, customer, runs, unit):
    rule(actions=[SET_NOTES, {"action": "kernel.set_field", "params": {"field": "website", "value": "https://a.test"}}])
    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "customer", "website", "read")
    person = factories.organization()
    from unittest import mock

    from crm_kernel.errors import Conflict
    from crm_kernel.rules import kernel_actions

    real = kernel_actions.update_record

    def refusing(uow, found, uid, payload, **options):
        if "website" in payload:
            raise Conflict("not now")
        return real(uow, found, uid, payload, **options)

    with mock.patch.object(kernel_actions, "update_record", refusing):
        deliver_events()

    assert outcomes(runs()) == ["failed"]
    assert customer(person).notes is None


def test_rules_that_feed_each_other_stop_and_the_log_says_so(rule, factories, deliver_events, runs):
    on = {"event": "kernel.customer_updated"}
    rule(name="Ping", **on, condition=of("notes", "ping"), actions=[_set("notes", "pong")])
    rule(name="Pong", **on, condition=of("notes", "pong"), actions=[_set("notes", "ping")])
    made = factories.organization()
    deliver_events()
    _touch(factories, made)

    deliver_events()

    assert "loop" in outcomes(runs())
    # Two rules, each following what both do: two, four, eight, and then the end.
    assert outcomes(runs()).count("done") <= 2 + 4 + 8
    assert max(run.depth for run in runs()) == 4
    assert "rule_depth" in next(run.reason for run in runs() if run.outcome == "loop")


def test_no_rule_no_job(rule, factories, unit):
    rule(enabled=False)
    factories.organization()

    with unit() as uow:
        assert uow.session.scalars(sa.select(JobRow).where(JobRow.name == RUN)).all() == []


def test_publishing_costs_no_statement_for_rules_that_follow_other_events(rule, factories, count_queries):
    for number in range(3):
        rule(name=f"Rule {number}", event="kernel.interaction_recorded")

    with count_queries() as queries:
        factories.organization()

    assert [text for text in queries.statements if text.startswith("SELECT") and "FROM rule" in text] == []


def test_bulk_changes_run_the_rule_for_each_record_of_the_run(rule, factories, deliver_events, runs, unit):
    from crm_kernel.records.bulk import update_many
    from crm_kernel.records.plan import record_type

    rule(event="kernel.records_bulk_changed", condition=of("industry", "Mining"))
    firms = [factories.organization() for _ in range(3)]
    with unit() as uow:
        update_many(uow, record_type("customer"), {firm.id: {"industry": "Mining"} for firm in firms[:2]})

    deliver_events()

    assert outcomes(runs()) == ["done", "done"]
    assert {run.record for run in runs()} == {firm.uid for firm in firms[:2]}


def test_a_note_is_written_on_the_timeline(rule, factories, deliver_events, unit, runs):
    rule(actions=[{"action": "kernel.add_note", "params": {"summary": "Say hello"}}])
    made = factories.organization()

    deliver_events()

    with unit() as uow:
        found = uow.session.scalars(sa.select(Interaction).where(Interaction.customer_id == made.id)).one()
        assert (found.summary, found.kind) == ("Say hello", "note"), runs()


def test_a_record_is_handed_over(rule, factories, deliver_events, login, customer):
    owner = login("representative", name="Olive").user
    rule(actions=[{"action": "kernel.hand_over", "params": {"owner": str(owner.uid)}}])
    made = factories.organization()

    deliver_events()

    assert customer(made).owner_id == owner.id


def test_a_rule_of_the_system_sees_and_does_everything(rule, factories, deliver_events, runs):
    rule(as_=SYSTEM, as_system=True)
    factories.organization()

    deliver_events()

    assert outcomes(runs()) == ["done"]


def test_old_rows_of_the_log_are_forgotten(rule, factories, deliver_events, unit, runs):
    import datetime as dt

    from crm_kernel.rules.jobs import forget_runs

    rule(condition={"field": "kind", "op": "eq", "value": "organization"})
    factories.person()
    deliver_events()
    with unit() as uow:
        uow.session.execute(sa.update(RuleRun).values(at=uow.now - dt.timedelta(days=91)))
    factories.organization()
    deliver_events()

    with unit() as uow:
        assert forget_runs(uow, {}) is None

    assert len(runs()) == 1


def _touch(factories, made):
    from crm_kernel.customers.models import Customer
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.services import update_record
    from crm_kernel.unit_of_work import writing

    with factories.app.app_context(), writing(SYSTEM) as uow:
        version = uow.session.get(Customer, made.id).version
        update_record(uow, record_type("customer"), made.uid, {"notes": "ping"}, version=version)


def test_a_user_or_the_owner_is_notified_the_rules_own_author_too(rule, factories, deliver_events, login, unit):
    from crm_kernel.collaboration.notifications.models import Notification

    owner, other = login("manager").user, login("administrator").user
    words = {"action": "kernel.notify", "params": {"words": "Call within a day"}}
    named = {"action": "kernel.notify", "params": {"user": str(other.uid), "words": "Look"}}
    rule(actions=[words, named], as_=other)

    made = factories.organization(owner=str(owner.uid))
    deliver_events()

    with unit() as uow:
        told = uow.session.execute(
            sa.select(Notification.user_id, Notification.data, Notification.subject_uid).where(
                Notification.kind == "kernel.rule"
            )
        ).all()
    assert sorted((row[0], row[1]["words"]) for row in told) == sorted(
        [(owner.id, "Call within a day"), (other.id, "Look")]
    )
    assert {row[2] for row in told} == {made.uid}


def test_a_rule_that_was_disabled_before_its_turn_says_so_and_a_replay_makes_up_for_it(
    rule, factories, deliver_events, unit, runs, cli
):
    made = rule()
    factories.organization()
    cli("rules", "disable", "Welcome")

    deliver_events()
    said = [(run.outcome, run.reason, run.record) for run in runs()]
    cli("rules", "replay", "Welcome", "--since", "2020-01-01", "--apply")
    deliver_events()

    assert said == [("inert", "it was disabled before its turn came", made.uid)]
    assert [run.outcome for run in runs()] == ["inert", "done"]
