"""The audit log on pages, by API and as a file: who sees which entry, what it says, and what it never says."""

from __future__ import annotations

import csv
import io

import pytest
import sqlalchemy as sa

from crm_kernel.access.audit_reading.asking import entries, question_of
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import delete_record, update_record

MAY_READ = {"customer.read": "own", "audit.read": "all", "user.read": "all"}


@pytest.fixture
def change(unit, crm_app):
    """Change a customer as the system: ``change(customer, display_name="…")``."""

    def run(customer, **changes):
        with unit(channel="web") as uow:
            version = uow.session.get(type(customer), customer.id).version
            update_record(uow, record_type("customer"), customer.uid, changes, version=version)

    return run


@pytest.fixture
def renamed(customer_factory, change):
    """A customer whose name was changed from Aldgate to Bishopsgate."""
    customer = customer_factory(kind="organization", display_name="Aldgate")
    change(customer, display_name="Bishopsgate")
    return customer


def items_of(api, **query):
    answer = api.get("/api/audit", **query)
    assert answer.status_code == 200, answer.text
    return answer.json["items"]


def text_of(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return answer.get_data(as_text=True)


def test_an_entry_tells_each_field_before_and_after_in_words(renamed, api, login):
    [changed, _created] = items_of(api("administrator"), record=str(renamed.uid))
    name = next(found for found in changed["changes"] if found["field"] == "display_name")
    page = text_of(login("administrator"), f"/audit/{changed['id']}")

    assert (name["before"], name["after"]) == ("Aldgate", "Bishopsgate")
    assert "Aldgate" in page
    assert "Bishopsgate" in page


def test_a_record_leads_to_its_history(renamed, login):
    administrator = login("administrator")
    address = f"/audit?record_type=customer&amp;record={renamed.uid}"

    assert address in text_of(administrator, f"/customers/{renamed.uid}")
    assert "History of Bishopsgate" in text_of(administrator, address.replace("&amp;", "&"))


def test_references_are_told_by_title_and_keys_of_the_database_by_nothing(renamed, change, api, login):
    owner = login("representative", name="Olive Owner").user
    change(renamed, owner=str(owner.uid))

    entry = items_of(api("administrator"), record=str(renamed.uid))[0]
    told = next(found for found in entry["changes"] if found["field"] == "owner")

    assert told["after"] == {"id": str(owner.uid), "title": "Olive Owner"}
    assert "owner_id" not in str(entry)


def test_entries_of_a_record_are_for_those_who_see_it(renamed, change, api):
    owner, stranger = api(grants=MAY_READ), api(grants=MAY_READ)
    change(renamed, owner=str(owner.user.uid))
    [entry, *_rest] = items_of(owner, record=str(renamed.uid))

    assert items_of(stranger, record=str(renamed.uid)) == []
    assert stranger.get(f"/api/audit/{entry['id']}").status_code == 404
    assert owner.get(f"/api/audit/{entry['id']}").status_code == 200


def test_fields_that_roles_hide_are_told_nowhere(renamed, change, unit, api, login):
    change(renamed, industry="Smuggling")
    with unit() as uow:
        restrict_field(uow, role_named(uow, "reader"), "customer", "industry", "hidden")
    reader, page = api("reader"), login("reader")

    entries = items_of(reader, record=str(renamed.uid))
    shown = str(entries) + text_of(page, f"/audit/{entries[0]['id']}")

    assert len(entries) == 3
    assert "Smuggling" not in shown
    assert "Smuggling" in str(items_of(api("administrator"), record=str(renamed.uid)))


def test_without_oversight_one_sees_the_history_of_records_and_what_one_did(renamed, login, api):
    reader = api("reader")

    assert items_of(reader) == []
    assert items_of(reader, record=str(renamed.uid)) != []
    assert "State of the log" not in text_of(login("reader"), "/audit")
    assert reader.get("/audit/export.csv").status_code == 403


def test_deleted_records_and_entries_of_no_record_are_for_those_who_oversee_the_log(customer_factory, unit, api, login):
    gone = customer_factory(kind="organization", display_name="Gone")
    with unit() as uow:
        delete_record(uow, record_type("customer"), gone.uid, version=1)
    login("administrator").get("/customers/export.csv")
    administrator, limited = api("administrator"), api(grants=MAY_READ)

    assert [entry["action"] for entry in items_of(administrator, record=str(gone.uid))] == ["deleted", "created"]
    assert items_of(limited, record=str(gone.uid)) == []
    assert [entry["record_type"] for entry in items_of(administrator, action="exported")] == ["customer"]


def test_every_argument_limits_the_list_and_others_are_refused(renamed, api):
    administrator = api("administrator")
    entry = items_of(administrator, record=str(renamed.uid))[0]

    for name in ("action", "channel"):
        assert {found[name] for found in items_of(administrator, **{name: entry[name]})} == {entry[name]}
    assert [found["id"] for found in items_of(administrator, request=entry["request_id"])] == [entry["id"]]
    assert items_of(administrator, since="2000-01-01", until="2000-01-02") == []
    assert entry["id"] in {found["id"] for found in items_of(administrator, since="2000-01-01")}
    for wrong in ({"sort": "at"}, {"since": "yesterday"}, {"record": "1"}, {"limit": "0"}):
        assert administrator.get("/api/audit", **wrong).status_code == 422, wrong
    assert api("reader").get("/api/audit", who="system").status_code == 422


def test_pages_follow_each_other_without_gap_or_repetition(renamed, api):
    administrator = api("administrator")
    whole, paged, cursor = items_of(administrator), [], {}

    while cursor is not None:
        answer = administrator.get("/api/audit", limit="2", **cursor).json
        paged += answer["items"]
        cursor = {"before": answer["next_cursor"]} if answer["next_cursor"] else None

    assert [entry["id"] for entry in paged] == [entry["id"] for entry in whole]


def test_an_export_is_a_file_that_no_spreadsheet_runs_and_leaves_one_entry(renamed, change, login, api):
    change(renamed, display_name="=1+1")

    answer = login("administrator").get(f"/audit/export.csv?record={renamed.uid}")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    [noted] = items_of(api("administrator"), action="exported")

    assert [row["action"] for row in rows] == ["updated", "updated", "created"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert (noted["record_type"], noted["changes"][0]["field"]) == ("audit_log", "record")


def test_the_state_of_the_log_shows_its_head_and_the_last_verification(renamed, unit, login, deliver_events):
    administrator = login("administrator")
    before = text_of(administrator, "/audit")
    administrator.post("/audit/verify")
    deliver_events()
    intact = text_of(administrator, "/audit")
    with unit() as uow:
        uow.session.execute(sa.update(AuditLog).values(actor="Mallory"))
    administrator.post("/audit/verify")
    deliver_events()

    assert "Not verified yet" in before
    assert "Intact" in intact
    assert "Altered: " in text_of(administrator, "/audit")


def test_erased_values_are_said_to_be_erased(renamed, unit, api, login):
    entry = items_of(api("administrator"), record=str(renamed.uid))[0]
    with unit() as uow:
        uow.session.execute(sa.delete(AuditPayload))

    assert "erased with the person" in text_of(login("administrator"), f"/audit/{entry['id']}")


def test_a_list_costs_a_fixed_number_of_queries(customer_factory, change, login, count_queries):
    administrator = login("administrator")
    for number in range(12):
        change(customer_factory(kind="organization", display_name=f"Firm {number}"), display_name=f"House {number}")

    with count_queries() as queries:
        text_of(administrator, "/audit?record_type=customer")

    queries.at_most(6)


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"record_type": "customer", "record": "01990000-0000-7000-8000-000000000001"}, "ix_audit_log_record_type"),
        ({"who": "Olive"}, "ix_audit_log_actor_uid"),
        ({"request": "abc"}, "ix_audit_log_request_id"),
        ({}, "SCAN audit_log"),
    ],
)
def test_a_page_is_read_along_an_index_and_never_sorted_as_a_whole(unit, login, arguments, expected):
    login("administrator", name="Olive")
    seen = []

    def note(_connection, _cursor, statement, parameters, *_rest):
        seen.append((statement, parameters))

    with unit() as uow:
        question = question_of(uow, arguments)
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            entries(uow, question)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        [(statement, parameters)] = seen
        rows = uow.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = " ".join(row[3] for row in rows)

    assert expected in plan, plan
    # One request has few entries: to sort them costs nothing.
    assert "TEMP B-TREE" not in plan or "request" in arguments, plan
