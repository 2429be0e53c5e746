"""Web addresses: http and https only, one spelling per page.

Owns the check that makes a stored link safe to show as ``href`` and the normal form to compare. Never opens a link:
whoever does must check where the host leads (SSRF) for itself.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

import idna

from crm_kernel.customers.values.cleaning import trimmed
from crm_kernel.customers.values.errors import ValueProblem, shown

#: Scheme → port that needs no mention.
SCHEMES = {"http": 80, "https": 443}

#: Longest address that every browser and server takes.
MAX_LENGTH = 2048

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(?!\d)")
#: Everything a URL may spell as it is, ``%`` included so that quoting twice changes nothing.
_SAFE = "%!$&'()*+,;=:@/?-._~[]"


@dataclass(frozen=True, slots=True)
class Url:
    """A web address with scheme and host."""

    #: The address to store, compare and link to: ASCII, host in lower-case, default port left out.
    normalized: str
    #: Host in ASCII, without port; an IPv6 address without its brackets.
    host: str


def normalize_url(raw: str) -> Url:
    """Return the web address in ``raw``; ``www.acme.fr`` is read as ``https://www.acme.fr/``.

    Path, query and fragment keep their case and order: only their non-ASCII characters and spaces are escaped.

    Raises:
        ValueProblem: when the scheme is neither http nor https (``javascript:``), the host is missing or impossible,
            the port is out of range, or the address holds a password, a control character or a backslash.
    """
    text = _clean(raw)
    parts = _split(text)
    host = _host(parts, text)
    netloc = f"[{host}]" if ":" in host else host
    port = _port(parts, text)
    if port is not None and port != SCHEMES[parts.scheme]:
        netloc = f"{netloc}:{port}"
    tail = SplitResult("", "", quote(parts.path or "/", _SAFE), quote(parts.query, _SAFE), quote(parts.fragment, _SAFE))
    return Url(normalized=f"{parts.scheme}://{netloc}{tail.geturl()}", host=host)


def _clean(raw: str) -> str:
    text = trimmed(raw)
    if not text or len(text) > MAX_LENGTH:
        raise ValueProblem("{found!r} is no web address: expected one such as https://example.com", found=shown(text))
    if "\\" in text or any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueProblem("{found!r} holds a control character or a backslash", found=shown(text))
    return text


def _split(text: str) -> SplitResult:
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() not in SCHEMES:
        raise ValueProblem(
            "{found!r} begins with {scheme}: expected http or https", found=shown(text), scheme=scheme[1]
        )
    try:
        parts = urlsplit(text if scheme else "https://" + text.removeprefix("//"))
    except ValueError:
        raise _bad_host(text) from None
    if parts.username is not None or parts.password is not None:
        raise ValueProblem("{found!r} holds a user name or password: expected only a host", found=shown(parts.scheme))
    if not scheme and "." not in (parts.hostname or ""):
        raise _bad_host(text)
    return parts


def _host(parts: SplitResult, text: str) -> str:
    host = (parts.hostname or "").rstrip(".")
    if ":" in host or re.fullmatch(r"[\d.]+", host):
        return _ip_address(host, text)
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return _plain_host(host, text)


def _plain_host(host: str, text: str) -> str:
    """Return a host that IDNA refuses but DNS and browsers take: underscores, hyphens at places 3 and 4."""
    if re.fullmatch(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", host):
        return host
    raise _bad_host(text)


def _ip_address(host: str, text: str) -> str:
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        raise _bad_host(text) from None


def _port(parts: SplitResult, text: str) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueProblem("{found!r} has no valid port: expected 1 to 65535", found=shown(text)) from None


def _bad_host(text: str) -> ValueProblem:
    return ValueProblem("{found!r} has no valid host name: expected one such as example.com", found=shown(text))
