"""``crm privacy`` on a real instance: rules carried out when asked, and what is done again after a restore."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy import retention
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.holds import hold_customer
from crm_kernel.customers.privacy.models import Erasure
from crm_kernel.customers.privacy.retention import create_rule


@pytest.fixture
def people(unit, customer_factory):
    """Three whom nothing was heard of for years, one of this year, and a rule for each action, neither active."""
    made = [customer_factory(kind="organization", display_name=name) for name in ("Old 1", "Old 2", "Old 3", "Young")]
    with unit() as uow:
        long_ago = uow.now - dt.timedelta(days=1500)
        old = sa.update(Customer).where(Customer.display_name.like("Old%"))
        uow.session.execute(old.values(updated_at=long_ago, created_at=long_ago))
        for action in ("erase", "anonymise"):
            create_rule(uow, {"name": action, "months": 36, "action": action})
    return made


@pytest.fixture
def names(unit):
    """Return the names that are left."""

    def read():
        with unit() as uow:
            return sorted(uow.session.scalars(sa.select(Customer.display_name)))

    return read


def _json(answer):
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize(("rule", "left"), [("erase", ["Young"]), ("anonymise", ["Young", "–", "–", "–"])])
def test_a_rule_is_carried_out_in_chunks_when_it_is_asked_for(cli, unit, people, names, monkeypatch, rule, left):
    monkeypatch.setattr(retention, "CHUNK", 2)

    first = _json(cli("privacy", "retention", "run", rule, "--yes", "--json"))
    again = _json(cli("privacy", "retention", "run", rule, "--yes", "--json"))

    assert first == {"rule": rule, "action": rule, "customers": 3, "carried_out": True}
    assert (again["customers"], again["carried_out"]) == (0, True)
    assert names() == left
    with unit() as uow:
        receipts = [
            (row.action, row.rule, row.customers)
            for row in uow.session.scalars(sa.select(Erasure).order_by(Erasure.id))
        ]
    assert receipts == [(rule, rule, 2), (rule, rule, 1)]


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--yes", "--dry-run"]])
def test_without_a_yes_a_rule_only_says_how_many(cli, people, names, words):
    answer = cli("privacy", "retention", "run", "erase", *words, "--json")

    assert _json(answer) == {"rule": "erase", "action": "erase", "customers": 3, "carried_out": False}
    assert "To do it: add --yes" in answer.stderr
    assert len(names()) == 4


def test_an_unknown_rule_is_not_carried_out(cli, people, names):
    answer = cli("privacy", "retention", "run", "nobody", "--yes")

    assert answer.exit_code == 3
    assert "crm privacy retention list" in answer.stderr
    assert len(names()) == 4


def test_what_a_backup_brought_back_is_counted_and_named_by_kind(cli, crm_app, people, names, tmp_path):
    kinds = [(people[0], "erase"), (people[1], "anonymise"), (people[2], "anonymise")]
    file = tmp_path / "erased.json"
    with crm_app.app_context():
        known = [{"digest": str(erased_digest(one.uid)), "action": kind} for one, kind in kinds]
    file.write_text(json.dumps(known))

    planned = cli("privacy", "reapply", file, "--dry-run")
    before = names()
    done = _json(cli("privacy", "reapply", file, "--yes", "--json"))
    again = cli("privacy", "reapply", file, "--yes")

    assert "1 customers to erase, 2 to anonymise, 3 known." in planned.stdout + planned.stderr
    assert len(before) == 4
    assert "–" not in before
    assert (done["known"], done["erased"], done["anonymised"]) == (3, 1, 2)
    assert [(row["action"], row["customers"]) for row in done["receipts"]] == [("anonymise", 2), ("erase", 1)]
    assert all(row["rows"] > 0 for row in done["receipts"])
    receipts = {row["id"]: row for row in _json(cli("privacy", "receipts", "--json"))}
    assert all(receipts[row["id"]]["reason"] == "reapplied" for row in done["receipts"])
    assert "0 customers erased again, 0 anonymised again, 3 known." in again.stdout + again.stderr
    assert names() == ["Young", "–", "–"]


def test_whom_a_hold_keeps_is_named_and_the_others_go(cli, crm_app, unit, people, names, tmp_path):
    file = tmp_path / "erased.json"
    with crm_app.app_context():
        file.write_text(json.dumps([{"digest": str(erased_digest(one.uid))} for one in people[:3]]))
    with unit() as uow:
        hold_customer(uow, {"customer_id": people[1].id, "reason": "Lawsuit 12"})

    planned = cli("privacy", "reapply", file, "--dry-run")
    done = _json(cli("privacy", "reapply", file, "--yes", "--json"))

    assert f"Kept: {people[1].uid}, by the legal hold of " in planned.stdout + planned.stderr
    assert [(one["customer"], one["reason"]) for one in done["kept"]] == [(str(people[1].uid), "Lawsuit 12")]
    assert done["erased"] == 2
    assert names() == ["Old 2", "Young"]


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--yes", "--dry-run"]])
def test_without_a_yes_nobody_goes_again(cli, crm_app, people, names, tmp_path, words):
    file = tmp_path / "erased.json"
    with crm_app.app_context():
        file.write_text(json.dumps([{"digest": str(erased_digest(one.uid))} for one in people[:3]]))

    answer = cli("privacy", "reapply", file, "--json", *words)

    assert (_json(answer)["erased"], _json(answer)["carried_out"]) == (3, False)
    assert "To do it: add --yes" in answer.stderr
    assert len(names()) == 4


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--yes"]])
def test_a_hold_refuses_an_erasure_and_its_rehearsal_alike(cli, unit, people, names, words):
    with unit() as uow:
        hold_customer(uow, {"customer_id": people[0].id, "reason": "Lawsuit 12"})

    answer = cli("customers", "erase", people[0].uid, *words)

    assert answer.exit_code == 5
    assert "Lawsuit 12" in answer.stderr
    assert "add --yes" not in answer.stderr
    assert len(names()) == 4


@pytest.mark.parametrize("words", [[], ["--yes"]])
def test_an_unknown_reason_is_refused_without_a_yes_too(cli, people, names, words):
    answer = cli("customers", "erase", people[0].uid, "--reason", "because", *words)

    assert answer.exit_code == 2
    assert "mistake" in answer.stderr
    assert len(names()) == 4
