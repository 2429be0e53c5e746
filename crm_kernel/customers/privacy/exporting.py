"""Everything that is stored about a customer, for the customer: a page to read and the same as JSON, in one archive.

Rows are found as erasure finds them, so what is erased has been shown and the other way round. Left out: keys, the names
of our own people, and other persons; of another customer only an organization's name is told.
"""

from __future__ import annotations

import datetime as dt
import io
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import orjson
import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale, format_datetime
from flask_babel import gettext as _

from crm_kernel import database
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.audit import plain, record_access
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.customers.consent.asking import language_of
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.subject import CUSTOMER, Part, SubjectMap, with_predecessors
from crm_kernel.errors import Forbidden
from crm_kernel.records.custom_fields.models import CustomField

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

FORMAT = "crm-subject-export-1"
#: Columns that tell of our own people or of the machinery, in any table.
INTERNAL = frozenset({
    "id", "version", "actor_name", "author_name", "actor", "recorded_by", "decided_by", "merged_by", "unmerged_by", "custom",
})  # fmt: skip
#: Tables of the machinery that repeat what others hold, or say nothing to anybody.
UNTOLD = frozenset(
    {
        "duplicate_key",
        "duplicate_profile",
        "duplicate_candidate",
        "merge_run",
        "merge_item",
        "suppression_match",
        "legal_hold",
        "job_subject",
        "webhook_message_subject",
    }
)


def subject_data(uow: UnitOfWork, customer: Customer) -> dict[str, Any]:
    """Return everything about a customer, JSON-ready: ``format``, ``customer``, ``made_at``, ``tables``, ``history``.

    One query per table that has rows to look for, and few besides; disabled and uninstalled modules' tables included.
    """
    ids = with_predecessors(uow, [customer.id])
    known = SubjectMap.read(uow)
    tables = [_table(uow, known, part, ids) for part in known.parts(ids) if part.table.name not in UNTOLD]
    merged = _merged_alike([table for table in tables if table["rows"]])
    uids = sa.select(Customer.uid).where(Customer.id.in_(ids))
    return {
        "format": FORMAT,
        "customer": str(customer.uid),
        "made_at": uow.now.isoformat(),
        "tables": merged,
        "history": list(_history(uow, uids)),
    }


def refuse_half_sighted(actor: Actor) -> None:
    """Refuse an export by somebody from whom a role hides fields: the person would not be told everything.

    Raises:
        Forbidden: naming the first such field.
    """
    for record_type, rules in sorted(actor.field_rules.items()):
        for name, access in sorted(rules.items()):
            if access == "hidden":
                text = _(
                    "Your roles hide %(field)s: somebody who sees everything must do this.",
                    field=f"{record_type}.{name}",
                )
                raise Forbidden(text)


def note_export(actor: Actor, customer_uid: uuid.UUID, *, channel: str, request_id: str | None = None) -> None:
    """Write the audit row of an export, in a unit of work of its own; before anything is handed out."""
    record_access(
        actor,
        action="exported",
        record_type=CUSTOMER,
        record_uid=customer_uid,
        channel=channel,
        request_id=request_id,
        details={"what": "everything about the customer"},
    )


def subject_page(data: Mapping[str, Any], customer: Customer) -> str:
    """Return the data as one page that needs nothing else, in the customer's language."""
    with force_locale(language_of(customer)):
        return current_app.jinja_env.get_template("customers/subject.html").render(
            data=data,
            company=runtime_of(current_app).config.company_name,
            name=customer.display_name,
            made_at=format_datetime(dt.datetime.fromisoformat(data["made_at"])),
            language=language_of(customer),
        )


def subject_archive(data: Mapping[str, Any], page: str) -> bytes:
    """Return a zip with ``index.html`` and ``data.json``."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files_of(data, page).items():
            archive.writestr(name, content)
    return made.getvalue()


def files_of(data: Mapping[str, Any], page: str) -> dict[str, bytes]:
    """Return the files of an export by name."""
    return {"index.html": page.encode(), "data.json": orjson.dumps(data, option=orjson.OPT_INDENT_2)}


def _table(uow: UnitOfWork, known: SubjectMap, part: Part, ids: Sequence[int]) -> dict[str, Any]:
    name = part.table.name
    typed = database.metadata.tables.get(name, part.table)
    columns = [column for column in typed.columns if column.name in part.table.c]
    query = sa.select(*columns).select_from(part.table).where(part.where)
    query = query.order_by(*(part.table.c[key.name] for key in part.table.primary_key.columns))
    # A mapped column gives Decimals, times and ids; where the code is gone the database's own values are told.
    found = uow.session.connection().execute(_on(query, typed, part.table))
    rows = [{str(name): value for name, value in row.items()} for row in found.mappings()]
    labels, others = _custom_labels(uow, name), _others(uow, part, rows, ids)
    told = [_row(part, typed, row, labels, others) for row in rows]
    return {
        "table": str(name),
        "module": part.plugin,
        "label": _type_label(name),
        "personal": sorted(part.personal - {"custom"}),
        "labels": _field_labels(name, sorted({key for row in told for key in row})),
        "rows": [row for row in told if row],
    }


def _on(query: sa.Select[Any], typed: Any, table: sa.Table) -> sa.Select[Any]:
    """Return the query over one table object: the typed columns of another are written as plain names with their types."""
    if typed is table:
        return query
    columns = [sa.type_coerce(table.c[c.name], c.type).label(c.name) for c in typed.columns if c.name in table.c]
    return query.with_only_columns(*columns)


def _row(
    part: Part, typed: Any, row: Mapping[str, Any], labels: Mapping[str, str], others: Mapping[int, str]
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if name in part.pointing:
            if value in others:
                shown[name.removesuffix("_id")] = others[value]
        elif _telling(typed, part, name) and value not in (None, "", [], {}):
            shown[name] = _told(value)
    custom = row.get("custom")
    if isinstance(custom, Mapping):
        shown |= {labels.get(name, name): plain(value) for name, value in custom.items() if value is not None}
    return shown


def _telling(typed: Any, part: Part, name: str) -> bool:
    return name not in INTERNAL and not typed.c[name].foreign_keys and not part.table.c[name].foreign_keys


def _told(value: Any) -> Any:
    if isinstance(value, bytes | memoryview) and len(bytes(value)) == 16:
        return str(uuid.UUID(bytes=bytes(value)))
    return plain(value)


def _others(uow: UnitOfWork, part: Part, rows: Sequence[Mapping[str, Any]], ids: Sequence[int]) -> dict[int, str]:
    """Return key → what is told of another customer that a row names: an organization's name, nothing of a person."""
    keys = {row[name] for row in rows for name in part.pointing if row.get(name) is not None} - set(ids)
    if not keys:
        return {}
    query = sa.select(Customer.id, Customer.kind, Customer.display_name).where(Customer.id.in_(sorted(keys)))
    return {
        row.id: row.display_name if row.kind == "organization" else str(_("another person"))
        for row in uow.session.execute(query)
    }


def _merged_alike(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry per table: rows that would be erased and rows that would stay stand together."""
    found: dict[str, dict[str, Any]] = {}
    for table in tables:
        if table["table"] in found:
            found[table["table"]]["rows"] += table["rows"]
        else:
            found[table["table"]] = table
    return list(found.values())


def _history(uow: UnitOfWork, uids: sa.Select[Any]) -> Iterator[dict[str, Any]]:
    """Yield what was changed about the customer, oldest first, without who did it."""
    log: Any = AuditLog
    query = (
        sa.select(log.at, log.action, log.channel, AuditPayload.before, AuditPayload.after)
        .outerjoin(AuditPayload, AuditPayload.audit_uid == log.uid)
        .where(log.record_type == CUSTOMER, log.record_uid.in_(uids))
        .order_by(log.id)
    )
    for row in uow.session.execute(query):
        yield {
            "at": row.at.isoformat(), "action": row.action, "channel": row.channel, "before": row.before,
            "after": row.after,
        }  # fmt: skip


def _record_type(table: str) -> Any:
    types = runtime_of(current_app).registry.all("record_types")
    return next((found for found in types if found.model.__tablename__ == table), None)


def _type_label(table: str) -> str:
    found = _record_type(table)
    return str(found.label_plural) if found is not None else table.replace("_", " ").capitalize()


def _field_labels(table: str, names: Sequence[str]) -> dict[str, str]:
    """Return what people call the columns that are told; custom fields come with their labels already."""
    found = _record_type(table)
    schema = {} if found is None else found.schema._declared_fields
    return {name: str(_label(schema.get(name)) or name.replace("_", " ").capitalize()) for name in names}


def _label(field: Any) -> Any:
    return None if field is None else field.metadata.get("label")


def _custom_labels(uow: UnitOfWork, table: str) -> dict[str, str]:
    found = _record_type(table)
    name = found.name if found is not None else table.replace("_", ".", 1)
    query = sa.select(CustomField.name, CustomField.labels).where(CustomField.record_type == name)
    return {row.name: cast(str, row.labels.get("en") or row.name) for row in uow.session.execute(query)}
