"""An application with access, one owned record type of its own and nothing else, on both databases.

Built once per database; between two tests its tables are emptied. The notes live in a MetaData of their own, so that
no other test meets them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

from crm_kernel._internal.modules import SettingRow
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit_chain.models import AuditHead, AuditSeal
from crm_kernel.access.authentication import authenticate
from crm_kernel.access.models import AppUser, AuditLog, AuditPayload, Role, RolePermission
from crm_kernel.access.panels import panels
from crm_kernel.access.policy import holds
from crm_kernel.access.record import record_types
from crm_kernel.access.services import create_token, create_user, ensure_builtin_roles
from crm_kernel.database import TYPES, RecordMixin, db
from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.records.fields import Collection
from crm_kernel.records.record_type import Extension, RecordType
from crm_kernel.unit_of_work import reading, writing

PASSWORD = "violet harbour pencil"


class _Base(DeclarativeBase):
    registry = registry(metadata=sa.MetaData(), type_annotation_map=TYPES)


class Note(RecordMixin, _Base):
    """Something with an owner."""

    __tablename__ = "note"

    text: Mapped[str] = mapped_column(sa.String(200))
    stars: Mapped[int | None] = mapped_column(sa.Integer)
    pin: Mapped[str | None] = mapped_column(sa.String(20), info={"audit": "secret"})
    opened: Mapped[int | None] = mapped_column(sa.Integer, info={"audit": "omit"})
    owner_id: Mapped[int | None]
    team_id: Mapped[int | None]


class NoteLine(RecordMixin, _Base):
    """A part of a note."""

    __tablename__ = "note_line"

    note_id: Mapped[int] = mapped_column(sa.ForeignKey("note.id", ondelete="CASCADE"))
    words: Mapped[str] = mapped_column(sa.String(200))
    key: Mapped[str | None] = mapped_column(sa.String(20), info={"audit": "secret"})


class NoteRisk(_Base):
    """A plugin's side table of notes."""

    __tablename__ = "bank_note_risk"

    note_id: Mapped[int] = mapped_column(sa.ForeignKey("note.id", ondelete="CASCADE"), primary_key=True)
    risk: Mapped[int] = mapped_column(sa.Integer)
    code: Mapped[str | None] = mapped_column(sa.String(20), info={"audit": "secret"})


class LineSchema(Schema):
    words = fields.String()


class NoteSchema(Schema):
    text = fields.String(required=True)
    stars = fields.Integer(allow_none=True)
    lines = Collection(LineSchema, model=NoteLine, key="note_id", dump_only=True)


class RiskSchema(Schema):
    risk = fields.Integer()
    code = fields.String()


NOTE = RecordType(
    name="note",
    model=Note,
    schema=NoteSchema,
    label="Note",
    label_plural="Notes",
    slug="notes",
    title="text",
    default_sort="text",
    columns=("text",),
)


class AccessAlone(Plugin):
    """The kernel's access and notes, with an extension of the notes."""

    name = "kernel"

    @hookimpl
    def crm_register_record_types(self):
        return [*record_types(), NOTE]

    @hookimpl
    def crm_register_panels(self):
        return panels()

    @hookimpl
    def crm_authorize(self, actor, permission, subject):
        return holds(actor, permission, subject)


def _build(url: str) -> Flask:
    from crm_kernel import app as application
    from crm_kernel._internal.manager import PluginManager
    from crm_kernel._internal.registry import Registry, gather
    from crm_kernel._internal.runtime import EXTENSION, Runtime
    from crm_kernel.config import Config
    from crm_kernel.database import init_database

    manager, records = PluginManager(), Registry()
    manager.register("kernel", AccessAlone())
    records.accept(gather(manager, "kernel"))
    risk = Extension(host="note", name="bank", label="Bank", model=NoteRisk, schema=RiskSchema)
    records.records["extensions"]["bank@note"] = risk
    app = Flask("crm_kernel", static_folder=None, template_folder=None)
    config = Config(database_url=url, secret_key="k" * 40, secure_cookies=False, base_url="https://crm.test")
    app.extensions[EXTENSION] = Runtime(config, manager, records)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SECRET_KEY=config.secret_key, TESTING=True)
    init_database(app)
    for step in application._steps():
        step(app)
    return app


@pytest.fixture(scope="session")
def access_apps(crm_test_databases) -> Iterator[Callable[[str], Flask]]:
    """Build the application once per database, with its tables."""
    from crm_kernel.database import metadata
    from crm_kernel.events.models import StoredEvent
    from crm_kernel.events.webhooks.models import WebhookEndpoint
    from crm_kernel.jobs.models import JobRow
    from crm_kernel.records.models import SearchEntry
    from crm_kernel.rules.models import Rule

    built: dict[str, Flask] = {}
    # An event that is stored asks whether a rule or a webhook waits for it.
    kernel = (SettingRow, StoredEvent, JobRow, Rule, WebhookEndpoint, SearchEntry, AuditSeal, AuditHead)
    names = {model.__tablename__ for model in kernel}
    names |= {"team", "app_user", "role", "user_role", "role_permission", "api_token", "webauthn"}
    names |= {"audit_log", "audit_payload", "field_rule", "user_session"}
    names |= {"identity_provider", "user_identity"}

    def give(kind: str) -> Flask:
        if kind not in built:
            app = built[kind] = _build(crm_test_databases.empty(kind))
            with app.app_context():
                metadata.create_all(db.engine, tables=[metadata.tables[name] for name in names])
                _Base.metadata.create_all(db.engine)
            # A hash that takes 100 ms on purpose would make up most of the suite.
            with app.app_context():
                app.extensions["built_in"] = _built_in()
            app.extensions["security"].pwd_context.update(
                argon2__rounds=1, argon2__memory_cost=8, argon2__parallelism=1
            )
        return built[kind]

    yield give
    for app in built.values():
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def app(available_database: str, access_apps) -> Flask:
    """Give the application on empty tables that hold the built-in roles only."""
    app = access_apps(available_database)
    with app.app_context(), db.engine.begin() as connection:
        for table in (*reversed(_Base.metadata.sorted_tables), *_emptied()):
            connection.execute(sa.delete(table))
        for table, rows in app.extensions["built_in"]:
            connection.execute(sa.insert(table), rows)
    for limiter in app.extensions["limiter"]:
        limiter.reset()
    app.extensions["crm_access"].marked.clear()
    app.extensions.pop("crm_mail_transport", None)
    app.config["WTF_CSRF_ENABLED"] = False
    return app


def _built_in() -> list[tuple[sa.Table, list[dict[str, Any]]]]:
    """Make the built-in roles and return their rows, which every test finds again."""
    with writing(SYSTEM) as uow:
        ensure_builtin_roles(uow)
    with db.engine.connect() as connection:
        tables = [Role.__table__, RolePermission.__table__, SettingRow.__table__]
        return [(table, [dict(row._mapping) for row in connection.execute(sa.select(table))]) for table in tables]


def _emptied() -> list[sa.Table]:
    from crm_kernel.database import metadata

    names = "audit_head audit_seal audit_payload audit_log search_entry job event setting api_token webauthn user_role"
    return [
        metadata.tables[name] for name in (*names.split(), "field_rule", "role_permission", "role", "app_user", "team")
    ]


@pytest.fixture
def unit(app: Flask):
    """Open a committing unit of work: ``with unit() as uow``."""

    @contextmanager
    def opened(actor=SYSTEM, **options: Any):
        with app.app_context(), writing(actor, **options) as uow:
            yield uow

    return opened


@pytest.fixture
def uow(app: Flask):
    """Give one unit of work for the whole test, rolled back at its end."""
    with app.app_context():
        context = writing(SYSTEM)
        uow = context.__enter__()
        yield uow
        uow.session.rollback()
        g.pop("crm_uow", None)


@pytest.fixture
def rep(unit) -> SimpleNamespace:
    """Give a representative who can log in, and his API token."""
    with unit() as uow:
        user = create_user(uow, email="rep@crm.test", name="Rita Rep", password=PASSWORD, roles=["representative"])
        made = create_token(uow, user, name="script")
        return SimpleNamespace(
            id=user.id,
            uid=user.uid,
            email=user.email,
            identity=user.get_id(),
            token=made.secret,
            token_uid=made.token.uid,
        )


@pytest.fixture
def person(unit):
    """Make a user in a role: ``person("reader", team_id=…)`` → his key."""

    def make(*roles: str, email: str = "", **details: Any) -> int:
        address = email or f"{'-'.join(roles) or 'nobody'}@crm.test"
        with unit() as uow:
            return create_user(uow, email=address, name=address.partition("@")[0], roles=roles, **details).id

    return make


@pytest.fixture
def actor_of(app: Flask):
    """Find out who a request would act for: ``actor_of(user_id)`` or ``actor_of(token="crm_…")``."""

    def find(user_id: int | None = None, *, token: str | None = None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with app.test_request_context(headers=headers) as context, reading(SYSTEM) as uow:
            if user_id is not None:
                context.session["_user_id"] = uow.session.get(AppUser, user_id).get_id()
            return authenticate(uow)

    return find


@pytest.fixture
def statements(app: Flask):
    """Count SQL: ``with statements() as found`` lists the statements that ran."""

    @contextmanager
    def listen():
        found: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            found.append(statement)

        with app.app_context():
            engine = db.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)

    return listen


@pytest.fixture
def audit(app: Flask):
    """Read the audit log: ``audit("note")`` → rows with ``before`` and ``after``, oldest first."""

    def read(record_type: str | None = None) -> list[Any]:
        columns = (*AuditLog.__table__.columns, AuditPayload.salt, AuditPayload.before, AuditPayload.after)
        wanted = sa.select(*columns).join(AuditPayload).order_by(AuditLog.id)
        if record_type is not None:
            wanted = wanted.where(AuditLog.record_type == record_type)
        with app.app_context(), db.engine.connect() as connection:
            return list(connection.execute(wanted))

    return read


@pytest.fixture
def csrf_of():
    """Read the CSRF token of a page: ``csrf_of(text)``."""
    return _csrf_of


def _csrf_of(page: str) -> str:
    """Return the CSRF token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]


@pytest.fixture
def log_in(app: Flask):
    """Log in through the page: ``log_in(client, email, password)`` → the response."""

    def send(client, email: str, password: str, **more: str):
        return client.post("/auth/login", data={"email": email, "password": password, **more})

    return send
