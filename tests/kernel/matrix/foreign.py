"""Makes one record of every type that belongs to somebody far away, from nothing but the declarations.

A new record type is covered as soon as it is registered. Where a schema does not say what may stand in a field (a code of
another table, an address), ``HINTS`` does. Types that are only written by their own code get a row made from their columns.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from crm_kernel.access.models import ApiToken, AuditLog, Team, UserSession, WebAuthnCredential
from crm_kernel.access.oidc.models import UserIdentity
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.customers.duplicates.comparing import COMPARISONS
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.database import utcnow
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow, JobSchedule
from crm_kernel.records.fields import Choice
from crm_kernel.records.importing.models import ImportMapping, ImportRun
from crm_kernel.records.plan import FieldPlan, Kind, plan_of, record_types
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.services import create_record

#: What is typed into searches, and what nobody may see then.
WORD, CANARY = "Zzcan", "QQ7319XX"

#: Record type → what a schema does not say of its fields; None leaves one out.
HINTS: dict[str, dict[str, Any]] = {
    "customer": {
        "kind": "organization",
        "prefix": None,
        "given_name": None,
        "family_name": None,
        "suffix": None,
        "job_title": None,
        "website": None,
    },
    "relationship": {"type": "parent_company"},
    "consent": {"channel": "email", "purpose": "marketing", "status": "given"},
    "purpose": {"code": "matrix", "label": "Matrix"},
    "interaction": {"kind": "note"},
    "user": {"email": "far@crm.test"},
    "exchange_rate": {"from_currency": "CHF", "to_currency": "EUR"},
    "saved_view": {"record_type": "customer", "query": "", "sharing": "private"},
    "webhook": {"url": "https://hooks.example.org/far", "events": ["kernel.customer_created"]},
    "rule": {"record_type": "customer", "event": "kernel.customer_created", "cron": None},
    "custom_field": {"record_type": "product", "name": "cf_matrix", "kind": "text", "labels": {"en": "Matrix"}},
    "duplicate_candidate": {"levels": [1] * len(COMPARISONS)},
    # The log-in page shows its name to everybody.
    "identity_provider": {
        "name": "Staff",
        "issuer": "https://login.example.org",
        "scopes": "openid",
        "role_map": "",
        "role_claim": "",
        "default_role": "",
    },
    "retention_rule": {"months": 240, "condition": None},
}
#: Record types that only a user makes, for himself: their rows are made as those of types without a service.
OF_USERS = ("webhook", "webhook_source")
#: Record types that everybody who reads them reads whole, and why; nobody changes them with a narrow grant.
SHARED = {
    "purpose": "the catalogue of purposes",
    "suppression": "digests of addresses",
    "erasure": "counts of rows",
    "retention_rule": "administration",
    "product": "the catalogue of products",
    "exchange_rate": "rates of the day",
    "user": "colleagues; what is confidential of them is hidden by field",
    "team": "colleagues",
    "custom_field": "declarations",
    "tag": "words everybody uses",
    "sfa.pipeline": "how deals are ordered",
    "sfa.stage": "how deals are ordered",
    "toyrecords.maker": "everybody with the permission sees all",
}
#: Blueprint or endpoint → the table of the ``uid`` in its paths, where it is no record type's.
REACH: dict[str, type[Any]] = {
    "access.revoke_own_token": ApiToken,
    "admin": StoredEvent,
    "api_audit": AuditLog,
    "api_imports": ImportRun,
    "api_imports.mapping": ImportMapping,
    "api_duplicate": DuplicateCandidate,
    "api_job_schedules": JobSchedule,
    "api_jobs": JobRow,
    "api_merging": MergeRun,
    "api_token": ApiToken,
    "audit": AuditLog,
    "duplicates": DuplicateCandidate,
    "imports": ImportRun,
    "imports.delete_mapping": ImportMapping,
    "jobs": JobRow,
    "jobs.change_schedule": JobSchedule,
    "schedules": JobSchedule,
    "merging": MergeRun,
    "notifications": Notification,
    "signin.end_session": UserSession,
    "signin.remove_passkey": WebAuthnCredential,
    "signin.unlink_identity": UserIdentity,
    "signin.rename_passkey": WebAuthnCredential,
}
#: Endpoints for who has not logged in yet: what their paths name is shown on the log-in page.
BEFORE_LOG_IN = ("signin.oidc_begin", "signin.oidc_callback", "signin.oidc_logout")
#: Tables of ``REACH`` whose rows tell nothing of anybody: an event holds ids, a schedule is administration.
PLAIN = (StoredEvent, JobSchedule)


@dataclass
class Foreign:
    """Objects of somebody far away: ``uids`` by record type's name or table's, ``keys`` the same."""

    #: Who owns them, and the team: ``id`` and ``uid``.
    owner: Any
    team: Any
    uids: dict[str, uuid.UUID] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    #: (record type or table, field) that hold what nobody may see; None for all of those that are not shared.
    secret: set[tuple[str, str]] | None = None

    def word(self, place: str, name: str) -> str:
        """Return a text of which no two are equal, with what nobody may see unless that field is open to all."""
        told = place in SHARED if self.secret is None else (place, name) not in self.secret
        return f"{WORD if not told else 'Matrix'} {'' if told else CANARY} {next(self.numbers)}"

    def put(self, name: str, row: Any) -> None:
        self.uids[name] = row.uid
        self.keys[row.__tablename__] = self.keys.get(row.__tablename__, row.id)


def ordered_types() -> list[RecordType]:
    """Return the record types so that one comes after those its own fields and key columns must point to."""
    waiting, found = dict(record_types()), []
    tables = {known.model.__tablename__: known.name for known in waiting.values()}
    while waiting:
        for name, wanted in list(waiting.items()):
            columns = sa.inspect(wanted.model).local_table.columns
            needed = {tables.get(key.column.table.name) for c in columns if not c.nullable for key in c.foreign_keys}
            if not (needed - {name}) & waiting.keys():
                found.append(waiting.pop(name))
    return found


def make_all(uow: Any, owner: Any, secret: set[tuple[str, str]] | None = None) -> Foreign:
    """Make one of every record type, then one row of every table that addresses name; all of them the owner's."""
    team = uow.session.get(Team, owner.team_id)
    made = Foreign(*(SimpleNamespace(id=row.id, uid=row.uid) for row in (owner, team)), secret=secret)
    made.keys |= {"app_user": owner.id, "team": team.id}
    for wanted in ordered_types():
        made.put(wanted.name, make(uow, wanted, made))
        if wanted.name == "customer":
            second = make(uow, wanted, made, kind="organization")
            made.uids["second customer"], made.keys["second"] = second.uid, second.id
    for model in sorted(set(REACH.values()), key=lambda one: one.__tablename__):
        made.put(model.__tablename__, add_row(uow, model, made))
    return made


def hang(uow: Any, foreign: Foreign, customer: Any) -> dict[str, uuid.UUID]:
    """Hang a record of every owned type on somebody else's customer, and a touch point about a hidden one of them."""
    near = replace(
        foreign, uids=foreign.uids | {"customer": customer.uid}, keys=foreign.keys | {"customer": customer.id}
    )
    found = {}
    for wanted in ordered_types():
        if wanted.owned and wanted.customer:
            found[wanted.name] = make(uow, wanted, near).uid
    return found


def make(uow: Any, wanted: RecordType, made: Foreign, **given: Any) -> Any:
    """Make a record of a type: through the services where there are any for it, else from its columns."""
    if "create" in wanted.verbs and wanted.name not in OF_USERS:
        record = create_record(uow, wanted, payload_of(wanted, made, **given))
        uow.session.flush()
        give_away(uow, record, made)
        return record
    return add_row(uow, wanted.model, made, wanted)


def payload_of(wanted: RecordType, made: Foreign, **given: Any) -> dict[str, Any]:
    """Return what the API would be sent: every required field, every owner, and the canary in every free text."""
    found: dict[str, Any] = {}
    for name, plan in plan_of(wanted).fields.items():
        value = _sent(plan, made, wanted.name) if plan.writable else None
        if value is not None:
            found[name] = value
    if wanted.name == "relationship":
        found["to_customer"] = str(made.uids["second customer"])
    found |= HINTS.get(wanted.name, {}) | given
    return {name: value for name, value in found.items() if value is not None}


def _sent(plan: FieldPlan, made: Foreign, place: str) -> Any:
    if plan.kind is Kind.REFERENCE:
        owners = {"owner": made.owner, "team": made.team, "user": made.owner}
        target = plan.field.to
        if plan.name in owners:
            return str(owners[plan.name].uid)
        return str(made.uids[target]) if target in made.uids else None
    if plan.kind is Kind.CHOICE:
        return next(iter(plan.field.choices)) if plan.field.required else None
    if plan.kind is Kind.TEXT:
        return _text(plan, made, place)
    if not plan.field.required:
        return None
    plain = {Kind.NUMBER: 1, Kind.MONEY: "1", Kind.BOOLEAN: False, Kind.DATE: "2026-01-02"}
    return plain.get(plan.kind, "2026-01-02T03:04:05+00:00" if plan.kind is Kind.DATETIME else None)


def _text(plan: FieldPlan, made: Foreign, place: str) -> str | None:
    """Return the canary, where a field takes any text: what has a check of its own is hinted at."""
    free = all(type(check).__name__ in ("Length", "function") for check in plan.field.validators)
    length = getattr(getattr(plan.column, "type", None), "length", None) or 100
    named = plan.name in ("timezone", "language", "color", "name_order") or "options" in plan.field.metadata
    if named or not free or length < 20:
        return None
    return made.word(place, plan.name)


def add_row(uow: Any, model: type[Any], made: Foreign, wanted: RecordType | None = None) -> Any:
    """Add a row made of its columns alone: keys to what was made before, the canary in every free text."""
    fields = {} if wanted is None else {p.field.attribute or n: p.field for n, p in plan_of(wanted).fields.items()}
    values = {}
    for attribute in sa.inspect(model).column_attrs:
        column = attribute.columns[0]
        place = model.__tablename__ if wanted is None else wanted.name
        value = _stored(uow, (place, attribute.key), column, fields, made) if isinstance(column, sa.Column) else None
        if value is not None:
            values[attribute.key] = value
    row = model(**values | HINTS.get(model.__tablename__ if wanted is None else wanted.name, {}))
    uow.session.add(row)
    uow.session.flush()
    return row


def _stored(uow: Any, place: tuple[str, str], column: Any, fields: Mapping[str, Any], made: Foreign) -> Any:
    name = place[1]
    known = {
        "subject_type": "customer", "subject_uid": made.uids.get("customer"), "record_type": "customer",
        "record_uid": made.uids.get("customer"), "author_id": made.owner.id, "owner_id": made.owner.id, "user_id": made.owner.id,
        "team_id": made.team.id, "customer_id": made.keys.get("customer"), "high_id": made.keys.get("second"),
        "second_id": made.keys.get("second"), "actor_user_id": made.owner.id,
    }  # fmt: skip
    if name in known:
        return known[name]
    if column.foreign_keys:
        return _key(uow, column, made)
    if isinstance(fields.get(name), Choice):
        return next(iter(fields[name].choices))
    filled = column.nullable or column.default is not None or column.server_default is not None
    if filled or (column.primary_key and column.autoincrement):
        return made.word(*place) if _free(column) and not column.default and not column.server_default else None
    return _value(column, made.word(*place))


def _key(uow: Any, column: Any, made: Foreign) -> Any:
    target = next(iter(column.foreign_keys)).column.table
    if target is column.table:
        return None
    if target.name not in made.keys and not column.nullable:
        mappers = uow.session.registry.mappers if hasattr(uow.session, "registry") else ()
        model = next((m.class_ for m in mappers if m.local_table is target), None) or _model_of(target)
        made.keys[target.name] = add_row(uow, model, made).id
    return made.keys.get(target.name)


def _model_of(table: Any) -> type[Any]:
    from crm_kernel.database import Model

    return next(m.class_ for m in Model.registry.mappers if m.local_table is table)


def _free(column: Any) -> bool:
    return isinstance(column.type, sa.String) and (column.type.length or 100) >= 60


def _value(column: Any, word: str) -> Any:
    if isinstance(column.type, sa.JSON):
        return {}
    kind = type(column.type).__name__
    own = {"UTCDateTime": utcnow, "Uid": uuid.uuid4}
    if kind in own:
        return own[kind]()
    if isinstance(column.type, sa.String):
        return word[: column.type.length]
    try:
        python = column.type.python_type
    except NotImplementedError:
        return Decimal(1)
    plain = {int: 1, bool: True, dt.date: dt.date(2026, 1, 2), bytes: b"x", float: 1.0, uuid.UUID: uuid.uuid4()}
    return plain.get(python, Decimal(1))


def give_away(uow: Any, record: Any, made: Foreign) -> None:
    """Make a record the far owner's, whoever made it."""
    columns = {"owner_id": made.owner.id, "team_id": made.team.id, "author_id": made.owner.id, "user_id": made.owner.id}
    table = sa.inspect(type(record)).local_table
    values = {name: value for name, value in columns.items() if name in table.c}
    if "actor_id" in table.c and table.name == "interaction":
        values["actor_id"] = made.owner.id
    if values:
        uow.session.execute(sa.update(table).where(table.c.id == record.id).values(values))
