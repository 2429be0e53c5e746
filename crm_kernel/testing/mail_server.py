"""A mail server that keeps what it is handed and answers as a test says: real sockets, STARTTLS, log-in.

``with mail_server() as server`` gives one on a free port of this machine; ``server.mails`` is what has arrived.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: A server that a test forgot must not outlive it for long.
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it arrived."""

    sender: str
    recipient: str
    message: EmailMessage
    raw: bytes
    encrypted: bool
    #: Whom the sender had logged in as; empty for nobody.
    user: str

    @property
    def text(self) -> str:
        """The plain text, its lines ended by a line feed."""
        body = self.message.get_body(("plain",))
        return "" if body is None else str(body.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class FakeMailServer:
    """What a mail server is told, and what it says."""

    port: int = 0
    #: What it offers beside STARTTLS and log-in.
    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8")
    #: A certificate with its key makes it offer STARTTLS; ``wrapped``: TLS from the first byte.
    certificate: Path | None = None
    wrapped: bool = False
    #: User and password that it wants before it takes a mail.
    wanted: tuple[str, str] | None = None
    #: Command (``RCPT``, ``DATA``, ``.`` for the end of a mail) → what is answered instead, the first first, each once.
    answers: dict[str, list[str]] = field(default_factory=dict)
    #: Whether it says nothing at all, to nobody.
    silent: bool = False
    #: Whether its greeting never ends.
    drips: bool = False
    mails: list[Received] = field(default_factory=list)
    #: How many connections it was called on, and what it was told over all of them.
    calls: int = 0
    commands: list[str] = field(default_factory=list)


@contextmanager
def mail_server(**traits: Any) -> Iterator[FakeMailServer]:
    """Run a mail server of these traits (fields of ``FakeMailServer``) in a thread."""
    state = FakeMailServer(**traits)

    class Conversation(_Conversation):
        kept = state

    with _Listener(("127.0.0.1", 0), Conversation) as listener:
        state.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            listener.hang_up()
            listener.shutdown()
            thread.join(_PATIENCE_SECONDS)


def write_certificate(folder: Path, name: str = "127.0.0.1") -> Path:
    """Write a certificate that signs itself, with its key, into a folder: its own authority, for SSL_CERT_FILE."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    file = folder / f"{name}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return file


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.open: list[socket.socket] = []

    def hang_up(self) -> None:
        for found in self.open:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up."""


class _Conversation(socketserver.BaseRequestHandler):
    kept: FakeMailServer

    def handle(self) -> None:
        self.kept.calls += 1
        cast(_Listener, self.server).open.append(self.request)
        self.request.settimeout(_PATIENCE_SECONDS)
        self.encrypted, self.user, self.sender, self.recipient = False, "", "", ""
        if self.kept.silent or self.kept.drips:
            self._keep_waiting()
            return
        if self.kept.wrapped:
            self._secure()
        self.lines = self.request.makefile("rb")
        with suppress(OSError, ValueError):
            self._say("220 fake.test ESMTP")
            while line := self.lines.readline():
                if not self._answer(line.decode("utf-8").rstrip("\r\n")):
                    break

    def _keep_waiting(self) -> None:
        self.request.settimeout(0.02)
        with suppress(ConnectionError):
            while True:
                if self.kept.drips:
                    self.request.sendall(b"2")
                with suppress(TimeoutError):
                    if not self.request.recv(4096):
                        return

    def finish(self) -> None:
        self.request.close()

    def _answer(self, line: str) -> bool:
        verb = line.partition(" ")[0].upper()
        self.kept.commands.append(line)
        told = self._told(verb)
        if told is not None:
            self._say(told)
            return True
        handlers: dict[str, Callable[[str], None]] = {
            "EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "MAIL": self._mail,
            "RCPT": self._rcpt, "DATA": self._data,
        }  # fmt: skip
        if verb in handlers:
            handlers[verb](line)
        else:
            self._say("221 Bye" if verb == "QUIT" else "250 Fine")
        return verb != "QUIT"

    def _ehlo(self, _line: str) -> None:
        offered = [*self.kept.extensions]
        if self.kept.certificate is not None and not self.encrypted:
            offered.append("STARTTLS")
        if self.kept.wanted is not None:
            offered.append("AUTH PLAIN")
        for found in offered:
            self._say(f"250-{found}")
        self._say("250 HELP")

    def _starttls(self, _line: str) -> None:
        self._say("220 Go on")
        self._secure()
        self.lines = self.request.makefile("rb")

    def _secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.kept.certificate))
        self.request = context.wrap_socket(self.request, server_side=True)
        cast(_Listener, self.server).open.append(self.request)
        self.encrypted = True

    def _auth(self, line: str) -> None:
        _nobody, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        fits = (user, password) == self.kept.wanted
        self.user = user if fits else ""
        self._say("235 Welcome" if fits else "535 5.7.8 Authentication failed")

    def _mail(self, line: str) -> None:
        if self.kept.wanted is not None and not self.user:
            self._say("530 5.7.0 Authentication required")
            return
        self.sender = _address(line)
        self._say("250 Sender taken")

    def _rcpt(self, line: str) -> None:
        self.recipient = _address(line)
        self._say("250 Recipient taken")

    def _data(self, _line: str) -> None:
        self._say("354 Go on")
        found = []
        while (line := self.lines.readline()) != b".\r\n":
            found.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        told = self._told(".")
        if told is None:
            raw = b"".join(found)
            message = message_from_bytes(raw, policy=policy.default)
            self.kept.mails.append(Received(self.sender, self.recipient, message, raw, self.encrypted, self.user))
        self._say(told or f"250 2.0.0 Queued as {len(self.kept.mails)}")

    def _told(self, verb: str) -> str | None:
        waiting = self.kept.answers.get(verb)
        return waiting.pop(0) if waiting else None

    def _say(self, line: str) -> None:
        self.request.sendall(f"{line}\r\n".encode())


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
