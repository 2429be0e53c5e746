"""The secret key is replaced: what it encrypted is encrypted anew, what it digested is still recognised."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel._internal.sealed import kept_secrets, opens, sealed_texts
from crm_kernel._internal.settings import digest_secret, read_settings, stored_settings
from crm_kernel.access.actor import Actor
from crm_kernel.access.audit_chain.heads import head_of
from crm_kernel.access.audit_chain.links import is_signed
from crm_kernel.access.audit_chain.sealing import seal_some
from crm_kernel.access.factors import totp
from crm_kernel.access.models import AuditLog
from crm_kernel.access.oidc.models import IdentityProvider
from crm_kernel.access.oidc.providers import set_secret
from crm_kernel.customers.consent.hashing import value_digest
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.errors import Forbidden
from crm_kernel.events.inbound.models import WebhookSource
from crm_kernel.events.webhooks import secrets
from crm_kernel.events.webhooks.models import WebhookEndpoint
from crm_kernel.records.sealing import unseal_with
from crm_kernel.stored_settings.rotating import rotate_secrets
from crm_kernel.stored_settings.services import change_setting
from crm_kernel.testing.people import add_user

pytestmark = [pytest.mark.crm_plugins("toybank"), pytest.mark.usefixtures("toybank")]

NEW = "n" * 20 + "0123456789" * 2


@pytest.fixture
def kept(toybank, unit):
    """One of everything that is kept encrypted; what it says is its kind."""
    with unit() as uow:
        change_setting(uow, "toybank.feed_key", "setting")
        user = add_user(uow, "manager")
        user.tf_totp_secret = totp.sealed(b"app", user.uid)
        provider = IdentityProvider(name="Staff", issuer="https://login.example.com", client_id="crm")
        hook = WebhookEndpoint(name="x", url="https://x.example.org", events=["x"], secret="", user_id=user.id)
        source = WebhookSource(
            name="in", kind="x", scheme="standard", token="", token_digest="x", secret="", user_id=user.id
        )
        uow.session.add_all([provider, hook, source])
        uow.session.flush()
        set_secret(uow, provider, "provider")
        for row in (hook, source):
            row.secret, row.previous_secret = (secrets.sealed(row.uid, text) for text in ("now", "before"))
        source.token = secrets.sealed(source.uid, "token")
        suppress(uow, "ada@example.org", channel="email", reason="manual", source="test")
    with unit() as uow:
        seal_some(uow)


@pytest.fixture
def key(crm_app, monkeypatch):
    """Have other keys, as a process that was started with them: ``key.replace()``, then ``key.forget()``."""
    config = runtime_of(crm_app).without_database

    def use(**changes):
        changed = config.replace(**changes)
        monkeypatch.setitem(crm_app.config, "SECRET_KEY", changed.secret_key)
        monkeypatch.setitem(crm_app.config, "SECRET_KEY_FALLBACKS", list(changed.previous_secret_keys))
        monkeypatch.setitem(crm_app.config, "CRM_DIGEST_SECRET", digest_secret(changed, stored_settings(changed)))

    return SimpleNamespace(
        replace=lambda new=NEW: use(secret_key=new, previous_secret_keys=(config.secret_key,)),
        forget=lambda new=NEW: use(secret_key=new),
        lose=lambda: use(secret_key="z" * 40),
    )


@pytest.mark.usefixtures("kept")
def test_everything_kept_is_read_with_the_key_before_until_it_is_encrypted_anew(unit, key, crm_app):
    with crm_app.app_context():
        digest = value_digest("email", "ada@example.org")
    key.replace()
    with unit() as uow:
        before = {
            kept.what: (kept.total, kept.unreadable) for kept in kept_secrets(uow.session.connection(), _keys(crm_app))
        }

        found = {result.what: (result.rotated, result.current, result.unreadable) for result in rotate_secrets(uow)}

    assert before == {
        "secret settings": (1, 0), "authenticator apps": (1, 0), "log-in providers": (1, 0), "webhooks": (2, 0),
        "sources of messages": (3, 0),
    }  # fmt: skip
    assert found == {
        "secret settings": (1, 0, 0), "authenticator apps": (1, 0, 0), "log-in providers": (1, 0, 0),
        "webhooks": (2, 0, 0), "sources of messages": (3, 0, 0), "keys of digests": (1, 0, 0),
        "signatures of the audit log": (1, 0, 0),
    }  # fmt: skip
    key.forget()
    with unit() as uow:
        assert all(opens(sealed, [NEW]) for sealed in sealed_texts(uow.session.connection()))
        head = head_of(uow)
        assert is_signed(head.number, head.hash, head.signature)
        assert value_digest("email", "ada@example.org") == digest
        assert [result for result in rotate_secrets(uow) if result.rotated or result.unreadable] == []
        assert uow.session.scalars(sa.select(AuditLog.action).where(AuditLog.action == "secrets_rotated")).all() == [
            "secrets_rotated"
        ]


@pytest.mark.usefixtures("kept")
def test_digests_are_the_same_before_and_after_a_second_replacement(unit, key, crm_app):
    with crm_app.app_context():
        digest = value_digest("email", "ada@example.org")
    key.replace()
    with crm_app.app_context():
        meanwhile = value_digest("email", "ada@example.org")
    with unit() as uow:
        rotate_secrets(uow)
    config = runtime_of(crm_app).without_database.replace(secret_key="m" * 40, previous_secret_keys=(NEW,))

    again = digest_secret(config, stored_settings(config))

    assert meanwhile == digest
    assert again == crm_app.config["CRM_DIGEST_SECRET"] == runtime_of(crm_app).without_database.secret_key


@pytest.mark.usefixtures("kept")
def test_what_no_key_opens_stays_as_it_is_and_is_counted(unit, key, crm_app, caplog):
    key.replace()
    with unit() as uow:
        rotate_secrets(uow)
        texts = {sealed.text for sealed in sealed_texts(uow.session.connection())}
    key.lose()

    with unit() as uow:
        found = rotate_secrets(uow)

        assert {sealed.text for sealed in sealed_texts(uow.session.connection())} == texts
    assert sum(result.unreadable for result in found) == 10
    assert all(result.fix for result in found)
    assert "the key of digests was encrypted with another secret_key" in caplog.text


def test_nobody_rotates_without_the_right_to_change_settings(unit, crm_app):
    with unit() as uow:
        uow.actor = Actor(kind="user", name="x")

        with pytest.raises(Forbidden):
            rotate_secrets(uow)


def test_the_key_of_digests_is_no_setting(kept, unit, key):
    key.replace()
    with unit() as uow:
        rotate_secrets(uow)
        from crm_kernel.stored_settings.services import setting_states

        assert "digest_secret" in read_settings(uow.session.connection())
        assert "digest_secret" not in {state.declared.name for state in setting_states(uow)}


def _keys(app):
    return (app.config["SECRET_KEY"], *app.config["SECRET_KEY_FALLBACKS"])


@pytest.mark.usefixtures("kept")
def test_what_is_kept_is_counted_in_a_transaction_that_only_reads(crm_app):
    from crm_kernel.database import db

    with crm_app.app_context(), db.engine.connect() as connection:
        connection.execution_options(postgresql_readonly=True)
        found = kept_secrets(connection, [crm_app.config["SECRET_KEY"]])

    assert {one.what: (one.total, one.unreadable) for one in found}["webhooks"] == (2, 0)


@pytest.mark.usefixtures("kept")
def test_a_secret_that_is_set_during_a_rotation_stays(key, unit):
    from concurrent.futures import ThreadPoolExecutor
    from concurrent.futures import wait as wait_for

    def set_anew():
        with unit() as uow:
            change_setting(uow, "toybank.feed_key", "newer")

    key.replace()
    with ThreadPoolExecutor(1) as pool:
        with unit() as uow:
            rotate_secrets(uow)
            change = pool.submit(set_anew)
            assert not wait_for([change], timeout=1).done
        change.result()

    with unit() as uow:
        [stored] = [one for one in sealed_texts(uow.session.connection()) if one.what == "secret settings"]
    assert unseal_with([NEW], stored.text, bound_to=stored.bound) == b"newer"
