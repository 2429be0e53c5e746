"""The audit log: one row per changed record in the commit that changed it, values apart, secrets nowhere."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor
from crm_kernel.access.audit import AuditRow, payload_digest, plain, record_access, record_audit_many
from crm_kernel.access.masking import masked
from crm_kernel.access.models import AppUser, AuditLog, AuditPayload
from crm_kernel.access.services import assign_role, create_role, create_user, grant, role_named, set_password
from crm_kernel.database import db
from crm_kernel.errors import UnitOfWorkError
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.plan import record_type
from crm_kernel.unit_of_work import writing


@pytest.fixture
def note(app):
    return app.extensions["crm"].registry.get("record_types", "note").model


@pytest.fixture
def parts(app):
    registry = app.extensions["crm"].registry
    record_type = registry.get("record_types", "note")
    return record_type.schema._declared_fields["lines"].model, registry.extensions_of("note")[0].model


@pytest.fixture
def stored(unit, note):
    """Store a note before the test begins; its audit row is the first."""
    with unit() as uow:
        row = note(text="old", stars=1, pin="1234")
        uow.session.add(row)
        uow.session.flush()
        return row.id, row.uid


def test_a_created_record_leaves_its_values(stored, audit):
    row = audit("note")[0]

    assert (row.action, row.record_uid, row.actor, row.channel) == ("created", stored[1], "system", "system")
    assert (row.before, row.after) == (None, {"text": "old", "stars": 1, "pin": "(secret)"})


def test_a_changed_record_leaves_what_changed_before_and_after(stored, unit, note, audit):
    actor = Actor(kind="user", name="Ada", user_uid=uuid.uuid4(), grants=SYSTEM.grants)
    with unit(actor, channel="api", request_id="r1") as uow:
        row = uow.session.get(note, stored[0])
        row.text, row.stars = "new", 1

    found = audit("note")[1]

    assert (found.action, found.actor, found.actor_uid) == ("updated", "Ada", actor.user_uid)
    assert (found.channel, found.request_id, found.at) == ("api", "r1", uow.now)
    assert (found.before, found.after) == ({"text": "old"}, {"text": "new"})


def test_a_deleted_record_leaves_what_it_was(stored, unit, note, audit):
    with unit() as uow:
        uow.session.delete(uow.session.get(note, stored[0]))

    found = audit("note")[1]

    assert (found.action, found.record_uid, found.after) == ("deleted", stored[1], None)
    assert found.before["text"] == "old"
    assert found.before["pin"] == "(secret)"


def test_several_flushes_make_one_row_from_the_first_value_to_the_last(stored, unit, note, audit):
    with unit() as uow:
        row = uow.session.get(note, stored[0])
        for text in ("one", "two", "three"):
            row.text = text
            uow.session.flush()

    assert [(found.before, found.after) for found in audit("note")[1:]] == [({"text": "old"}, {"text": "three"})]


def test_what_comes_back_to_what_it_was_leaves_no_row(stored, unit, note, audit):
    with unit() as uow:
        row = uow.session.get(note, stored[0])
        row.text = "new"
        uow.session.flush()
        row.text = "old"

    assert len(audit("note")) == 1


def test_what_is_created_and_deleted_in_one_unit_leaves_no_row(unit, note, audit):
    with unit() as uow:
        row = note(text="brief")
        uow.session.add(row)
        uow.session.flush()
        uow.session.delete(row)

    assert audit("note") == []


def test_marks_that_change_by_themselves_leave_no_row(stored, unit, note, audit):
    with unit() as uow:
        uow.session.get(note, stored[0]).opened = 7

    assert len(audit("note")) == 1


def test_a_changed_secret_is_noted_without_its_value(stored, unit, note, audit):
    with unit() as uow:
        uow.session.get(note, stored[0]).pin = "9999"

    found = audit("note")[1]

    assert (found.before, found.after) == ({"pin": "(secret)"}, {"pin": "(secret)"})


def test_parts_and_extensions_count_as_changes_of_their_record(stored, unit, parts, audit):
    line, risk = parts
    with unit() as uow:
        uow.session.add_all([line(note_id=stored[0], words="hello"), risk(note_id=stored[0], risk=3)])
        uow.session.flush()
        key, uid = uow.session.execute(sa.select(line.id, line.uid)).one()
    with unit() as uow:
        uow.session.get(line, key).words = "goodbye"

    added, renamed = audit("note")[1:]

    path = f"lines.{uid}.words"
    assert (added.record_uid, added.after) == (stored[1], {path: "hello", "extensions.bank.risk": 3})
    assert (renamed.record_uid, renamed.before, renamed.after) == (stored[1], {path: "hello"}, {path: "goodbye"})


def test_a_savepoint_that_is_rolled_back_leaves_no_row(stored, unit, note, audit):
    with unit() as uow:
        kept = uow.session.get(note, stored[0])
        kept.text = "kept"
        try:
            with uow.session.begin_nested():
                uow.session.add(note(text="lost"))
                kept.stars = 5
                uow.session.flush()
                raise ValueError("this row of the import is wrong")
        except ValueError:
            pass
        with uow.session.begin_nested():
            uow.session.add(note(text="second"))

    rows = [(row.action, row.after) for row in audit("note")[1:]]

    assert rows == [("updated", {"text": "kept"}), ("created", {"text": "second"})]


def test_a_unit_that_fails_leaves_no_row(stored, unit, note, audit):
    with pytest.raises(RuntimeError), unit() as uow:  # noqa: PT012 - the failing edge
        uow.session.get(note, stored[0]).text = "new"
        uow.session.flush()
        raise RuntimeError("the edge fails")

    assert len(audit("note")) == 1


def test_a_hundred_changes_cost_two_inserts_at_most(app, unit, note, audit, statements):
    with statements() as found, unit() as uow:
        uow.session.add_all([note(text=str(number)) for number in range(100)])

    inserts = [statement for statement in found if statement.startswith("INSERT INTO audit_")]
    assert len(inserts) <= 2, inserts  # PostgreSQL copies
    assert len(audit("note")) == 100


def test_a_unit_that_changes_nothing_audited_costs_nothing(app, unit, statements):
    with statements() as found, unit():
        pass

    assert not [statement for statement in found if "audit" in statement]


def test_no_hash_and_no_session_mark_of_a_user_is_ever_in_the_log(app, unit, audit):
    with unit() as uow:
        user = create_user(uow, email="ada@crm.test", name="Ada", password="violet harbour pencil", roles=["reader"])
        first = (user.password, user.fs_uniquifier)
    with unit() as uow:
        user = uow.session.execute(sa.select(AppUser)).scalar_one()
        set_password(uow, user, "quiet orange lantern")
        second = (user.password, user.fs_uniquifier)

    text = str([(row.before, row.after) for row in audit()])

    assert not [secret for secret in (*first, *second, "violet", "quiet") if secret in text]
    changed = audit("user")[-1]
    assert (changed.before, changed.after) == ({"password": "(secret)"}, {"password": "(secret)"})


def test_grants_and_roles_given_are_in_the_log(app, unit, audit):
    with unit() as uow:
        grant(uow, create_role(uow, name="Clerk"), "note.read")
        create_user(uow, email="ada@crm.test", name="Ada")
    with unit() as uow:
        assign_role(uow, uow.session.execute(sa.select(AppUser)).scalar_one(), role_named(uow, "Clerk"))

    made = next(row for row in audit("role") if row.after.get("name") == "Clerk")
    given = audit("user")[-1]
    assert "note.read" in made.after.values()
    assert (given.action, len(given.after)) == ("updated", 1)


def test_the_digest_proves_the_stored_values_and_differs_for_equal_ones(stored, unit, note, audit):
    with unit() as uow:
        uow.session.add(note(text="old", stars=1, pin="1234"))

    rows = audit("note")

    for row in rows:
        assert row.digest == payload_digest(row.salt, row.before, row.after)
    assert rows[0].after == rows[1].after
    assert rows[0].digest != rows[1].digest


def test_a_row_outlives_its_payload(app, stored, unit):
    with unit() as uow:
        uow.session.execute(sa.delete(AuditPayload))

    with app.app_context(), db.engine.connect() as connection:
        kept = connection.execute(sa.select(AuditLog.digest).where(AuditLog.record_type == "note")).scalar_one()
    assert len(kept) == 64


def test_bulk_changes_are_recorded_in_two_statements_at_most(unit, audit, statements):
    keys = [uuid.uuid4() for _ in range(50)]

    with statements() as found, unit() as uow:
        record_audit_many(uow, "note", "imported", [AuditRow(key, None, {"text": str(key)}) for key in keys])
        record_audit_many(uow, "note", "imported", [])

    assert [row.record_uid for row in audit("note")] == keys
    assert len([statement for statement in found if statement.startswith("INSERT")]) <= 2


SECRET_NOTES = [{"text": "one", "pin": "5577", "opened": 3}, {"text": "two"}]
SECRET_RISKS = [{"bank": {"risk": 1, "code": "8899"}}, {}]


def test_secrets_and_marks_of_records_created_in_bulk_are_never_stored(app, unit, audit):
    with unit() as uow:
        create_many(uow, record_type("note"), SECRET_NOTES, extensions=SECRET_RISKS)

    first, second = (found.after for found in audit("note"))

    hidden = {"pin": "(secret)", "extensions.bank.code": "(secret)"}
    assert {name: first[name] for name in first if name not in ("owner_id", "team_id")} == {
        "text": "one", "extensions.bank.risk": 1, **hidden,
    }  # fmt: skip
    assert "pin" not in second


def test_secrets_and_marks_of_records_changed_in_bulk_are_never_stored(app, unit, audit):
    with unit() as uow:
        keys = create_many(uow, record_type("note"), SECRET_NOTES, extensions=SECRET_RISKS)
    sides = {keys[0]: {"bank": {"code": "7766"}}}
    with unit() as uow:
        changes = {keys[0]: {"pin": "6655"}, keys[1]: {"opened": 9}}
        assert update_many(uow, record_type("note"), changes, extensions=sides) == keys

    (changed,) = audit("note")[2:]

    hidden = {"pin": "(secret)", "extensions.bank.code": "(secret)"}
    assert (changed.before, changed.after) == (hidden, hidden)


def test_secrets_in_the_parts_of_a_record_are_hidden_however_they_are_told(app):
    with app.app_context():
        whole = masked("note", {"lines": [{"words": "hello", "key": "4321"}]})
        single = masked("note", {"lines.0190.key": "4321", "lines.0190.words": "hello"})

    assert whole == {"lines": [{"words": "hello", "key": "(secret)"}]}
    assert single == {"lines.0190.key": "(secret)", "lines.0190.words": "hello"}


def test_an_export_is_recorded_in_a_unit_of_its_own(app, rep, actor_of, audit):
    actor = actor_of(rep.id)

    with app.app_context():
        record_access(actor, action="exported", record_type="note", channel="web", request_id="r9", details={"rows": 3})

    row = audit("note")[0]
    assert (row.action, row.actor, row.actor_uid, row.record_uid) == ("exported", "Rita Rep", rep.uid, None)
    assert row.after == {"rows": 3}


def test_an_access_row_is_never_part_of_somebody_elses_unit(app):
    with app.app_context(), writing(SYSTEM), pytest.raises(UnitOfWorkError):
        record_access(SYSTEM, action="refused", record_type="note", channel="web")


def test_values_become_json_that_both_databases_give_back_unchanged(unit, audit):
    values = {
        "amount": Decimal("12.5000"),
        "ratio": 0.1,
        "big": 2**60,
        "on": dt.date(2026, 2, 28),
        "at": dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC),
        "key": uuid.UUID(int=7),
        "raw": b"\x00\xff",
        "text": "é – 漢",
        "list": [1, None, True, {"b": 1, "a": [Decimal("0")]}],
    }

    with unit() as uow:
        record_audit_many(uow, "note", "odd", [AuditRow(None, values, None)])

    row = audit("note")[0]
    assert row.before == plain(values)
    assert row.before["amount"] == "12.5000"
    assert row.digest == payload_digest(row.salt, row.before, row.after)
