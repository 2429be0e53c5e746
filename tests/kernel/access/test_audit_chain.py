"""The hash chain of the audit log: any altered, deleted, inserted or reordered row and a lost end are found."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access import audit_chain
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.audit_chain.heads import head_of
from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.database import db
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.unit_of_work import reading, writing

ROWS = 6


@pytest.fixture
def write(unit):
    """Leave audit rows, one transaction each: ``write(3)``."""

    def rows(count):
        for number in range(count):
            with unit() as uow:
                record_audit_many(uow, "note", "updated", [AuditRow(uuid.uuid4(), {"n": number}, {"n": number + 1})])

    return rows


@pytest.fixture
def seal(unit):
    """Seal everything there is and return how many rows."""
    return lambda: audit_chain.seal_all(unit)


@pytest.fixture
def check(app):
    """Verify the log: ``check(kept_head=…)``."""

    def verified(**options):
        with app.app_context(), reading(SYSTEM) as uow:
            return audit_chain.verify(uow, **options)

    return verified


@pytest.fixture
def tamper(app):
    """Reach into the database past the application, in one transaction: ``with tamper() as connection``."""

    @contextmanager
    def opened():
        with app.app_context(), db.engine.begin() as connection:
            yield connection

    return opened


@pytest.fixture
def head(app):
    """Export the head: ``head()``."""

    def exported():
        with app.app_context(), reading(SYSTEM) as uow:
            return audit_chain.exported_head(head_of(uow))

    return exported


@pytest.fixture
def sealed(write, seal):
    """Leave a log of six sealed rows."""
    write(ROWS)
    assert seal() == ROWS


def kinds(result):
    return [finding.kind for finding in result.findings]


def row_at(number):
    """Select the key of the audit row with this place in the chain."""
    return sa.select(AuditSeal.audit_id).where(AuditSeal.number == number).scalar_subquery()


def test_a_log_that_nobody_touched_is_intact(sealed, check, head):
    result = check()

    assert (result.found, result.sealed, result.unsealed, result.erased) == (0, ROWS, 0, 0)
    assert result.head == head()


def test_an_empty_log_is_intact(check):
    assert (check().found, check().head["number"]) == (0, 0)


def test_sealing_goes_on_where_it_stopped(sealed, write, seal, check):
    write(2)
    before = check()

    assert (seal(), seal()) == (2, 0)
    assert (before.sealed, before.unsealed) == (ROWS, 2)
    assert (check().sealed, check().unsealed) == (ROWS + 2, 0)


def test_chunks_make_the_same_chain_as_one_piece(write, unit, check):
    write(5)

    counts = []
    while not counts or counts[-1] == 2:
        with unit() as uow:
            counts.append(audit_chain.seal_some(uow, limit=2))

    assert counts == [2, 2, 1]
    assert (check().found, check().sealed) == (0, 5)


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


def test_an_end_that_was_cut_off_is_found(sealed, tamper, check, seal):
    with tamper() as connection:
        for number in (ROWS - 1, ROWS):
            delete_row(connection, connection.scalar(sa.select(AuditSeal.audit_id).where(AuditSeal.number == number)))

    assert [(f.kind, f.number) for f in check().findings] == [("truncated", ROWS - 1)]
    with pytest.raises(Conflict, match="ends at row 4, its head says 6"):
        seal()


def test_an_end_that_was_cut_off_with_a_forged_head_is_found(sealed, tamper, check, seal):
    with tamper() as connection:
        delete_row(connection, connection.scalar(sa.select(AuditSeal.audit_id).where(AuditSeal.number == ROWS)))
        last = connection.scalar(sa.select(AuditSeal.hash).where(AuditSeal.number == ROWS - 1))
        connection.execute(sa.update(AuditHead).values(number=ROWS - 1, hash=last))

    assert kinds(check()) == ["head"]
    with pytest.raises(Conflict, match="crm audit head --accept"):
        seal()


def test_a_log_put_back_whole_to_an_older_state_is_found_with_a_head_kept_elsewhere(
    sealed, write, seal, tamper, check, head
):
    with tamper() as connection:
        old = connection.execute(sa.select(AuditHead)).mappings().one()
    write(2)
    seal()
    kept = head()
    with tamper() as connection:
        for number in (ROWS + 1, ROWS + 2):
            delete_row(connection, connection.scalar(sa.select(AuditSeal.audit_id).where(AuditSeal.number == number)))
        connection.execute(sa.update(AuditHead).values(dict(old)))

    assert check().found == 0
    assert kinds(check(kept_head=kept)) == ["truncated"]


def test_a_log_written_anew_by_whoever_has_the_key_is_found_with_a_head_kept_elsewhere(
    sealed, write, seal, tamper, check, head
):
    kept = head()
    with tamper() as connection:
        for table in (AuditHead, AuditSeal, AuditPayload, AuditLog):
            connection.execute(sa.delete(table))
    write(ROWS + 1)
    seal()

    assert check().found == 0
    assert kinds(check(kept_head=kept)) == ["kept_head"]


def test_a_kept_head_that_is_still_contained_is_no_finding(sealed, write, seal, check, head):
    kept = head()
    write(1)
    seal()

    assert check(kept_head=kept).found == 0


def test_a_kept_head_that_is_none_is_refused(check):
    with pytest.raises(InvalidInput, match="crm audit head --json"):
        check(kept_head={"number": "many"})


def test_a_lost_head_is_found(sealed, tamper, check):
    with tamper() as connection:
        connection.execute(sa.delete(AuditHead))

    assert kinds(check()) == ["head"]


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


def test_a_head_is_accepted_again_after_the_key_was_changed(sealed, unit, app, check, seal, audit):
    app.config["SECRET_KEY"], old = "another key " * 4, app.config["SECRET_KEY"]
    try:
        before = kinds(check())
        with unit() as uow:
            audit_chain.accept_head(uow)

        assert (before, seal(), kinds(check())) == (["head"], 1, [])
        assert (audit("audit_log")[0].action, audit("audit_log")[0].after["number"]) == ("head_accepted", ROWS)
    finally:
        app.config["SECRET_KEY"] = old


def test_a_head_that_is_not_there_cannot_be_accepted(unit):
    with pytest.raises(Conflict, match="crm audit head"), unit() as uow:
        audit_chain.accept_head(uow)


def test_a_row_that_is_committed_after_a_later_one_was_sealed_joins_the_chain(app, unit, write, seal, check):
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
    write(1)
    with app.app_context(), writing(SYSTEM) as slow:
        record_audit_many(slow, "note", "created", [AuditRow(uuid.uuid4(), None, {"text": "slow"})])
        slow.session.flush()
        in_threads(lambda: (write(2), seal(), seal(), write(1), seal()))

    assert (seal(), seal()) == (1, 0)
    assert (check().found, check().sealed, check().unsealed) == (0, 5, 0)


def test_sealing_twice_at_once_seals_each_row_once(app, write, seal, check):
    write(40)

    counts = in_threads(seal, seal, seal)

    assert sum(counts) == 40
    assert (check().found, check().sealed) == (0, 40)


def test_sealing_looks_only_at_what_is_new(sealed, app, unit, seal, write):
    write(1)
    seal()

    with unit() as uow:
        assert head_of(uow).settled_id == uow.session.scalar(sa.select(sa.func.max(AuditLog.id)))


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


def delete_row(connection, key, *, keep_seal=False):
    uid = connection.scalar(sa.select(AuditLog.uid).where(AuditLog.id == key))
    connection.execute(sa.delete(AuditPayload).where(AuditPayload.audit_uid == uid))
    connection.execute(sa.delete(AuditLog).where(AuditLog.id == key))
    if not keep_seal:
        connection.execute(sa.delete(AuditSeal).where(AuditSeal.audit_id == key))


def in_threads(*actions):
    """Call each action in a thread of its own, all at once; return their results in order."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(action) for action in actions]]
