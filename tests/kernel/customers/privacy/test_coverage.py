"""Every table of the kernel and of the module sfa is either reached by erasing or excused, with the reason.

Fails when a column points at a customer, is marked personal, or is merely called like something personal, and nobody has
thought of what erasing does to it.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
import sqlalchemy as sa

from crm_kernel.customers.privacy.anonymising import deleted_tables, naming_columns
from crm_kernel.customers.privacy.subject import Fate, SubjectMap
from crm_kernel.data_map.columns import covered_columns

#: The kernel's tests also run where no module is installed.
MODULES = ("sfa",) if find_spec("crm_sfa") else ()
pytestmark = pytest.mark.crm_plugins(*MODULES)

#: Tables that hold something personal and are not reached along keys, and what erasing does instead.
BESIDE = {
    "audit_log": "keeps ids; names the staff, not customers",
    "audit_payload": "deleted by the ids of the log's rows",
    "import_row": "its values are emptied by the record's id; rows without a record expire after 30 days",
    "bulk_row": "its reason is emptied by the record's id",
    "search_entry": "deleted by the record's key",
    "event": "keeps ids, which lead to nobody any more",
    "job": "what is over or dead is emptied by the ids in its payload (job_subject), its partition and its event",
    "webhook_delivery": "its error is emptied by its event's customer",
    "webhook_attempt": "what was answered is emptied by its delivery's event",
    "webhook_message": "emptied by the id in its result (webhook_message_subject); what became no record expires",
    "notification": "its reference is removed; its text is a kind's, with plain facts only",
}
#: What a column is called that holds something personal.
PERSONAL = re.compile(
    r"(^|_)(e?mail|phone|mobile|fax|birth|street|postal|zip|given|family|surname|first_name|last_name|display_name|iban|"
    r"ip|user_agent|notes?|summary|body|address)(_|$)"
)
#: Columns called so that hold nothing of a customer, and why.
EXCUSED = {
    ("app_user", "email"): "staff",
    ("invitation", "email"): "staff to be",
    ("user_session", "address"): "staff: where a user logged in from",
    ("identity_provider", "link_by_email"): "whether addresses say who is meant",
    ("note_mention", "note_id"): "a key",
    ("search_entry", "body"): "the index itself; its rows go with their record",
    ("idempotency_key", "body"): "emptied by forget_answers",
    ("suppression", "note"): "a remark about a digest; names nobody by rule of the form",
    ("webhook_endpoint", "notes"): "about another system",
    ("webhook_source", "notes"): "about another system",
    ("notification", "mail_due_at"): "a time",
    ("notification_setting", "email"): "whether a user is told by mail",
    ("webhook_message", "body"): "what another system sent; expires",
}


def test_every_table_that_points_at_a_customer_is_reached(uow):
    known = SubjectMap.read(uow)
    pointing = {column.table for column in covered_columns(uow) if column.points_to}

    assert sorted(pointing - known.reached() - BESIDE.keys()) == []


def test_every_personal_column_is_reached_or_excused(uow):
    known = SubjectMap.read(uow)
    personal = {column.table for column in covered_columns(uow) if column.personal}

    assert sorted(personal - known.reached() - BESIDE.keys()) == []


def test_what_is_called_like_something_personal_is_marked_or_excused(uow):
    known = SubjectMap.read(uow)
    marked = {(column.table, column.column) for column in covered_columns(uow) if column.personal}
    whole = set(known.links[Fate.ERASED])  # these rows go as a whole, whatever their columns are called

    suspicious = {
        (name, column.name)
        for name, table in known.tables.items()
        if name not in whole and not name.startswith("search_entry_fts")  # of SQLite: the index over search_entry
        for column in table.columns
        if PERSONAL.search(column.name) and not column.foreign_keys
    }

    assert sorted(suspicious - marked - EXCUSED.keys()) == []


#: JSON columns whose values are written by code from a record or a request, and what erasing does to them.
JSON_PLACES = {
    ("job", "payload"), ("job", "progress"), ("import_row", "before"), ("import_row", "after"), ("import_row", "problems"),
}  # fmt: skip
#: Those that hold nothing of a customer, and why.
JSON_EXCUSED = {
    "event": "payload: ids and plain facts", "audit_payload": "deleted", "setting": "settings", "module": "modules",
    "app_user": "staff", "api_token": "permissions", "custom_field": "declarations", "erasure": "counts",
    "saved_view": "columns", "webhook_endpoint": "names of events and permissions", "webhook_source": "permissions",
    "rule": "declarations", "rule_run": "parts of a rule's condition", "user_session": "staff", "webauthn": "staff",
    "import_run": "names of files and columns, numbers, permissions", "import_mapping": "names of columns",
    "bulk_run": "one payload for many records", "notification": "plain facts of a kind", "view_choice": "columns",
    "idempotency_key": "headers are emptied by forget_answers", "job_schedule": "declarations", "job_queue": "settings",
    "duplicate_candidate": "levels", "merge_run": "goes with its customers", "merge_item": "goes with its run",
    "audit_head": "the chain", "notification_setting": "staff",
}  # fmt: skip


def test_every_json_column_is_emptied_gone_or_excused(uow):
    known = SubjectMap.read(uow)
    kept = set(known.reached()) | JSON_EXCUSED.keys()

    untold = {
        (name, column.name)
        for name, table in known.tables.items()
        for column in table.columns
        if name not in kept and isinstance(column.type, sa.JSON) and column.name != "custom"
    }

    assert sorted(untold - JSON_PLACES) == []


def test_no_excuse_outlives_its_column(uow):
    known = SubjectMap.read(uow)

    assert [pair for pair in EXCUSED if pair[0] not in known.tables or pair[1] not in known.tables[pair[0]].c] == []
    assert sorted(BESIDE.keys() - known.tables.keys()) == []


def test_rows_that_stay_can_be_emptied(uow):
    staying = [part for part in SubjectMap.read(uow).parts([1]) if part.fate is Fate.ANONYMISED]
    stubborn = [
        f"{part.table.name}.{name}"
        for part in staying
        for name in part.personal
        if not part.table.c[name].nullable and not isinstance(part.table.c[name].type, sa.String | sa.JSON)
    ]

    assert staying
    assert stubborn == []


def test_what_stays_of_anonymised_rows_is_not_called_like_something_personal(uow):
    known = SubjectMap.read(uow)
    parts = known.parts([1])
    gone = deleted_tables(known, parts)

    suspicious = {
        (part.table.name, column.name)
        for part in parts
        if part.table.name not in gone
        for column in part.table.columns
        if PERSONAL.search(column.name) and not column.foreign_keys and column.name not in naming_columns(known, part)
    }

    assert sorted(suspicious - EXCUSED.keys()) == []
