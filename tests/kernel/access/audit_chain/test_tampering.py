"""The hash chain of the audit log: any altered, deleted, inserted or reordered row is found."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.database import db
from tests.kernel.access.audit_chain.sealed_log import ROWS, delete_row, kinds, row_at


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "Mallory"),
        ("actor_uid", uuid.uuid4()),
        ("channel", "web"),
        ("request_id", "another"),
        ("action", "deleted"),
        ("record_type", "customer"),
        ("record_uid", None),
        ("at", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ("digest", "0" * 64),
        ("uid", uuid.uuid4()),
    ],
)
def test_every_altered_column_of_a_row_is_found_at_its_row(sealed, tamper, check, column, value):
    with tamper() as connection:
        if column == "uid":
            connection.execute(sa.delete(AuditPayload))
        connection.execute(sa.update(AuditLog).where(AuditLog.id == row_at(3)).values({column: value}))

    result = check()

    assert (result.findings[0].kind, result.findings[0].number) == ("altered", 3)


@pytest.mark.parametrize("column", ["before", "after"])
def test_altered_values_are_found_at_their_row(sealed, tamper, check, column):
    uid = sa.select(AuditLog.uid).where(AuditLog.id == row_at(4)).scalar_subquery()
    with tamper() as connection:
        connection.execute(sa.update(AuditPayload).where(AuditPayload.audit_uid == uid).values({column: {"n": 99}}))

    assert [(f.kind, f.number) for f in check().findings] == [("values", 4)]


def test_erased_values_leave_their_row_proven(sealed, tamper, check):
    uid = sa.select(AuditLog.uid).where(AuditLog.id == row_at(2)).scalar_subquery()
    with tamper() as connection:
        connection.execute(sa.delete(AuditPayload).where(AuditPayload.audit_uid == uid))

    assert (check().found, check().erased) == (0, 1)


@pytest.mark.parametrize("number", [1, 3, ROWS])
def test_a_deleted_row_is_found(sealed, tamper, check, number):
    key = row_at(number)
    with tamper() as connection:
        uid = connection.scalar(sa.select(AuditLog.uid).where(AuditLog.id == key))
        connection.execute(sa.delete(AuditPayload).where(AuditPayload.audit_uid == uid))
        connection.execute(sa.delete(AuditLog).where(AuditLog.uid == uid))

    assert [(f.kind, f.number) for f in check().findings] == [("deleted", number)]


def test_a_row_deleted_with_its_seal_is_found(sealed, tamper, check):
    with tamper() as connection:
        key = connection.scalar(sa.select(AuditSeal.audit_id).where(AuditSeal.number == 3))
        delete_row(connection, key)

    assert (kinds(check()), check().findings[0].number) == (["deleted"], 3)


def test_a_row_deleted_and_the_later_ones_renumbered_is_found(sealed, tamper, check):
    with tamper() as connection:
        delete_row(connection, connection.scalar(sa.select(AuditSeal.audit_id).where(AuditSeal.number == 3)))
        for number in range(4, ROWS + 1):
            connection.execute(sa.update(AuditSeal).where(AuditSeal.number == number).values(number=number - 1))

    assert (check().findings[0].kind, check().findings[0].number) == ("altered", 3)


def test_a_row_that_was_put_among_sealed_ones_is_found(sealed, tamper, check, seal):
    with tamper() as connection:
        first = connection.scalar(sa.select(sa.func.min(AuditLog.id)))
        forged = dict(connection.execute(sa.select(AuditLog).where(AuditLog.id == first)).mappings().one())
        forged |= {"id": first - 1, "uid": uuid.uuid4(), "actor": "Mallory"}
        connection.execute(sa.insert(AuditLog).values(forged))

    assert seal() == 0
    assert kinds(check()) == ["inserted"]


def test_a_row_put_in_with_a_seal_of_its_own_is_found(sealed, tamper, check):
    with tamper() as connection:
        forged = dict(connection.execute(sa.select(AuditLog).where(AuditLog.id == row_at(1))).mappings().one())
        forged |= {"id": forged["id"] + 1_000, "uid": uuid.uuid4()}
        connection.execute(sa.insert(AuditLog).values(forged))
        connection.execute(sa.insert(AuditSeal).values(number=ROWS + 1, audit_id=forged["id"], hash=bytes(32)))

    assert (kinds(check()), check().findings[0].number) == (["altered", "head"], ROWS + 1)


_TRICKS = ("alter", "values", "delete", "delete_with_seal", "swap", "swap_seals", "insert", "forge_hash")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trick=st.sampled_from(_TRICKS), one=st.integers(1, ROWS), step=st.integers(1, ROWS - 1))
def test_whatever_is_done_to_any_row_is_found(sealed, app, check, trick, one, step):
    other = (one + step - 1) % ROWS + 1
    with app.app_context(), db.engine.connect() as connection:
        keys = dict(connection.execute(sa.select(AuditSeal.number, AuditSeal.audit_id)).all())
        was = _content(connection)
    with app.app_context(), db.engine.begin() as connection:
        _play(connection, trick, one, other, keys)
    try:
        assert check().found > 0
    finally:
        with app.app_context(), db.engine.begin() as connection:
            _put_back(connection, was)

    assert check().found == 0


def _play(connection, trick, one, other, keys):
    log, seals = AuditLog.__table__, AuditSeal.__table__
    mine, theirs = log.c.id == keys[one], log.c.id == keys[other]
    if trick == "alter":
        connection.execute(sa.update(log).where(mine).values(actor=log.c.actor + "x"))
    elif trick == "values":
        uid = connection.scalar(sa.select(log.c.uid).where(mine))
        connection.execute(sa.update(AuditPayload).where(AuditPayload.audit_uid == uid).values(after={"n": -1}))
    elif trick == "delete":
        delete_row(connection, keys[one], keep_seal=True)
    elif trick == "delete_with_seal":
        delete_row(connection, keys[one])
    elif trick == "swap":
        for criterion, key in ((mine, -1), (theirs, keys[one]), (log.c.id == -1, keys[other])):
            connection.execute(sa.update(log).where(criterion).values(id=key))
    elif trick == "swap_seals":
        for number, key in ((one, -1), (other, keys[one]), (one, keys[other])):
            connection.execute(sa.update(seals).where(seals.c.number == number).values(audit_id=key))
    elif trick == "insert":
        copy = dict(connection.execute(sa.select(log).where(mine)).mappings().one())
        connection.execute(sa.insert(log).values({**copy, "id": -one, "uid": uuid.uuid4()}))
    else:
        connection.execute(sa.update(seals).where(seals.c.number == one).values(hash=bytes(32)))


def _content(connection):
    tables = [model.__table__ for model in (AuditLog, AuditPayload, AuditSeal, AuditHead)]
    return [(table, [dict(row) for row in connection.execute(sa.select(table)).mappings()]) for table in tables]


def _put_back(connection, was):
    for table, _rows in reversed(was):
        connection.execute(sa.delete(table))
    for table, rows in was:
        connection.execute(sa.insert(table), rows)
