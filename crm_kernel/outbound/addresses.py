"""Decides where a request may go: which URLs, which ports, and above all which addresses.

Names and spellings are not judged: ``0177.0.0.1``, ``2130706433``, a name that answers 10.0.0.1 and one that answers
something else next time all end in an address that the socket would dial, and that one is checked
(EspoCRM CVE-2026-33534, Mattermost CVE-2026-2455 and Mautic CVE-2022-25777 judged the text).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

import idna
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import N_, CrmError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: ``resolve(host, port)`` → what ``socket.getaddrinfo`` returns.
Resolver = Callable[[str, int], Sequence[tuple[Any, ...]]]

#: Longest URL.
MAX_URL = 2_000
#: A URL is written in these characters; others are how two parsers come to disagree about where it goes.
_WRITTEN = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_PORTS = {"http": 80, "https": 443}

#: Not public, in the words of the registries of IANA (RFC 6890 and its updates), whatever Python's release knows of them;
#: then the ranges whose addresses hold an IPv4 address inside, which would be dialled by somebody else's rules.
_REFUSED: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1",
        ),
    )
)  # fmt: skip
#: Public addresses at which clouds serve their machines' secrets (Azure's wire server).
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})


class AddressRefused(CrmError):
    """A request was to go to an address that is not public, or that no request goes to; nothing was sent."""

    status: ClassVar[int] = 422
    exit_code: ClassVar[int] = 4
    title: ClassVar[str] = N_("Address refused")


def resolved(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Ask the system's resolver, as every other program would be answered."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundPolicy:
    """Where requests may go beside the public internet by https."""

    trusted_networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({443, 8443})
    resolver: Resolver = resolved

    def trusts(self, address: Address) -> bool:
        """Say whether an address is one of one's own that may be reached, by plain http and at any port too."""
        return any(address in network for network in self.trusted_networks)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be dialled: where exactly, and what is asked there."""

    scheme: str
    #: The name for TLS and the Host header, in ASCII.
    host: str
    port: int
    #: Path and query as they are sent.
    path: str
    #: ``(family, address to connect to)``: checked, and not resolved again.
    dial: tuple[int, tuple[Any, ...]]

    @property
    def host_header(self) -> str:
        """Host and, where it is not the usual one, port."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def policy_of() -> OutboundPolicy:
    """Return the policy that the settings of the current application make."""
    config = runtime_of(current_app).config
    return OutboundPolicy(
        trusted_networks=tuple(ipaddress.ip_network(text) for text in config.outbound_trusted_networks),
        ports=frozenset(int(port) for port in config.outbound_ports),
    )


def checked_url(url: str) -> SplitResult:
    """Return the parts of a URL that a request could go to; asks no name server, so the address is still unknown.

    Raises:
        AddressRefused: it is no http or https URL, or one that programs read in different ways.
    """
    if len(url) > MAX_URL or not _WRITTEN.fullmatch(_ascii(url)):
        raise AddressRefused(_("Not a web address: expected for example https://example.com/hook."))
    try:
        parts = urlsplit(_ascii(url))
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused(_("Not a web address: %(error)s.", error=error)) from error
    if parts.scheme not in _PORTS or not host:
        raise AddressRefused(_("Not a web address: expected for example https://example.com/hook."))
    if "@" in parts.netloc:
        raise AddressRefused(_("A user name or password has no place in a web address."))
    return parts


def refuse_unreachable(url: str, policy: OutboundPolicy) -> None:
    """Refuse a URL of which it is known, without asking a name server, that no request may ever go there.

    Raises:
        AddressRefused: it is no web address, it holds a private address in any spelling, or another port or scheme than
            the settings allow.
    """
    parts = checked_url(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except UnicodeError as error:  # a label that is empty, or longer than names can be
        raise AddressRefused(_("Not a web address: expected for example https://example.com/hook.")) from error
    except OSError:  # a name: what it stands for is checked whenever it is dialled
        if not policy.trusted_networks:
            _check_door(parts.scheme, host, port, policy)
        return
    for row in rows:
        _check(parts.scheme, host, port, _address(row[4]), policy)


def target_of(url: str, policy: OutboundPolicy) -> Target:
    """Return where a URL leads, resolved once and checked.

    Raises:
        AddressRefused: an address of the name is not public, or the port or the scheme is not one that requests take.
        OSError: the name has no address.
    """
    parts = checked_url(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    found = [(int(row[0]), tuple(row[4])) for row in policy.resolver(host, port)]
    if not found:
        raise OSError(f"{host} has no address")
    for _family, socket_address in found:
        # All of them: a name that answers with a public and a private address is one that is up to something.
        _check(parts.scheme, host, port, _address(socket_address), policy)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path, found[0])


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet; an IPv4 address inside an IPv6 one counts for itself."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    if getattr(address, "scope_id", None) is not None or address in _METADATA:
        return False
    refused = any(address in network for network in _REFUSED if network.version == address.version)
    return address.is_global and not address.is_multicast and not refused


def _check(scheme: str, host: str, port: int, address: Address, policy: OutboundPolicy) -> None:
    if policy.trusts(getattr(address, "ipv4_mapped", None) or address):
        return
    if not is_public(address):
        # The address stays unsaid: who may not reach a network is not told what its names stand for.
        raise AddressRefused(_("%(host)s is not a public address (outbound_trusted_networks).", host=host))
    _check_door(scheme, host, port, policy)


def _check_door(scheme: str, host: str, port: int, policy: OutboundPolicy) -> None:
    if scheme != "https":
        raise AddressRefused(_("%(host)s: only https leaves this system.", host=host))
    if port not in policy.ports:
        allowed = ", ".join(map(str, sorted(policy.ports)))
        raise AddressRefused(
            _("Port %(port)s: only %(allowed)s may be used (outbound_ports).", port=port, allowed=allowed)
        )


def _address(socket_address: tuple[Any, ...]) -> Address:
    return ipaddress.ip_address(str(socket_address[0]))


def _ascii(url: str) -> str:
    """Return a URL with its host in ASCII, as name servers know it; the rest must be ASCII already."""
    if url.isascii():
        return url
    encode = partial(idna.encode, uts46=True)
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    name, colon, port = host.partition(":")
    try:
        return f"{scheme}{separator}{encode(name).decode()}{colon}{port}{slash}{path}"
    except idna.IDNAError as error:
        raise AddressRefused(_("Not a web address: %(error)s.", error=error)) from error
