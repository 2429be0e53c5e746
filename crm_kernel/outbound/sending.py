"""Sends one request to a checked target and reads a bounded answer in a bounded time."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from crm_kernel.errors import N_, CrmError
from crm_kernel.outbound.addresses import OutboundPolicy, Target, target_of

#: Seconds that a request may take from dialling to the last byte, unless its caller says otherwise.
TIMEOUT = 20.0
#: Bytes of an answer that are read, unless its caller says otherwise.
MAX_ANSWER = 65_536


class Unreachable(CrmError):
    """Nobody answered: no such name, refused, broken off, too slow, or a certificate that is not to be trusted."""

    status: ClassVar[int] = 502
    title: ClassVar[str] = N_("Unreachable")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Redirects are answers like others: nobody follows them."""

    status: int
    #: Names in lower case; of several of one name the last.
    headers: Mapping[str, str]
    #: At most as many bytes as were asked for.
    body: bytes
    #: Whether there was more.
    truncated: bool
    #: From dialling to the last byte that was read.
    milliseconds: int


def send(
    url: str,
    *,
    policy: OutboundPolicy,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float = TIMEOUT,
    max_answer: int = MAX_ANSWER,
) -> Answer:
    """Send one request and return the answer, whatever its status; call it with no transaction open.

    Args:
        timeout: seconds for everything but the name server, whose own limits hold.
        max_answer: bytes of the answer that are read; the connection is closed over the rest.

    Raises:
        AddressRefused: the URL does not lead to where requests may go; nothing was sent.
        Unreachable: nobody answered in time.
    """
    began = time.monotonic()
    try:
        target = target_of(url, policy)
        with _connected(target, timeout) as connection:
            connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _headers(target, headers or {}, body).items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            found = connection.getresponse()
            read = _read(found, max_answer, began + timeout)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise Unreachable(_reason(error, timeout, began)) from error
    spent = round((time.monotonic() - began) * 1000)
    answered = {name.lower(): value for name, value in found.getheaders()}
    return Answer(found.status, answered, read[:max_answer], len(read) > max_answer, spent)


def _read(found: http.client.HTTPResponse, most: int, until: float) -> bytes:
    """Return the body, or its beginning and one byte more; what was broken off before its end is no answer."""
    read = found.read(most + 1)
    if len(read) <= most and (found.length or time.monotonic() >= until):
        raise TimeoutError if time.monotonic() >= until else http.client.IncompleteRead(read)
    return read


def _headers(target: Target, given: Mapping[str, str], body: bytes) -> dict[str, str]:
    # No compression is offered: a small answer that unpacks to a large one would be neither.
    usual = {
        "Host": target.host_header,
        "User-Agent": "crm-kernel",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    return {**usual, **given, "Content-Length": str(len(body))}


@contextmanager
def _connected(target: Target, timeout: float) -> Iterator[http.client.HTTPConnection]:
    """Dial the checked address and hang up at the latest when the time is over, however slowly the other side drips."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    line = _Line(socket.socket(target.dial[0], socket.SOCK_STREAM))
    hang_up = threading.Timer(timeout, line.hang_up)
    hang_up.daemon = True
    hang_up.start()
    try:
        line.socket.settimeout(timeout)
        line.socket.connect(target.dial[1])
        if target.scheme == "https":
            line.secure(target.host)
        connection.sock = line.socket
        yield connection
    finally:
        hang_up.cancel()
        connection.close()
        line.socket.close()


@dataclass(slots=True)
class _Line:
    """The open socket, which becomes another object when TLS begins: whoever hangs up must find the one in use."""

    socket: socket.socket

    def secure(self, host: str) -> None:
        """Begin TLS: the certificate must be that of the name, whichever address was dialled."""
        context = ssl.create_default_context()
        secured = context.wrap_socket(self.socket, server_hostname=host, do_handshake_on_connect=False)
        self.socket = secured
        secured.do_handshake()

    def hang_up(self) -> None:
        """Wake up whoever reads; not ``close()``: the descriptor could be another socket's by the time he does."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception, timeout: float, began: float) -> str:
    if isinstance(error, TimeoutError) or time.monotonic() - began >= timeout:
        return f"no answer within {timeout:g} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    return f"{type(error).__name__}: {error}"[:300]
