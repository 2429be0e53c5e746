"""The listening socket: opened once by the supervisor, inherited by every worker, so no connection is ever refused."""

from __future__ import annotations

import errno
import socket
from typing import ClassVar

from crm_kernel.errors import CrmError

BACKLOG = 1024


class PortUnavailable(CrmError):
    """The address cannot be listened on: somebody else does, it is not ours, or it needs a privilege."""

    exit_code: ClassVar[int] = 5
    title: ClassVar[str] = "Port unavailable"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; without SO_REUSEPORT, so that a second server on the port fails and says so.

    Raises:
        PortUnavailable: naming the address, the reason and the way out.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise PortUnavailable(
            f"host {host!r} cannot be resolved: {error.strerror}; choose another with --host"
        ) from error
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by accepted connections on Linux
    try:
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise PortUnavailable(_reason(host, port, error)) from error
    return found


def _reason(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use already; stop the other server or choose another with --port"
        case errno.EACCES:
            return f"port {port} needs a privilege (ports below 1024 do); choose another with --port"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; choose another with --host"
    return f"cannot listen on {host}:{port}: {error.strerror}"
