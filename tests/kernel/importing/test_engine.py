"""Imports into both databases: verdicts, second runs, rehearsals, refused rows, transactions."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk import changed_records
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.importing import Mode, chunks, session

GOOD = "Ref,Name,Employees,Mail,Phone\nA1,Acme,12,sales@acme.com,+33 1 42 68 53 00\nA2,Bolt,,,\n"


def test_rows_become_records_with_their_parts(write, run, accounts, rows_of, verdicts):
    write("accounts.csv", GOOD)

    result = run(accounts)

    assert (verdicts(result), result.failure) == ({"created": 2}, None)
    assert rows_of("customer", "display_name", "employees", "primary_email") == [
        {"display_name": "Acme", "employees": 12, "primary_email": "sales@acme.com"},
        {"display_name": "Bolt", "employees": None, "primary_email": None},
    ]


def test_a_second_import_of_the_same_file_changes_nothing(write, run, accounts, crm_app, unit, verdicts):
    write("accounts.csv", GOOD.replace("sales@acme.com", "Sales@ACME.com"))
    run(accounts)
    with unit() as uow:
        before = (uow.session.scalar(sa.select(sa.func.count(AuditLog.id))), _versions(uow))

    result = run(accounts)

    assert verdicts(result) == {"unchanged": 2}
    with unit() as uow:
        assert (uow.session.scalar(sa.select(sa.func.count(AuditLog.id))), _versions(uow)) == before


def _versions(uow):
    return uow.session.execute(
        sa.select(Customer.id, Customer.version, Customer.updated_at).order_by(Customer.id)
    ).all()


def test_changed_values_update_the_record_and_new_contact_points_join_the_stored_ones(
    write, run, accounts, unit, verdicts
):
    write("accounts.csv", GOOD)
    run(accounts)
    write("accounts.csv", "Ref,Name,Employees,Mail,Phone\nA1,Acme SA,12,info@acme.com,\nA2,Bolt,,,\n")

    result = run(accounts)

    assert verdicts(result) == {"updated": 1, "unchanged": 1}
    with unit() as uow:
        customer = uow.session.scalars(sa.select(Customer).where(Customer.external_ref == "A1")).one()
        points = uow.session.scalars(sa.select(ContactPoint).order_by(ContactPoint.id)).all()
        assert customer.display_name == "Acme SA"
        assert [(p.value, p.is_primary) for p in points if p.channel == "email"] == [
            ("sales@acme.com", True),
            ("info@acme.com", False),
        ]
        logged = uow.session.scalars(sa.select(AuditLog.action).where(AuditLog.request_id == result.run_id)).all()
        assert logged == ["updated"]


def test_an_empty_cell_empties_the_field_unless_the_mapping_keeps_it(write, run, accounts, rows_of, verdicts):
    write("accounts.csv", GOOD)
    run(accounts)
    write("accounts.csv", "Ref,Name,Employees\nA1,Acme,\n")
    keeping = {**accounts, "columns": {**accounts["columns"], "Employees": {"field": "employees", "empty": "keep"}}}

    kept = verdicts(run(keeping))
    emptied = verdicts(run(accounts))

    assert (kept, emptied) == ({"unchanged": 1}, {"updated": 1})
    assert rows_of("customer", "employees")[0] == {"employees": None}


def test_a_rehearsal_tells_the_same_verdicts_and_writes_nothing(
    write, run, accounts, rows_of, recorded_events, verdicts
):
    write("accounts.csv", GOOD + "A3,Wrong,many,nobody,12\n")

    rehearsed = run(accounts, mode=Mode.DRY_RUN)

    assert rows_of("customer", "display_name") == []
    assert recorded_events() == []
    assert verdicts(run(accounts)) == verdicts(rehearsed) == {"created": 2, "refused": 1}


def test_a_wrong_row_is_refused_by_itself_with_column_value_and_expectation(write, run, accounts, rows_of, verdicts):
    write("accounts.csv", GOOD + "A3,Wrong,many,,\nA4,Mailless,,nobody,\nA5,Phoneless,,,12\n")
    errors = []

    result = run(accounts, report=errors.append)

    assert verdicts(result) == {"created": 2, "refused": 3}
    assert [(e.row, e.column, e.found) for e in errors] == [
        (4, "Employees", "many"),
        (5, "Mail", "nobody"),
        (6, "Mail", "") if errors[2].column == "Mail" else (6, "Phone", "12"),
    ]
    assert "Not a valid integer" in errors[0].expected
    assert "has no @" in errors[1].expected
    assert result.to_json()["sources"][0]["errors"][0]["row"] == 4
    json.dumps(result.to_json())
    assert len(rows_of("customer", "display_name")) == 2


def test_a_chunk_that_fails_leaves_the_earlier_ones_and_ends_the_run(
    write, run, accounts, rows_of, monkeypatch, verdicts
):
    monkeypatch.setattr(session, "CHUNK", 2)
    write("accounts.csv", "Ref,Name\n" + "".join(f"R{n},Name {n}\n" for n in range(6)))
    process = chunks.SourceRun.process

    def failing(self, uow, rows):
        outcome = process(self, uow, rows)
        if rows[0].number == 4:
            raise sa.exc.OperationalError("INSERT", {}, Exception("disk full"))
        return outcome

    monkeypatch.setattr(chunks.SourceRun, "process", failing)

    result = run(accounts)

    assert result.failure == "accounts.csv, rows 4 to 5: the database refused the transaction: disk full"
    assert verdicts(result) == {"created": 2}
    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Name 0", "Name 1"]
    monkeypatch.undo()
    assert verdicts(run(accounts)) == {"created": 4, "unchanged": 2}


def test_an_atomic_run_with_a_refused_row_writes_nothing(write, run, accounts, rows_of):
    write("accounts.csv", GOOD + "A3,Wrong,many,,\n")

    result = run(accounts, mode=Mode.ATOMIC)

    assert "nothing was written" in result.failure
    assert rows_of("customer", "display_name") == []


def test_the_same_key_twice_is_the_same_record_and_may_not_contradict_itself(
    write, run, accounts, monkeypatch, verdicts
):
    monkeypatch.setattr(session, "CHUNK", 2)
    write("accounts.csv", "Ref,Name\nA1,Acme\nA1,Acme\nA2,Bolt\nA1,Other\n")
    errors = []

    result = run(accounts, report=errors.append)

    assert verdicts(result) == {"created": 2, "skipped": 1, "refused": 1}
    assert [(e.row, e.column, e.found) for e in errors] == [(5, "Name", "Other")]
    assert "earlier row" in errors[0].expected


def test_distinct_takes_the_first_row_of_every_key(write, run, accounts, verdicts):
    write("accounts.csv", "Ref,Name\nA1,Acme\nA1,Other\nA2,Bolt\n")

    assert verdicts(run({**accounts, "distinct": True})) == {"created": 2, "skipped": 1}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("create", {"created": 1, "skipped": 1}),
        ("update", {"updated": 1, "skipped": 1}),
        ("upsert", {"created": 1, "updated": 1}),
    ],
)
def test_the_mode_says_which_rows_count(write, run, accounts, mode, expected, verdicts):
    write("accounts.csv", "Ref,Name\nA1,Acme\n")
    run(accounts)
    write("accounts.csv", "Ref,Name\nA1,Acme SA\nA2,Bolt\n")

    assert verdicts(run({**accounts, "mode": mode})) == expected


def test_rows_without_the_value_they_are_matched_by_are_refused(write, run, accounts):
    write("accounts.csv", "Ref,Name\n,Acme\n")
    errors = []

    run(accounts, report=errors.append)

    assert [(e.column, e.expected) for e in errors] == [
        ("Ref", "a value: rows are matched by source, external_ref"),
    ]


def test_a_unique_value_that_is_taken_refuses_that_row_only(write, run, verdicts):
    write("teams.csv", "Name\nNorth\nNorth\nSouth\n")
    source = {"file": "teams.csv", "record_type": "team", "columns": {"Name": "name"}}

    result = run(source)

    assert verdicts(result) == {"created": 2, "refused": 1}


def test_every_file_is_read_to_its_end_before_the_first_row_is_written(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)
    write("more.csv", "Ref,Name\n" + "R,Name\n" * 2_000 + "broken\n")

    with pytest.raises(InvalidInput, match=r"more\.csv: line 2002: found 1 cells, expected 2"):
        run(accounts, {**accounts, "file": "more.csv"})

    assert rows_of("customer", "display_name") == []


def test_one_bulk_event_per_transaction_names_its_records(write, run, accounts, recorded_events, unit, monkeypatch):
    monkeypatch.setattr(session, "CHUNK", 2)
    write("accounts.csv", "Ref,Name\nA1,Acme\nA2,Bolt\nA3,Corp\n")

    result = run(accounts)

    events = recorded_events(RecordsBulkChanged.name)
    assert [(e.run_id, e.record_type, e.created, e.updated) for e in events] == [
        (result.run_id, "customer", 2, 0),
        (result.run_id, "customer", 1, 0),
    ]
    with unit() as uow:
        uids = {row[0]: row[1] for row in uow.session.execute(sa.select(Customer.external_ref, Customer.uid))}
        assert changed_records(uow, events[0]) == [uids["A1"], uids["A2"]]
        assert changed_records(uow, events[1]) == [uids["A3"]]


def test_imported_records_are_found_by_the_search(write, run, accounts, crm_app):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import suggestions
    from crm_kernel.unit_of_work import reading

    write("accounts.csv", GOOD)
    run(accounts)
    write("accounts.csv", GOOD.replace("Bolt", "Écrou"))
    run(accounts)

    with crm_app.app_context(), reading(SYSTEM) as uow:
        found = {
            text: [hit["title"] for hit in suggestions(uow, record_type("customer"), text)]
            for text in ("acm", "ecr", "bolt")
        }
    assert found == {"acm": ["Acme"], "ecr": ["Écrou"], "bolt": []}
