"""A real identity provider on a local port, connected to the application, and a browser that goes there and back."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AuditLog, AuditPayload, UserSession
from crm_kernel.access.oidc.models import UserIdentity
from crm_kernel.access.oidc.people import link
from crm_kernel.access.oidc.providers import create_provider, provider_named, set_secret
from crm_kernel.access.services import create_user
from crm_kernel.database import db

_SPEC = importlib.util.spec_from_file_location("oidc_provider_kit", Path(__file__).with_name("provider_kit.py"))
kit = sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kit)


@pytest.fixture
def trusting(crm_app, monkeypatch):
    """Let requests leave for the machine itself; the guard refuses that everywhere else."""
    runtime = runtime_of(crm_app)
    trusted = runtime.config.replace(outbound_trusted_networks=("127.0.0.0/8",))
    monkeypatch.setattr(runtime, "config", trusted)
    crm_app.extensions.pop("crm_oidc", None)


@pytest.fixture
def elsewhere():
    """The provider as it is at its own place."""
    running = kit.Running()
    yield running.provider
    running.stop()


@pytest.fixture
def connect(unit):
    """Connect a provider: ``connect(elsewhere, name="Staff", link_by_email=True)`` → its public id."""

    def run(provider, *, name="Staff", **settings):
        with unit() as uow:
            data = {"name": name, "issuer": provider.issuer, "client_id": kit.CLIENT_ID, **settings}
            made = create_provider(uow, data)
            set_secret(uow, made, kit.CLIENT_SECRET)
            return made.uid

    return run


@pytest.fixture
def rita(unit):
    """A user with a password, not linked with anybody."""
    with unit() as uow:
        user = create_user(uow, email="rita@crm.test", name="Rita", roles=["representative"])
        return SimpleNamespace(id=user.id, uid=user.uid, email=user.email)


@pytest.fixture
def linked(unit, rita):
    """Link Rita with the account ``u-1`` of a provider of that name."""

    def run(name="Staff", subject="u-1"):
        with unit() as uow:
            from crm_kernel.access.models import AppUser

            link(uow, uow.session.get(AppUser, rita.id), provider_named(uow, name), subject)

    return run


@pytest.fixture
def go(elsewhere):
    """Log in at the provider and come back: ``go(client, uid)`` → the answer; ``change`` alters the way back."""

    def run(client, uid, *, change=None, **arguments):
        left = client.get(f"/auth/oidc/{uid}", query_string=arguments)
        assert left.status_code == 302, left.text
        back = elsewhere.answer_to(left.location)
        given = kit.parameters(back)
        given.update(change or {})
        return client.get(f"/auth/oidc/{uid}/callback", query_string={k: v for k, v in given.items() if v is not None})

    return run


@pytest.fixture
def sessions(crm_app):
    """Return how each session began, oldest first."""

    def read():
        with crm_app.app_context(), db.engine.connect() as connection:
            return list(connection.scalars(sa.select(UserSession.method).order_by(UserSession.id)))

    return read


@pytest.fixture
def identities(crm_app):
    """Return the subjects of all links."""

    def read():
        with crm_app.app_context(), db.engine.connect() as connection:
            return sorted(connection.scalars(sa.select(UserIdentity.subject)))

    return read


@pytest.fixture
def audited(crm_app):
    """Return (action, values) of the audit log about users."""

    def read():
        wanted = sa.select(AuditLog.action, AuditPayload.after).join(
            AuditPayload, AuditPayload.audit_uid == AuditLog.uid
        )
        with crm_app.app_context(), db.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(wanted.order_by(AuditLog.id))]

    return read
