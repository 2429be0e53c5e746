"""Imports into both databases: verdicts, second runs, rehearsals, refused rows, transactions, permissions."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.errors import Forbidden, InvalidInput, NotFound
from crm_kernel.records.bulk import changed_records, update_many
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.importing import Mode, Verdict, chunks, session

GOOD = "Ref,Name,Employees,Mail,Phone\nA1,Acme,12,sales@acme.com,+33 1 42 68 53 00\nA2,Bolt,,,\n"


def verdicts(result):
    return {verdict.value: number for verdict in Verdict if (number := result.total(verdict))}


def test_rows_become_records_with_their_parts(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)

    result = run(accounts)

    assert (verdicts(result), result.failure) == ({"created": 2}, None)
    assert rows_of("customer", "display_name", "employees", "primary_email") == [
        {"display_name": "Acme", "employees": 12, "primary_email": "sales@acme.com"},
        {"display_name": "Bolt", "employees": None, "primary_email": None},
    ]


def test_a_second_import_of_the_same_file_changes_nothing(write, run, accounts, crm_app, unit):
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


def test_changed_values_update_the_record_and_new_contact_points_join_the_stored_ones(write, run, accounts, unit):
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


def test_an_empty_cell_empties_the_field_unless_the_mapping_keeps_it(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)
    run(accounts)
    write("accounts.csv", "Ref,Name,Employees\nA1,Acme,\n")
    keeping = {**accounts, "columns": {**accounts["columns"], "Employees": {"field": "employees", "empty": "keep"}}}

    kept = verdicts(run(keeping))
    emptied = verdicts(run(accounts))

    assert (kept, emptied) == ({"unchanged": 1}, {"updated": 1})
    assert rows_of("customer", "employees")[0] == {"employees": None}


def test_a_rehearsal_tells_the_same_verdicts_and_writes_nothing(write, run, accounts, rows_of, recorded_events):
    write("accounts.csv", GOOD + "A3,Wrong,many,nobody,12\n")

    rehearsed = run(accounts, mode=Mode.DRY_RUN)

    assert rows_of("customer", "display_name") == []
    assert recorded_events() == []
    assert verdicts(run(accounts)) == verdicts(rehearsed) == {"created": 2, "refused": 1}


def test_a_wrong_row_is_refused_by_itself_with_column_value_and_expectation(write, run, accounts, rows_of):
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


def test_a_chunk_that_fails_leaves_the_earlier_ones_and_ends_the_run(write, run, accounts, rows_of, monkeypatch):
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


def test_the_same_key_twice_is_the_same_record_and_may_not_contradict_itself(write, run, accounts, monkeypatch):
    monkeypatch.setattr(session, "CHUNK", 2)
    write("accounts.csv", "Ref,Name\nA1,Acme\nA1,Acme\nA2,Bolt\nA1,Other\n")
    errors = []

    result = run(accounts, report=errors.append)

    assert verdicts(result) == {"created": 2, "skipped": 1, "refused": 1}
    assert [(e.row, e.column, e.found) for e in errors] == [(5, "Name", "Other")]
    assert "earlier row" in errors[0].expected


def test_distinct_takes_the_first_row_of_every_key(write, run, accounts):
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
def test_the_mode_says_which_rows_count(write, run, accounts, mode, expected):
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


def test_a_unique_value_that_is_taken_refuses_that_row_only(write, run):
    write("teams.csv", "Name\nNorth\nNorth\nSouth\n")
    source = {"file": "teams.csv", "record_type": "team", "columns": {"Name": "name"}}

    result = run(source)

    assert verdicts(result) == {"created": 2, "refused": 1}


def test_references_are_found_by_a_field_created_or_left_empty(write, run, rows_of):
    write("teams.csv", "Team,Under\nNorth,\nLille,North\nLyon,South\nBrest,\n")
    source = {"file": "teams.csv", "record_type": "team", "match": "name"}
    columns = {"Team": "name", "Under": {"field": "parent", "lookup": {"missing": "error"}}}

    refused = verdicts(run({**source, "columns": columns}, mode=Mode.DRY_RUN))
    columns["Under"]["lookup"]["missing"] = "null"
    empty = verdicts(run({**source, "columns": columns}, mode=Mode.DRY_RUN))
    columns["Under"]["lookup"]["missing"] = "create"
    created = run({**source, "columns": columns})

    assert refused == {"created": 3, "refused": 1} or refused == {"created": 2, "refused": 2}
    assert empty == {"created": 4}
    assert {row["name"]: row["parent"] and row["parent"]["title"] for row in rows_of("team", "name", "parent")} == {
        "North": None, "South": None, "Lille": "North", "Lyon": "South", "Brest": None,
    }  # fmt: skip
    assert created.failure is None


def test_value_maps_inline_rows_and_values_of_another_file(write, run, rows_of):
    write("regions.csv", "Agent,Region\nAda,North\n")
    write("accounts.csv", "Name,State,Agent\nAcme,Good,Ada\nBolt,Bad,Bob\nCorp,Ugly,Ada\n")
    teams = {"record_type": "team", "match": "name", "rows": [{"name": "North"}]}
    source = {
        "file": "accounts.csv",
        "record_type": "customer",
        "match": ["source", "external_ref"],
        "columns": {
            "Name": ["external_ref", "display_name"],
            "State": {"field": "stage", "values": {"Good": "customer", "Bad": "former"}},
            "Agent": [
                {"field": "region", "values_from": {"file": "regions.csv", "key": "Agent", "value": "Region"}},
                {"field": "team", "values": {"Ada": "North", "Bob": ""}, "lookup": {"by": "name"}},
            ],
        },
        "constants": {"kind": "organization", "source": "test"},
    }
    errors = []

    result = run(teams, source, report=errors.append)

    assert verdicts(result) == {"created": 3, "refused": 1}
    assert [(e.column, e.found, e.expected) for e in errors] == [("State", "Ugly", "one of: Good, Bad")]
    assert [
        (r["stage"], r["region"], r["team"] and r["team"]["title"])
        for r in rows_of("customer", "stage", "region", "team")
    ] == [
        ("customer", "North", "North"),
        ("former", None, None),
    ]


def test_texts_are_made_of_columns(write, run, accounts, rows_of):
    write("accounts.csv", "Ref,Name,Town\nA1,Acme,Paris\nA2,Bolt,\n")
    source = {**accounts, "columns": {"Ref": "external_ref"}, "texts": {"display_name": "{Name} {Town}"}}

    run(source)

    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme Paris", "Bolt"]
    with pytest.raises(InvalidInput, match="expected columns in braces: Ref, Name, Town"):
        run({**source, "texts": {"display_name": "{Nom}"}})


def test_every_file_is_read_to_its_end_before_the_first_row_is_written(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)
    write("more.csv", "Ref,Name\n" + "R,Name\n" * 2_000 + "broken\n")

    with pytest.raises(InvalidInput, match=r"more\.csv: line 2002: found 1 cells, expected 2"):
        run(accounts, {**accounts, "file": "more.csv"})

    assert rows_of("customer", "display_name") == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"file": "missing.csv"}, InvalidInput, "missing.csv: no such file in"),
        ({"columns": {"Nom": "display_name"}}, InvalidInput, "accounts.csv: has no column 'Nom'; found: Ref, Name"),
        (
            {"columns": {"Name": "nickname"}},
            InvalidInput,
            "nickname: customer has no such field to import; known: id, kind",
        ),
        ({"columns": {"Name": "sort_name"}}, InvalidInput, "sort_name: customer has no such field to import"),
        ({"columns": {"Name": "contact_points.pigeon"}}, InvalidInput, "unknown part; known: contact_points.email"),
        ({"record_type": "customers"}, NotFound, "There is no record type 'customers'"),
        ({"match": "shoe_size"}, InvalidInput, "match shoe_size: cannot be matched by; known: id"),
        (
            {"match": ["kind", "sauce"], "mode": "merge"},
            InvalidInput,
            "mode: found 'merge', expected upsert or create or update",
        ),
        ({"colums": {}}, InvalidInput, "source 1: colums: unknown entry: found 'colums'"),
        ({"timezone": "Paris"}, InvalidInput, "timezone: found 'Paris', expected for example Europe/Paris"),
    ],
)
def test_a_wrong_mapping_is_refused_naming_the_entry(write, run, accounts, change, error, message):
    write("accounts.csv", GOOD)

    with pytest.raises(error) as refused:
        run({**accounts, **change})

    assert message in str(refused.value)


def test_an_optional_file_may_be_missing(write, run, accounts):
    write("accounts.csv", GOOD)

    result = run(accounts, {**accounts, "file": "more.csv", "optional": True})

    assert [source.file for source in result.sources] == ["accounts.csv"]


def test_french_numbers_and_dates_are_understood(write, run, rows_of):
    content = "Nom;CA;Naissance\nDupont;1 234,50;25/04/1980\nDurand;7;01/02/1981\n"
    write("a.csv", content.encode("cp1252"))
    source = {
        "file": "a.csv",
        "record_type": "customer",
        "columns": {"Nom": "family_name", "Naissance": "birth_date"},
        "constants": {"kind": "person"},
    }
    products = {
        "file": "a.csv",
        "record_type": "product",
        "match": "sku",
        "columns": {"Nom": ["sku", "name"], "CA": "unit_price"},
        "constants": {"currency": "EUR"},
    }

    result = run(source, products)

    assert verdicts(result) == {"created": 4}
    assert [row["birth_date"] for row in rows_of("customer", "birth_date")] == [
        dt.date(1980, 4, 25),
        dt.date(1981, 2, 1),
    ]
    assert [str(row["unit_price"]) for row in rows_of("product", "unit_price")] == ["1234.5000", "7.0000"]
    assert result.sources[0].detected["dates"] == "day-first (found 25/04/1980)"
    assert result.sources[1].detected["decimal"] == ", (found 1 234,50)"


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


def test_an_actor_without_permission_is_refused_before_anything(write, run, accounts, rows_of):
    write("accounts.csv", GOOD)
    reader = Actor(kind="user", name="Reader", user_id=1, grants={"customer.read": Scope.ALL})

    with pytest.raises(Forbidden, match=r"customer\.create"):
        run(accounts, actor=reader)

    assert rows_of("customer", "display_name") == []


def test_an_import_does_not_reach_records_the_actor_cannot_see(write, run, accounts, rows_of, unit):
    from crm_kernel.access.services import create_user

    write("accounts.csv", GOOD)
    run(accounts)
    with unit() as uow:
        user = create_user(uow, email="rep@example.com", name="Rep")
        grants = {"customer.*": Scope.OWN}
        actor = Actor(kind="user", name="Rep", user_id=user.id, user_uid=user.uid, grants=grants)
    write("accounts.csv", GOOD.replace("Acme", "Stolen") + "A9,Mine,,,\n")

    result = run(accounts, actor=actor)

    assert verdicts(result) == {"created": 1, "refused": 2}
    assert {row["display_name"] for row in rows_of("customer", "display_name")} == {"Acme", "Bolt", "Mine"}
    assert rows_of("customer", "display_name", actor=actor) == [{"display_name": "Mine"}]


@pytest.fixture
def office(write, run, accounts, unit):
    """Four stored accounts: of a representative, of his team, of another team and of nobody; gives the actor."""
    from crm_kernel.access.services import create_team, create_user

    write("accounts.csv", "Ref,Name,Employees\nA1,Own,1\nA2,Team,1\nA3,Foreign,1\nA4,Free,1\n")
    run(accounts)
    with unit() as uow:
        north, south = create_team(uow, name="North"), create_team(uow, name="South")
        rep = create_user(uow, email="rep@example.com", name="Rep", team_id=north.id)
        mate = create_user(uow, email="mate@example.com", name="Mate", team_id=north.id)
        other = create_user(uow, email="other@example.com", name="Other", team_id=south.id)
        for name, owner in (("Own", rep), ("Team", mate), ("Foreign", other)):
            statement = sa.update(Customer).where(Customer.display_name == name)
            uow.session.execute(statement.values(owner_id=owner.id, team_id=owner.team_id))
        known = {"user_id": rep.id, "user_uid": rep.uid, "team_ids": (north.id,)}

    def actor(scope):
        grants = {"customer.read": Scope.ALL, "customer.create": Scope.ALL, "customer.update": scope}
        return Actor(kind="user", name="Rep", grants=grants, **known)

    return actor


@pytest.mark.parametrize(
    ("scope", "expected", "rows"),
    [
        (Scope.OWN, {"created": 1, "updated": 1, "unchanged": 1, "refused": 2}, [3, 4]),
        (Scope.TEAM, {"created": 1, "updated": 2, "unchanged": 1, "refused": 1}, [4]),
    ],
)
def test_rows_about_records_the_actor_sees_and_may_not_change_are_refused_by_themselves(
    write, run, accounts, office, rows_of, scope, expected, rows
):
    # The last stored one is nobody's, and the file says what is stored: there is nothing to refuse.
    write("accounts.csv", "Ref,Name,Employees\nA1,Own,2\nA2,Team,2\nA3,Foreign,2\nA4,Free,1\nA5,New,2\n")

    result = run(accounts, actor=office(scope))

    assert (verdicts(result), result.failure) == (expected, None)
    assert [error.row for error in result.sources[0].errors] == rows
    assert "a record that Rep may change" in result.sources[0].errors[0].expected
    stored = {row["display_name"]: row["employees"] for row in rows_of("customer", "display_name", "employees")}
    assert (stored["Own"], stored["Foreign"], stored["New"]) == (2, 1, 2)


def test_a_record_that_a_modules_policy_protects_refuses_its_row_only(write, run, accounts, rows_of, monkeypatch):
    write("accounts.csv", GOOD)
    run(accounts)

    def write_or_refuse(uow, record_type, changes, *, extensions=None):
        names = [row.get("display_name") for row in changes.values()]
        if "Stolen" in names:
            raise Forbidden("Acme is protected.")
        return update_many(uow, record_type, changes, extensions=extensions)

    monkeypatch.setattr(chunks, "update_many", write_or_refuse)
    write("accounts.csv", GOOD.replace("Acme", "Stolen").replace("Bolt", "Nut"))

    result = run(accounts)

    assert (verdicts(result), result.failure) == ({"updated": 1, "refused": 1}, None)
    assert {row["display_name"] for row in rows_of("customer", "display_name")} == {"Acme", "Nut"}


CARDS = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nTEL:12\r\nTEL:+33612345678\r\nEMAIL:ada at home\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bob\r\nTEL;TYPE=CELL:+33 6 12 34 56 79\r\nTEL;TYPE=CELL:+33612345679\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n"
)


@pytest.fixture
def import_cards(write, crm_app):
    """Import ``CARDS`` and return the result and what was reported: by the mapping of a test, else by the plain one."""

    def run():
        from crm_kernel.access.actor import SYSTEM
        from crm_kernel.records.importing import import_file
        from crm_kernel.records.importing.mapping import plain_mapping

        path, reported = write("a.vcf", CARDS), []
        with crm_app.app_context():
            return import_file(plain_mapping(path, "customer"), path, actor=SYSTEM, report=reported.append), reported

    return run


def test_a_wrong_number_is_left_out_of_its_card_and_told_and_the_person_is_kept(import_cards, rows_of):
    result, reported = import_cards()

    assert verdicts(result) == {"created": 2, "refused": 1}
    told = {(left.row, left.column, left.found, left.refused) for left in result.sources[0].warnings}
    assert told == {(1, "EMAIL", "ada at home", False), (1, "TEL", "12", False)}
    assert "too short for a phone number" in next(w.expected for w in reported if w.column == "TEL")
    assert (result.left_out, result.to_json()["left_out"], len(reported)) == (2, 2, 3)
    assert rows_of("customer", "display_name", "primary_email", "primary_phone") == [
        {"display_name": "Ada Lovelace", "primary_email": None, "primary_phone": "+33612345678"},
        {"display_name": "Bob", "primary_email": None, "primary_phone": "+33 6 12 34 56 79"},
    ]


@pytest.mark.parametrize("day", ["1604-05-12", "2999-05-12"])
def test_a_birthday_that_is_none_is_left_out_of_its_card_and_told(write, crm_app, rows_of, day):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import import_file
    from crm_kernel.records.importing.mapping import plain_mapping

    path = write("b.vcf", f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nBDAY:{day}\r\nEND:VCARD\r\n")
    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert verdicts(result) == {"created": 1}
    assert [(left.column, left.found) for left in result.sources[0].warnings] == [("BDAY", day)]
    assert rows_of("customer", "birth_date") == [{"birth_date": None}]


def test_a_row_with_an_implausible_birthday_or_revenue_is_refused_and_named(write, run):
    write("a.csv", "Name,Born\nDupont,2999-05-12\nDurand,1849-01-01\nMartin,1980-05-12\n")
    write("b.csv", "Name,Revenue,Staff\nAcme,-5,1\nBolt,5,-1\n")
    people = {
        "file": "a.csv",
        "record_type": "customer",
        "columns": {"Name": "family_name", "Born": "birth_date"},
        "constants": {"kind": "person"},
    }
    firms = {
        "file": "b.csv",
        "record_type": "customer",
        "columns": {"Name": "display_name", "Revenue": "annual_revenue", "Staff": "employees"},
        "constants": {"kind": "organization", "revenue_currency": "EUR"},
    }

    result = run(people, firms)

    assert verdicts(result) == {"created": 1, "refused": 4}
    assert [error.column for source in result.sources for error in source.errors] == [
        "Born",
        "Born",
        "Revenue",
        "Staff",
    ]


def test_a_card_that_names_nobody_is_refused_by_its_place_in_the_file(import_cards):
    result, _reported = import_cards()

    [refused] = result.sources[0].errors
    assert (refused.row, refused.expected) == (3, "card 3 names nobody: expected FN, N, ORG or EMAIL")


def test_a_card_with_a_full_name_alone_becomes_a_person_with_names(import_cards, rows_of):
    import_cards()

    assert rows_of("customer", "given_name", "family_name") == [
        {"given_name": "Ada", "family_name": "Lovelace"},
        {"given_name": None, "family_name": "Bob"},
    ]


def test_cards_are_imported_once_however_often_the_file_is(write, crm_app, tmp_path, rows_of):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import import_file
    from crm_kernel.records.importing.mapping import plain_mapping

    path = write(
        "a.vcf",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nN:Lovelace;Ada;;;\r\nEMAIL:ada@example.org\r\n"
        "TEL;TYPE=CELL:+33612345678\r\nADR;TYPE=HOME:;;12 rue de Rivoli;Paris;;75001;France\r\nEND:VCARD\r\n"
        "BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n",
    )

    with crm_app.app_context():
        mapping = plain_mapping(path, "customer")
        results = [import_file(mapping, path, actor=SYSTEM) for _time in range(2)]

    assert [verdicts(result) for result in results] == [{"created": 1, "refused": 1}, {"unchanged": 1, "refused": 1}]
    assert rows_of("customer", "display_name", "primary_email", "city") == [
        {"display_name": "Ada Lovelace", "primary_email": "ada@example.org", "city": "Paris"}
    ]
