"""The signed head: a lost end, an older state and a log written anew are found by it, or by one kept elsewhere."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access import audit_chain
from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.errors import Conflict, InvalidInput
from tests.kernel.access.audit_chain.sealed_log import ROWS, delete_row, kinds


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
