"""Retention rules on pages: nothing dangerous is chosen beforehand, and conditions are built by choosing."""

from __future__ import annotations

import html
import re

import pytest
import sqlalchemy as sa

from crm_kernel.customers.privacy.models import RetentionRule

FIRMS = '{"field":"kind","op":"eq","value":"organization"}'


@pytest.fixture
def admin(login):
    return login("administrator")


@pytest.fixture
def rule(unit):
    """Store a rule and return its id: ``rule(condition=…)``."""

    def run(**values):
        with unit() as uow:
            made = RetentionRule(name="idle", months=36, action="anonymise", **values)
            uow.session.add(made)
            uow.session.flush()
            return made.uid

    return run


def stored(unit):
    with unit() as uow:
        return uow.session.execute(sa.select(RetentionRule.name, RetentionRule.months, RetentionRule.condition)).all()


def test_no_action_is_chosen_beforehand_and_none_is_taken_for_granted(admin, api, unit):
    page = admin.get("/retention-rules/new").text
    chosen = re.search(r'<select[^>]*name="action".*?</select>', page, re.DOTALL)[0]

    refused = admin.post("/retention-rules/new", data={"name": "idle", "months": "36", "action": "", "active": ""})
    by_api = api("administrator").post("/api/retention-rules", {"name": "idle", "months": 36})

    assert chosen.index('value=""') < chosen.index('value="erase"')
    assert "required" in chosen
    assert "selected" not in chosen.partition('value="erase"')[2]
    assert (refused.status_code, by_api.status_code) == (422, 422)
    assert 'id="f-action-error"' in refused.text
    assert list(by_api.json["errors"]) == ["action"]
    assert stored(unit) == []


def test_the_form_of_a_rule_shows_no_condition_as_text_and_keeps_it(admin, rule, unit):
    uid = rule(condition=FIRMS)
    page = admin.get(f"/retention-rules/{uid}/edit").text

    saved = admin.post(
        f"/retention-rules/{uid}/edit",
        data={"name": "idle firms", "months": "24", "action": "anonymise", "active": "", "version": "1"},
    )

    assert 'name="condition"' not in page
    assert saved.status_code == 303
    assert stored(unit) == [("idle firms", 24, FIRMS)]


def test_a_condition_is_built_by_choosing_and_told_in_words(admin, rule, unit):
    uid = rule()
    address = f"/retention-rules/{uid}/condition"
    built = "f.join=all&f.0.field=kind&f.0.op=eq&f.0.value=organization"

    before = admin.get(f"/retention-rules/{uid}").text
    page = admin.get(f"{address}?{built}&do=apply").text
    tree = html.unescape(re.search(r'name="tree" value="([^"]*)"', page)[1])
    saved = admin.post(address, data={"tree": tree, "version": "1"})
    after = admin.get(f"/retention-rules/{uid}").text

    assert "every record" in before
    assert address in before
    assert saved.status_code == 303
    assert stored(unit)[0].condition == f'{{"and":[{FIRMS}]}}'
    assert "Organization" in after
    assert FIRMS not in html.unescape(after)
    assert 'name="f.0.field"' in admin.get(address).text


def test_a_condition_is_taken_away(admin, rule, unit):
    uid = rule(condition=FIRMS)

    saved = admin.post(f"/retention-rules/{uid}/condition", data={"tree": "", "version": "1"})

    assert saved.status_code == 303
    assert stored(unit)[0].condition is None


@pytest.mark.parametrize("tree", ["{", '{"field": "gone", "op": "eq", "value": 1}'])
def test_what_is_no_condition_over_customers_is_refused(admin, rule, unit, tree):
    uid = rule(condition=FIRMS)

    assert admin.post(f"/retention-rules/{uid}/condition", data={"tree": tree, "version": "1"}).status_code == 422
    assert stored(unit)[0].condition == FIRMS


def test_a_condition_that_names_what_is_gone_is_said_and_can_be_built_anew(admin, rule, unit):
    uid = rule(condition='{"field": "cf_gone", "op": "eq", "value": 1}')

    assert "names what does not exist any more" in admin.get(f"/retention-rules/{uid}").text
    shown = admin.get(f"/retention-rules/{uid}/condition")
    assert shown.status_code == 200
    assert "names what does not exist any more" in shown.text
    assert "names what does not exist any more" not in admin.get(f"/retention-rules/{uid}/condition?f.join=all").text
    admin.post(f"/retention-rules/{uid}/condition", data={"tree": FIRMS, "version": "1"})
    assert stored(unit)[0].condition == FIRMS


def test_who_may_only_read_rules_builds_no_condition(login, rule):
    reader, uid = login(grants={"retention_rule.read": "all", "customer.read": "all"}), rule()

    assert "Change the condition" not in reader.get(f"/retention-rules/{uid}").text
    assert reader.get(f"/retention-rules/{uid}/condition").status_code == 403
    assert reader.post(f"/retention-rules/{uid}/condition", data={"tree": "", "version": "1"}).status_code == 403
