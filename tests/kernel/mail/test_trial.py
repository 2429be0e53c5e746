"""An administrator sees whether mails can be sent: the doctor's check, a test message from page and command, the settings."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.invitations.services import invite
from crm_kernel.app import create_app
from crm_kernel.config import load_config
from crm_kernel.contributions import Health
from crm_kernel.database import db
from crm_kernel.errors import ConfigError, InvalidInput
from crm_kernel.mail.health import check_mail
from crm_kernel.mail.transport import can_send_mail, server_of
from crm_kernel.stored_settings.services import change_setting
from crm_kernel.testing.mail_server import mail_server, write_certificate

pytestmark = pytest.mark.crm_databases("sqlite")
CANARY = "smtp-canary-7d1"


@pytest.fixture
def health(crm_app):
    """Run the check."""

    def run():
        with crm_app.app_context():
            return check_mail()

    return run


@pytest.fixture
def change(unit):
    """Change a setting: ``change("mail_port", "25")``."""

    def run(name, raw):
        with unit() as uow:
            return change_setting(uow, name, raw)

    return run


@pytest.mark.crm_databases("sqlite", "postgresql")
def test_the_settings_of_the_mail_server_stand_in_the_database_the_password_encrypted(crm_app, change, unit, login):
    for name, raw in {
        "mail_host": "mail.acme.test", "mail_port": "465", "mail_encryption": "tls", "mail_user": "ada",
        "mail_password": CANARY, "mail_sender": "crm@acme.test", "mail_sender_name": "Acme",
        "mail_timeout_seconds": "7",
    }.items():  # fmt: skip
        change(name, raw)

    app = create_app(runtime_of(crm_app).without_database, modules=[])
    server = server_of(runtime_of(app).config)
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
    with unit() as uow:
        rows = json.dumps([row.value for row in uow.session.scalars(sa.select(SettingRow))])

    assert (server.host, server.port, server.encryption, server.user, server.password) == (
        "mail.acme.test", 465, "tls", "ada", CANARY,
    )  # fmt: skip
    assert (server.sender.address, server.sender.name, server.timeout_seconds) == ("crm@acme.test", "Acme", 7)
    assert CANARY not in rows
    assert CANARY not in repr(server)
    admin = login("administrator")
    assert all(
        CANARY not in admin.get(path).text for path in ("/admin/settings", "/admin/settings/mail_password", "/audit")
    )


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("mail_host", "mail.acme.test\r\nX: y"),
        ("mail_host", "two words"),
        ("mail_port", "0"),
        ("mail_port", "70000"),
        ("mail_encryption", "ssl"),
        ("mail_sender", "Acme <crm@acme.test>"),
        ("mail_sender", "crmé@acme.test"),
        ("mail_sender_name", "Acme\nBcc: x"),
        ("mail_timeout_seconds", "0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(change, name, raw):
    with pytest.raises((InvalidInput, ConfigError)):
        change(name, raw)


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("mail_sender", "CRM <crm@acme.test>"),
        ("mail_sender", "crm@"),
        ("mail_sender", "crmé@acme.test"),
        ("mail_sender_name", "Acme\nBcc: x"),
        ("company_name", "Acme\nBcc: x"),
    ],
)
def test_a_sender_that_no_mail_can_come_from_is_refused_from_file_and_environment(tmp_path, setting, found):
    (tmp_path / "crm.toml").write_text(f"{setting} = {json.dumps(found)}\n")

    with pytest.raises(ConfigError) as by_file:
        load_config(tmp_path / "crm.toml", environ={})
    with pytest.raises(ConfigError) as by_variable:
        load_config(environ={f"CRM_{setting.upper()}": found})

    assert str(by_file.value).startswith(f"{setting} in {tmp_path / 'crm.toml'}: found {found!r}, expected")
    assert str(by_variable.value).startswith(f"CRM_{setting.upper()} in the environment: found {found!r}, expected")


def test_a_sender_as_he_is_to_be_is_taken_from_the_environment():
    found = load_config(environ={"CRM_MAIL_SENDER": "crm@exämple.test", "CRM_MAIL_SENDER_NAME": "Acme, Sons"})

    assert (found.mail_sender, found.mail_sender_name) == ("crm@exämple.test", "Acme, Sons")


def test_without_a_server_nothing_is_amiss(health, crm_app):
    found = health()

    assert (found.health, found.message) == (Health.OK, "no mail server is set: no mail is sent")
    with crm_app.app_context():
        assert not can_send_mail()


def test_without_a_sender_the_doctor_says_what_is_missing(health, use_server, server):
    use_server(server, mail_sender="")

    found = health()

    assert (found.health, found.fix) == (Health.WARNING, "crm settings set mail_sender ADDRESS")


def test_the_doctor_says_that_the_server_answers(health, server):
    assert health().message == f"127.0.0.1:{server.port} answers"
    assert server.mails == []


def test_the_doctor_says_why_the_server_is_no_use(health, use_server, tmp_path):
    with mail_server(silent=True) as server:
        use_server(server, mail_timeout_seconds=1)
        assert "no answer within 1 seconds" in health().message
    with mail_server(certificate=write_certificate(tmp_path)) as server:
        use_server(server, mail_encryption="starttls")
        found = health()

    assert (found.health, "not to be trusted" in found.message) == (Health.ERROR, True)


def test_a_password_in_the_clear_is_a_warning(crm_app, use_server, health, monkeypatch):
    from crm_kernel.mail import health as checks

    with mail_server() as server:
        use_server(server, mail_host="localhost")
        assert health().health is Health.OK
        monkeypatch.setattr(checks, "_HERE", ())
        assert health().health is Health.WARNING


def test_an_administrator_sends_a_test_message_to_himself(server, login):
    admin = login("administrator", language="fr")
    assert "crm mail test" in admin.get("/admin/settings").text

    page = admin.post("/admin/mail/test", follow_redirects=True)

    [mail] = server.mails
    assert mail.recipient == admin.user.email
    assert "250 2.0.0 Queued as 1" in page.text
    assert "message de test" in mail.text


def test_the_page_says_what_the_server_said_against_it(server, login):
    server.answers["MAIL"] = ["550 5.7.1 Not your address"]

    page = login("administrator").post("/admin/mail/test", follow_redirects=True)

    assert "550 5.7.1 Not your address" in page.text


def test_the_page_shows_no_more_of_an_answer_than_a_mail_server_needs(server, login):
    server.answers["MAIL"] = ["550 " + "inside " * 60]

    page = login("administrator").post("/admin/mail/test", follow_redirects=True)

    assert 0 < page.text.count("inside") < 20


@pytest.mark.parametrize("grants", [{}, {"setting.update": "all"}])
def test_who_may_not_change_the_mail_server_sends_no_test_message(server, login, grants):
    reader = login(grants={"setting.read": "all", **grants})

    assert "/admin/mail/test" not in reader.get("/admin/settings").text
    assert reader.post("/admin/mail/test").status_code == 403
    assert (server.calls, server.mails) == (0, [])


def test_a_command_sends_a_test_message_and_prints_the_answer(cli, monkeypatch):
    with mail_server() as server:
        for name, value in {
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
            "ENCRYPTION": "none",
            "SENDER": "crm@acme.test",
        }.items():
            monkeypatch.setenv(f"CRM_MAIL_{name}", value)
        done = cli("mail", "test", "zoe@example.test")
        last = server.commands[-1]
        server.answers["RCPT"] = ["550 5.1.1 Nobody"]
        refused = cli("mail", "test", "zoe@example.test")

    assert done.stdout.strip() == "250 2.0.0 Queued as 1"
    assert last.upper() == "QUIT"
    assert [mail.recipient for mail in server.mails] == ["zoe@example.test"]
    assert refused.exit_code != 0
    assert "550 5.1.1 Nobody" in refused.stderr


def test_a_worker_that_ends_takes_leave_of_the_mail_server(server, cli, unit, monkeypatch):
    with unit() as uow:
        invite(uow, email="zoe@example.test", role="reader", language="en")
    for name, value in {"HOST": "127.0.0.1", "PORT": str(server.port), "ENCRYPTION": "none"}.items():
        monkeypatch.setenv(f"CRM_MAIL_{name}", value)
    monkeypatch.setenv("CRM_MAIL_SENDER", "crm@acme.test")

    assert cli("worker", "--once").exit_code == 0

    assert [mail.recipient for mail in server.mails] == ["zoe@example.test"]
    assert server.commands[-1].upper() == "QUIT"


def test_without_a_server_the_command_says_what_to_set(cli):
    assert "mail_host" in cli("mail", "test", "zoe@example.test").stderr
