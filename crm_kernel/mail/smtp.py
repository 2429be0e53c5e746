"""Hands mails to the mail server: in a bounded time, over connections that are kept for the next mail.

TLS is what the settings say and never less: a server that offers no STARTTLS, or whose certificate is not that of its
name, gets neither password nor mail.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from flask_babel import gettext as _

from crm_kernel.mail.addresses import needs_utf8, without_addresses
from crm_kernel.mail.message import Mail, MailDelayed, MailRefused, Sender, composed, on_the_wire

#: Seconds after which a connection that nobody used is not trusted any more: servers hang up after a while.
_KEPT_SECONDS = 30.0
#: Seconds that a server has to answer when a process that ends takes leave of it.
_FAREWELL_SECONDS = 1.0
#: How a server says that it took something, and that it never will.
_TAKEN, _PERMANENT = range(200, 300), range(500, 600)


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes the mails, and how it is talked to."""

    host: str
    port: int
    #: ``tls`` from the first byte, ``starttls`` before anything is said, ``none``.
    encryption: str
    user: str = ""
    password: str = field(default="", repr=False)
    sender: Sender = field(default_factory=lambda: Sender(""))
    #: For connecting with log-in, and again for handing over a mail.
    timeout_seconds: float = 20.0

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"{self.host}:{self.port}"


class _Plain(smtplib.SMTP):
    """A connection whose greeting, too, has its time."""

    def __init__(self, server: MailServer) -> None:
        with _hung_up_after(self, server.timeout_seconds):
            super().__init__(server.host, server.port, _own_name(server), server.timeout_seconds)


class _Tls(smtplib.SMTP_SSL):
    """The same where TLS begins with the first byte."""

    def __init__(self, server: MailServer, context: ssl.SSLContext) -> None:
        timeout = server.timeout_seconds
        with _hung_up_after(self, timeout):
            super().__init__(server.host, server.port, _own_name(server), timeout=timeout, context=context)


@dataclass(slots=True)
class Lines:
    """The connections of a process that are open and not in use."""

    _free: list[tuple[float, MailServer, smtplib.SMTP]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def line(self, server: MailServer) -> Iterator[smtplib.SMTP]:
        """Give a connection that is logged in, for one mail; one that failed is closed, the others are kept."""
        client = self._kept(server) or _connected(server)
        try:
            with _hung_up_after(client, server.timeout_seconds):
                yield client
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._free.append((time.monotonic(), server, client))

    def close(self) -> None:
        """Take leave of every server and hang up, whatever it says; each has a second."""
        with self._lock:
            free, self._free = self._free, []
        for _since, _server, client in free:
            with suppress(OSError, smtplib.SMTPException), _hung_up_after(client, _FAREWELL_SECONDS):
                client.quit()
            client.close()

    def _kept(self, server: MailServer) -> smtplib.SMTP | None:
        while True:
            with self._lock:
                if not self._free:
                    return None
                since, to, client = self._free.pop()
            if to == server and time.monotonic() - since < _KEPT_SECONDS and _is_alive(client, server):
                return client
            client.close()


def deliver(mail: Mail, server: MailServer, lines: Lines) -> str:
    """Hand a mail over and return what the server said; call it with no transaction open.

    Raises:
        MailRefused: the mail cannot be sent, or the server refuses it or its recipient for good.
        MailDelayed: nobody answered in time, the server asks to come later, or takes nothing of what the settings say.
    """
    # Written before anybody is called: what cannot be sent needs no server.
    content = composed(mail, server.sender)
    with _told(server, server.timeout_seconds), lines.line(server) as client:
        return _hand_over(client, server, mail, content)


def tried(server: MailServer, *, seconds: float) -> None:
    """Connect, log in and hang up; for a look at the settings.

    Raises:
        MailDelayed: it does not go; the text says why.
    """
    limited = replace(server, timeout_seconds=min(seconds, server.timeout_seconds))
    with _told(limited, limited.timeout_seconds):
        client = _connected(limited)
        try:
            with _hung_up_after(client, limited.timeout_seconds):
                client.quit()
        finally:
            client.close()


def _hand_over(client: smtplib.SMTP, server: MailServer, mail: Mail, content: bytes) -> str:
    options: Sequence[str] = ()
    if needs_utf8(mail.recipient):
        if not client.has_extn("smtputf8"):
            raise MailRefused(
                _("%(server)s takes no address with letters beyond ASCII (SMTPUTF8).", server=server.place)
            )
        options = ("SMTPUTF8", "BODY=8BITMIME")
    # Who may send as whom is a matter of settings: what is refused here is tried again when they are mended.
    _settled(client.mail(on_the_wire(server.sender.address), options), refused=MailDelayed)
    _settled(client.rcpt(on_the_wire(mail.recipient)))
    try:
        return _settled(client.data(content))
    except smtplib.SMTPDataError as error:
        return _settled((error.smtp_code, error.smtp_error))


def _settled(answer: tuple[int, bytes | str], *, refused: type[MailRefused | MailDelayed] = MailRefused) -> str:
    """Return what was answered, or raise what it means."""
    code, said = answer[0], _text(answer[1])
    if code in _TAKEN:
        return f"{code} {said}"
    # The answer is kept with the job: whom it was about stands elsewhere. Servers write him in their own way.
    told = f"{code} {without_addresses(said)}"
    raise (refused if code in _PERMANENT else MailDelayed)(
        _("The mail server did not take the mail: %(answer)s", answer=told)
    )


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    client = _Tls(server, context) if server.encryption == "tls" else _Plain(server)
    try:
        with _hung_up_after(client, server.timeout_seconds):
            if server.encryption == "starttls":
                client.starttls(context=context)
            client.ehlo_or_helo_if_needed()
            if server.user:
                client.login(server.user, server.password)
    except BaseException:
        client.close()
        raise
    return client


def _is_alive(client: smtplib.SMTP, server: MailServer) -> bool:
    try:
        with _hung_up_after(client, server.timeout_seconds):
            return client.rset()[0] in _TAKEN
    except (OSError, smtplib.SMTPException):
        return False


@contextmanager
def _hung_up_after(client: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """End a conversation when its time is over, however slowly the other side drips."""

    def hang_up() -> None:
        found = getattr(client, "sock", None)
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _told(server: MailServer, seconds: float) -> Iterator[None]:
    """Say in one sentence why a server could not be talked to."""
    began = time.monotonic()
    try:
        yield
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        reason = _reason(error, late=time.monotonic() - began >= seconds, seconds=seconds)
        raise MailDelayed(_("The mail server %(server)s: %(reason)s", server=server.place, reason=reason)) from error


def _reason(error: Exception, *, late: bool, seconds: float) -> str:
    if late or isinstance(error, TimeoutError):
        return str(_("no answer within %(seconds)s seconds", seconds=f"{seconds:g}"))
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(_("its certificate is not to be trusted: %(reason)s", reason=error.verify_message))
    if isinstance(error, UnicodeError):  # its text would hold a part of the password
        return str(_("its name, user and password must be ASCII"))
    if isinstance(error, smtplib.SMTPAuthenticationError):
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
        return str(_("it does not take user and password: %(answer)s", answer=said))
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"[:300]


def _own_name(server: MailServer) -> str:
    # smtplib would ask the name server for this machine's, which takes its own time where there is none.
    return on_the_wire(server.sender.address).rpartition("@")[2]


def _text(said: bytes | str) -> str:
    found = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(found.split())[:500]
