"""Mails reach a real server: encrypted as the settings say, whole, in any script, in a bounded time."""

from __future__ import annotations

import socket

import pytest

from crm_kernel.mail.addresses import is_address
from crm_kernel.mail.message import Mail, MailDelayed, MailRefused, Sender
from crm_kernel.mail.smtp import Lines, MailServer, deliver, tried
from crm_kernel.mail.transport import send_mail
from crm_kernel.testing.mail_server import mail_server, write_certificate

pytestmark = pytest.mark.crm_databases("sqlite")


@pytest.fixture(autouse=True)
def in_english(crm_app):
    """Messages are translated: they need an application."""
    with crm_app.app_context():
        yield


def mail(**changes):
    usual = {"recipient": "zoe@example.test", "subject": "Hello", "text": "A word.\n", "key": "job:1"}
    return Mail(**{**usual, **changes})


def to(server, **changes):
    usual = {"encryption": "none", "sender": Sender("crm@acme.test", "Acme"), "timeout_seconds": 5.0}
    return MailServer("127.0.0.1", server.port, **{**usual, **changes})


@pytest.fixture
def lines():
    """Connections that are closed at the end."""
    found = Lines()
    yield found
    found.close()


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """A certificate of 127.0.0.1 that this machine trusts."""
    file = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


def test_a_mail_arrives_whole(server):
    answer = send_mail(
        mail(subject="Déjà vu – 你好", text="Prêt ?\n.\nFrom here\n" + "x" * 2000 + "\n", html="<p>Prêt ?</p>")
    )

    [found] = server.mails
    assert answer == "250 2.0.0 Queued as 1"
    assert (found.sender, found.recipient) == ("crm@acme.test", "zoe@example.test")
    assert found.message["Subject"] == "Déjà vu – 你好"
    assert found.message["From"] == "CRM <crm@acme.test>"
    assert found.message["To"] == "zoe@example.test"
    assert found.message["Auto-Submitted"] == "auto-generated"
    assert found.message["Date"].datetime.tzinfo is not None
    assert found.text == "Prêt ?\n.\nFrom here\n" + "x" * 2000 + "\n"
    assert found.message.get_body(("html",)).get_content().strip() == "<p>Prêt ?</p>"
    assert found.raw.isascii()
    assert max(map(len, found.raw.split(b"\r\n"))) <= 998


def test_the_same_mail_has_the_same_id_and_another_has_another(server):
    for key in ("job:1", "job:1", "job:2"):
        send_mail(mail(key=key))

    first, again, other = [found.message["Message-ID"] for found in server.mails]
    assert first == again
    assert first != other
    assert first.endswith("@acme.test>")


def test_a_connection_is_kept_for_the_next_mail(server):
    send_mail(mail())
    send_mail(mail())

    assert (server.calls, len(server.mails)) == (1, 2)


def test_a_connection_that_the_server_closed_is_replaced(server, lines):
    here = to(server)
    deliver(mail(), here, lines)
    server.answers["RSET"] = ["421 4.4.2 Idle for too long"]

    deliver(mail(), here, lines)

    assert (server.calls, len(server.mails)) == (2, 2)


def test_who_hangs_up_takes_leave_and_waits_for_nobody_who_is_gone(server, lines):
    deliver(mail(), to(server), lines)
    with mail_server() as gone:
        other = Lines()
        deliver(mail(), to(gone), other)

    lines.close()
    other.close()

    assert server.commands[-1].upper() == "QUIT"


def test_another_server_is_called_anew(server, lines):
    deliver(mail(), to(server), lines)

    deliver(mail(), to(server, sender=Sender("other@acme.test")), lines)

    assert (server.calls, server.mails[1].sender) == (2, "other@acme.test")


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_password_and_mail_travel_encrypted(trusted, lines, encryption):
    with mail_server(certificate=trusted, wrapped=encryption == "tls", wanted=("ada", "s3cret")) as server:
        deliver(mail(), to(server, encryption=encryption, user="ada", password="s3cret"), lines)

    [found] = server.mails
    assert (found.encrypted, found.user) == (True, "ada")


def test_without_starttls_nothing_is_said(lines):
    with mail_server(wanted=("ada", "s3cret")) as server, pytest.raises(MailDelayed, match="STARTTLS"):
        deliver(mail(), to(server, encryption="starttls", user="ada", password="s3cret"), lines)

    assert {line.partition(" ")[0] for line in server.commands} <= {"ehlo", "QUIT"}
    assert server.mails == []


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path, lines):
    with mail_server(certificate=write_certificate(tmp_path)) as server, pytest.raises(MailDelayed, match="trusted"):
        deliver(mail(), to(server, encryption="starttls"), lines)

    assert server.mails == []


def test_a_certificate_of_another_name_is_not_trusted(tmp_path, lines, monkeypatch):
    file = write_certificate(tmp_path, "mail.acme.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    with mail_server(certificate=file) as server, pytest.raises(MailDelayed, match="trusted"):
        deliver(mail(), to(server, encryption="starttls"), lines)


def test_a_wrong_password_is_a_matter_of_settings_and_is_not_repeated(trusted, lines):
    there = mail_server(certificate=trusted, wanted=("ada", "s3cret"))

    with there as server, pytest.raises(MailDelayed, match="535") as told:
        deliver(mail(), to(server, encryption="starttls", user="ada", password="hunter2"), lines)

    assert "hunter2" not in str(told.value)


def test_a_password_beyond_ascii_is_not_repeated(trusted, lines):
    there = mail_server(certificate=trusted, wanted=("ada", "s3cret"))

    with there as server, pytest.raises(MailDelayed, match="must be ASCII"):
        deliver(mail(), to(server, encryption="starttls", user="ada", password="sécret"), lines)


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("RCPT", "450 4.2.0 Greylisted, come again", MailDelayed),
        ("RCPT", "550 5.1.1 <zoe@example.test>: nobody", MailRefused),
        ("DATA", "451 4.3.0 Not now", MailDelayed),
        ("DATA", "554 5.6.0 Not that", MailRefused),
        (".", "452 4.3.1 No room", MailDelayed),
        (".", "550 5.7.1 Looks like spam", MailRefused),
        # Who may send as whom is mended in the settings.
        ("mail", "550 5.7.1 Not your address", MailDelayed),
    ],
)
def test_what_a_server_says_decides_whether_it_is_asked_again(server, lines, command, answer, error):
    server.answers[command.upper()] = [answer]

    with pytest.raises(error, match=answer[:9]) as told:
        deliver(mail(), to(server), lines)

    assert server.mails == []
    # The job keeps the text, and no personal value.
    assert "zoe" not in str(told.value)
    deliver(mail(), to(server), lines)
    assert len(server.mails) == 1


def test_nobody_there_is_a_delay(lines):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(MailDelayed, match=f"127.0.0.1:{port}"):
        deliver(mail(), MailServer("127.0.0.1", port, "none", sender=Sender("crm@acme.test")), lines)


@pytest.mark.parametrize(
    ("manner", "encryption"),
    [("silent", "none"), ("silent", "tls"), ("silent", "starttls"), ("drips", "none"), ("drips", "starttls")],
)
def test_a_server_that_hangs_is_hung_up_on(lines, encryption, manner):
    there = mail_server(**{manner: True})

    with there as server, pytest.raises(MailDelayed, match=r"no answer within 0\.3 seconds"):
        deliver(mail(), to(server, encryption=encryption, timeout_seconds=0.3), lines)


def test_a_look_at_the_server_sends_nothing(server):
    tried(to(server), seconds=5)

    assert server.mails == []
    assert server.commands[-1].upper() == "QUIT"


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hello\r\nBcc: all@example.test"},
        {"subject": "Hello\nBcc: all@example.test"},
        {"subject": "Hello\x0bBcc: x"},
        {"subject": "Hello\u2028Bcc: x"},
        {"subject": "Hello\x00"},
        {"recipient": "zoe@example.test\r\nRCPT TO:<all@example.test>"},
        {"recipient": "zoe@example.test>\r\nDATA"},
        {"recipient": "zoe@example.test, all@example.test"},
        {"recipient": "Zoe <zoe@example.test>"},
        {"recipient": "zoe\u2028@example.test"},
        {"recipient": "zoe@exam ple.test"},
        {"recipient": "@example.test"},
        {"recipient": "zoe"},
        {"recipient": ""},
    ],
)
def test_nothing_breaks_out_of_a_header(server, lines, changes):
    with pytest.raises(MailRefused):
        deliver(mail(**changes), to(server), lines)

    assert server.calls == 0


@pytest.mark.parametrize(
    "sender",
    [
        Sender("crm@acme.test", "Acme\r\nBcc: all@example.test"),
        Sender("CRM <crm@acme.test>"),
        Sender("crmé@acme.test"),
        Sender("crm@acme.test\nBcc: all@example.test"),
        Sender(""),
    ],
)
def test_a_wrong_sender_is_a_matter_of_settings_and_the_mail_is_tried_again(server, lines, sender):
    with pytest.raises(MailDelayed, match="mail_sender"):
        deliver(mail(), to(server, sender=sender), lines)

    assert server.calls == 0


@pytest.mark.parametrize(
    "said", ["<ZOE@Example.TEST>: unknown", "zoe@example.test: unknown", "z.oe+x@relay.test for=ZOE@example.test"]
)
@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
def test_no_address_is_kept_of_what_a_server_says_against_a_mail(server, lines, said, verb):
    server.answers[verb] = [f"550 5.1.1 {said}, ask postmaster@relay.test or @"]

    with pytest.raises(MailRefused, match=r"550 5\.1\.1 .*….*, ask …") as told:
        deliver(mail(), to(server), lines)

    assert "@relay.test" not in str(told.value)
    assert "zoe" not in str(told.value).lower()
    assert "example.test" not in str(told.value).lower()


def test_a_name_with_signs_is_quoted(server, lines):
    deliver(mail(), to(server, sender=Sender("crm@acme.test", 'Acme, "Sons" <& Co>')), lines)

    [address] = server.mails[0].message["From"].addresses
    assert (address.display_name, address.addr_spec) == ('Acme, "Sons" <& Co>', "crm@acme.test")


def test_an_address_in_another_script_goes_where_it_is_taken(server, lines):
    deliver(mail(recipient="zoé@exämple.test"), to(server), lines)

    [found] = server.mails
    assert found.recipient == "zoé@xn--exmple-cua.test"
    assert any("SMTPUTF8" in line for line in server.commands)


def test_an_address_in_another_script_is_refused_where_it_is_not_taken(lines):
    with mail_server(extensions=()) as server, pytest.raises(MailRefused, match="SMTPUTF8"):
        deliver(mail(recipient="zoé@example.test"), to(server), lines)


def test_a_domain_in_another_script_needs_nothing(lines):
    with mail_server(extensions=()) as server:
        deliver(mail(recipient="zoe@exämple.test"), to(server), lines)

    assert server.mails[0].recipient == "zoe@xn--exmple-cua.test"


def test_what_an_address_is():
    assert [text for text in ("a@b", "a.b+c@d.test", "zoé@d.test") if not is_address(text)] == []
    assert [text for text in ("a b@c", '"a b"@c', "a@", "a@-b", "a@b\n", "a@[127.0.0.1]") if is_address(text)] == []
